"""Experiments of own commands on real networks: compared, several at a time, stopped, and gone on with."""

import contextlib
import json
import re
import signal
from pathlib import Path

import pytest

from harness.networks.backends import DOCKER
from tests.support.cli import wait_for
from tests.support.laboratory import Laboratory
from tests.support.live import needs, own, runtime_name

pytestmark = needs()
PLAIN = """
import os, socket, sys, time

rank, seed = int(os.environ["RANK"]), int(os.environ["HARNESS_SEED"])
if rank == 0:
    with socket.create_server(("", 4000)) as server:
        peer, _ = server.accept()
else:
    for _ in range(100):
        try:
            peer = socket.create_connection((os.environ["MASTER_ADDR"], 4000))
            break
        except OSError:
            time.sleep(0.05)
for step in range(1, int(sys.argv[1]) + 1):
    if rank:
        peer.sendall(b"x" * 2000)
        peer.recv(1)
    else:
        left = 2000
        while left:
            left -= len(peer.recv(left))
        peer.sendall(b"y")
    time.sleep(0.02)
    if rank == 0:
        print(f"step {step}: loss={1 / step + seed / 100:.4f}", flush=True)
"""
"""Rank 1 sends 2000 bytes per step and waits for the answer."""
HEAD = """
nodes: 2
topologies: ring
profiles: [./near.yaml, ./far.yaml]
seeds: [0, 1]
"""


class CommandLaboratory(Laboratory):
    """With a script and two profiles."""

    def __init__(self, harness, folder, head=HEAD):
        super().__init__(harness, folder, "command", head)
        folder.chmod(0o755)  # programs in containers are another user's
        (folder / "near.yaml").write_text("delay: 1ms\nrate: 50mbit\n")
        (folder / "far.yaml").write_text("delay: 20ms\nrate: 50mbit\n")
        (folder / "plain.py").write_text(PLAIN)

    def networks(self):
        """Those of ours that are up; containers of other tests may be there, too."""
        names = [one["name"] for one in json.loads(self.harness("ls", "--json").stdout)]
        return [name for name in names if name.startswith(own("command"))]


@pytest.fixture
def laboratory(harness, tmp_path):
    made = CommandLaboratory(harness, tmp_path)
    yield made
    made.close()


def read(path):
    return json.loads(path.read_text())


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def slugs(label):
    return [f"{profile}.ring.{label}.seed{seed}" for profile in ("near", "far") for seed in (0, 1)]


