"""``harness stack`` as a command: what it prints, and bad input in one line."""

import pytest
import yaml

from tests.unit.cli.test_main import harness


def test_a_folder_s_files_a_profile_and_a_scenario_of_it_reach_the_nodes(tmp_path):
    (tmp_path / "mine.yaml").write_text("delay: 5ms\n")
    (tmp_path / "play.yaml").write_text("events:\n  - {at: 1s, set: {edge: 0-1, delay: 9ms}}\n")
    (tmp_path / "__init__.py").touch()
    out = tmp_path / "out.yml"
    words = ["--work", str(tmp_path), "-p", f"{tmp_path}/mine.yaml", "--scenario", f"{tmp_path}/play.yaml"]
    done = harness("stack", "-n", "3", *words, "--out", str(out), "--", "python", "train.py")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "empty files are not sent: __init__.py" in done.stderr
    assert f"docker stack deploy --resolve-image never -c {out} harness" in done.stderr
    service = yaml.safe_load(out.read_text())["services"]["rank-1"]
    assert (service["environment"]["PROFILE"], service["environment"]["SCENARIO"]) == ("./mine.yaml", "./play.yaml")
    assert [one["target"] for one in service["configs"]] == ["/work/mine.yaml", "/work/play.yaml"]
    assert service["command"] == ["python", "train.py"]


def test_it_is_printed():
    done = harness("stack", "-t", "ring", "--name", "train")
    assert list(yaml.safe_load(done.stdout)["services"]) == ["rank-0", "rank-1", "rank-2", "rank-3"]
    assert done.stderr.endswith("-c stack.yaml train\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-p", "./mine.yaml"), "mine.yaml"),
        (("--on-failure", "explode"), "write stop or continue"),
        (("--scenario", "flaky-wam"), "did you mean"),
        (("--work", "/nowhere"), "--work '/nowhere' is not a folder"),
        (("--runs", "/nowhere"), "--runs '/nowhere' is not a folder"),
        (("--name", "-x"), "is not a name for a stack"),
        (("-n", "9", "--subnet", "10.9.0.0/28", "-t", "ring", "--mtu", "9001"), "--mtu 9001"),
        (("-n", "13", "--subnet", "10.9.0.0/28"), "room for 12"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_printed(words, message):
    done = harness("stack", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