@pytest.mark.timing
def test_a_plain_script_is_compared_on_two_networks(laboratory):
    """Nothing in it knows of harness; what counts is found in what it prints."""
    measure = "measure: {regex: 'step (?P<step>.+): loss=(.+)'}\ntarget: {loss: 0.1}\n"
    command = "command: [python, plain.py, '{steps}']\ngrid: {steps: 30}\nenv: {SECRET: hunter2}\n"
    out, _ = laboratory.run(laboratory.write(command + measure))
    assert out.count("loss 0.033 at step 30  target at step 10") == 2
    assert out.count("loss 0.043 at step 30  target at step 12") == 2
    for slug in slugs("steps=30"):
        folder = laboratory.made / slug
        facts, ending = read(folder / "run.json"), read(folder / "end.json")
        assert facts["command"] == ["python", "plain.py", "30"]
        assert (facts["label"], facts["parameters"], facts["seed"]) == ("steps=30", {"steps": "30"}, int(slug[-1]))
        assert (ending["status"], ending["notes"]) == ("finished", [])
        logged = [line for line in lines_of(folder / "rank-0.jsonl") if line["kind"] == "log"]
        assert [line["step"] for line in logged] == list(range(1, 31))
        assert logged[9]["values"] == {"loss": round(0.1 + int(slug[-1]) / 100, 4)}
    near, far = (
        [line["time"] for line in lines_of(laboratory.made / f"{place}.ring.steps=30.seed0" / "rank-0.jsonl")]
        for place in ("near", "far")
    )
    assert (far[-1] - far[0]) - (near[-1] - near[0]) > 0.5 * 29 * 0.038, "38 ms a step"
    told = [path for path in laboratory.made.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert [path.name for path in told] == ["experiment.yaml"]
    assert laboratory.networks() == []


@pytest.mark.backend
def test_runs_at_the_same_time_end_together_by_one_signal_and_begin_anew(laboratory):
    path = Path(laboratory.write("command: [python, plain.py, '200']\nmeasure: {regex: 'loss=(.+)'}\nlimit: 1min\n"))
    runs = 2 if runtime_name() == DOCKER else 3  # one that has not begun when the others end
    path.write_text(path.read_text().replace("[0, 1]", str([*range(runs)])).replace(", ./far.yaml", ""))
    process = laboratory.start(str(path), "--jobs", "2")
    wait_for(lambda: len(list(laboratory.root.glob("*/*/rank-0.jsonl"))) == 2, 60)
    assert sorted(laboratory.networks()) == [f"{own('command')}-{number}" for number in (1, 2)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "2 runs at a time share" in errors
    assert "Traceback" not in errors
    assert laboratory.networks() == []
    endings = [read(path) for path in laboratory.made.glob("*/end.json")]
    assert [ending["status"] for ending in endings] == ["stopped", "stopped"]

    out, _ = laboratory.run("--resume", str(laboratory.made), "--jobs", "2")
    assert out.count("at step 200") == runs
    attempts = []
    for seed in range(runs):
        folder = laboratory.made / f"near.ring.plain.seed{seed}"
        attempts.append(read(folder / "run.json")["attempt"])
        assert read(folder / "end.json")["status"] == "finished"
        assert "2 runs at a time share" in read(folder / "end.json")["notes"][0]
        assert len([line for line in lines_of(folder / "rank-0.jsonl") if line["kind"] == "log"]) == 200
    assert sorted(attempts) == [1, 2, 2][-runs:]
    assert laboratory.networks() == []


FAILS = """
echo "begins"
if [ "$1$RANK" = bad1 ] && [ ! -e repaired ]; then echo "rank 1 has had enough"; exit 9; fi
exec sleep "$RANK"
"""


def test_one_run_fails_the_others_go_on_and_only_that_one_is_done_again(laboratory):
    (laboratory.folder / "job.sh").write_text(FAILS)
    grid = "command: [sh, job.sh, '{way}']\ngrid: {way: [bad, good]}\nmeasure: wall_time\n"
    path = Path(laboratory.write(grid))
    path.write_text(path.read_text().replace("[0, 1]", "0").replace(", ./far.yaml", ""))
    out, errors = laboratory.run(str(path), code=70)
    broken, fine = (laboratory.made / f"near.ring.way={way}.seed0" for way in ("bad", "good"))
    told = read(broken / "end.json")
    assert (told["status"], told["failed_rank"], told["code"]) == ("failed", 1, 9)
    assert told["last_lines"] == ["begins", "rank 1 has had enough"]
    assert re.search(rf"{re.escape(broken.name)} +failed: rank 1, exit code 9: rank 1 has had enough", out)
    assert f"1 run failed: {broken.name}; again: --resume {laboratory.made}" in errors
    before = (fine / "end.json").read_bytes()
    assert read(fine / "end.json")["status"] == "finished"

    (laboratory.folder / "repaired").touch()
    _, errors = laboratory.run("--resume", str(laboratory.made))
    assert "1 run; records in" in errors
    assert (fine / "end.json").read_bytes() == before
    facts, ending = read(broken / "run.json"), read(broken / "end.json")
    assert (ending["status"], ending["notes"], facts["attempt"]) == ("finished", [], 2)
    log = (broken / "rank-1.log").read_text()
    assert log.index("rank 1 has had enough") < log.index("--- attempt 2 ---")
    assert facts["plan"]["ipv4_subnet"] == read(fine / "run.json")["plan"]["ipv4_subnet"]
    assert laboratory.networks() == []


def test_a_target_ends_a_run_and_a_value_that_never_comes_is_a_note(harness, tmp_path):
    with contextlib.closing(CommandLaboratory(harness, tmp_path, HEAD.replace("[0, 1]", "[0]"))) as laboratory:
        target_and_note(laboratory)


def target_and_note(laboratory):
    text = "command: [python, plain.py, '{steps}']\ngrid: {steps: [3, 3000]}\nmeasure: {regex: 'loss=(.+)'}\n"
    laboratory.run(laboratory.write(text + "stop_at_target: true\ntarget: {loss: 0.2}\n"))
    for slug, reached in (("near.ring.steps=3000.seed0", 5), ("near.ring.steps=3.seed0", None)):
        ending = read(laboratory.made / slug / "end.json")
        assert (ending["status"], ending["reached_at_step"]) == ("finished", reached)

    laboratory.root = laboratory.folder / "other"
    text = "command: [python, plain.py, '3']\nmeasure: {jsonl: '{run_dir}/m.jsonl', key: loss}\n"
    out, _ = laboratory.run(laboratory.write(text))
    assert out.count("no loss was found; looked for a line of ") == 2
    (note,) = read(laboratory.made / "near.ring.plain.seed0" / "end.json")["notes"]
    assert str(laboratory.made / "near.ring.plain.seed0" / "m.jsonl") in note


@pytest.mark.torch
def test_the_example_trains_and_has_a_page(laboratory):
    """Plain PyTorch, from nothing to a page with one file of ten lines: all runs are planned, one is performed."""
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    example = Path(__file__).parents[2] / "examples" / "own_script.yaml"
    lines = [line for line in example.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) <= 10
    made = laboratory.folder / "own.yaml"
    (laboratory.folder / "own_script.py").write_text((example.parent / "own_script.py").read_text())
    made.write_text("\n".join(lines) + "\n")
    planned = laboratory.harness("experiment", "run", str(made), "--dry-run").stdout
    assert planned.count("ring.lr=") == 8
    one = {"[0.1, 0.05]": "0.1", "[local, wan]": "wan", "[0, 1]": "[1]"}
    for several, kept in one.items():
        made.write_text(made.read_text().replace(several, kept))
    out, _ = laboratory.run(str(made))
    assert out.count("target at step") == 1
    page = laboratory.harness("report", str(laboratory.made), "--format", "html")
    assert "report.html" in page.stdout
    text = (laboratory.made / "report" / "report.html").read_text()
    assert "lr=0.1" in text


@pytest.mark.backend
def test_a_scenario_is_an_axis_of_an_experiment(harness, tmp_path):
    tmp_path.chmod(0o755)  # see CommandLaboratory
    (tmp_path / "near.yaml").write_text("delay: 1ms\nrate: 50mbit\n")
    events = ["{at: 200ms, set: {edge: 0-1, delay: 40ms}}", "{at: step 2, down: {edge: 0-1}}", "{at: 60s, heal: all}"]
    (tmp_path / "slower.yaml").write_text("events:\n" + "".join(f"  - {event}\n" for event in events))
    word = '[ "{scenario}" = none ] || { sleep 1; echo 2 >> $HARNESS_STEP_FILE; sleep 1; }'
    command = f"command: [sh, -c, {json.dumps(word)}]\ngrid: {{scenario: [none, slower.yaml]}}\nmeasure: wall_time\n"
    made = Laboratory(harness, tmp_path, "scenario", "nodes: 2\ntopologies: ring\nprofiles: ./near.yaml\n")
    with contextlib.closing(made):
        _, said = made.run(made.write(command))
    still, moved = (made.made / f"near.ring.{name}.seed0" for name in ("sh", "sh-scenario=slower"))
    assert [read(run / "run.json")["scenario"] for run in (still, moved)] == [None, str(tmp_path / "slower.yaml")]
    assert not (still / "changes.jsonl").exists()
    first, second = lines_of(moved / "changes.jsonl")
    assert [edge["after"]["delay_s"] for edge in first["edges"]] == [0.04, 0.04]
    assert [edge["after"]["down"] for edge in second["edges"]] == [True, True]
    left = f"{tmp_path}/slower.yaml:4: events[2].heal: ended before 60.000 s: heal has not happened"
    assert f"harness: near.ring.sh-scenario=slower.seed0: {left}" in said
    reported = json.loads(harness("report", str(made.made), "--json").stdout)
    assert [run["label"] for run in reported["runs"]] == ["sh", "sh scenario=slower"]
