"""The command line where no kernel with netem is needed: unshaped networks, processes, bad input."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cli import HARNESS, own_processes, processes, wait_for

pytestmark = [pytest.mark.namespaces]


def test_run_sets_variables_prefixes_output_and_ends_with_the_first_failing_code(harness):
    script = "echo $RANK $WORLD_SIZE $LOCAL_RANK $MASTER_ADDR $MASTER_PORT $GLOO_SOCKET_IFNAME $NCCL_SOCKET_IFNAME"
    done = harness("run", "-n", "3", "-p", "none", "--", "sh", "-c", script)
    assert sorted(done.stdout.splitlines()) == [f"[{r}] {r} 3 0 10.77.0.1 29500 eth0 eth0" for r in range(3)]
    started = time.monotonic()
    done = harness("run", "-n", "3", "-p", "none", "--", "sh", "-c", "[ $RANK = 1 ] && exit 9; exec sleep 300", code=9)
    assert time.monotonic() - started < 60
    assert "rank 1 failed first (exit code 9)" in done.stderr
    assert harness("ls", "--json").stdout.strip() == "[]"
    assert not processes("sleep\x00300")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_run_leaves_nothing(harness, number, code):
    seconds = str(4000 + number)
    process = subprocess.Popen(
        [*HARNESS, "run", "-n", "3", "-p", "none", "--", "sleep", seconds], env=harness.env, start_new_session=True
    )
    try:
        wait_for(lambda: len(processes(f"sleep\x00{seconds}")) >= 3)
        process.send_signal(number)
        assert process.wait(60) == code
    finally:
        if process.poll() is None:
            process.kill()
    wait_for(lambda: not processes(f"sleep\x00{seconds}") and not own_processes("keeper.py"))
    harness("run", "-n", "2", "-p", "none", "--", "true")


def test_a_killed_up_leaves_nothing(harness):
    for delay in (0.1, 0.3, 0.5, 0.7, 0.9):
        process = subprocess.Popen(
            [*HARNESS, "up", "-n", "6", "-p", "none"], env=harness.env, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        process.kill()
        process.wait()
        harness("down")
        wait_for(lambda: not own_processes("keeper.py"))


def test_an_interrupted_up_says_nothing_of_what_it_had_started(harness):
    for moment in range(8):
        words = [sys.executable, "-m", "harness", "up", "-n", "40", "-p", "none"]
        process = subprocess.Popen(words, env=harness.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        time.sleep(0.2 + moment / 8)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]  # until the last process that could write there has ended
        assert "keeper.py" not in said
        assert "BrokenPipeError" not in said
        harness("down")


def test_a_program_that_cannot_be_started_ends_as_in_a_shell(harness, tmp_path):
    (tmp_path / "data").write_text("none")
    for program, code in (("no-such-program", 127), (tmp_path / "data" / "x", 127), (tmp_path / "data", 126)):
        done = harness("run", "-n", "2", "-p", "none", "--", str(program), code=code)
        assert f"node 0: start '{program}'" in done.stderr
    assert harness("ls", "--json").stdout.strip() == "[]"
    harness("up", "-n", "1", "-p", "none")
    harness("exec", "0", "--", "no-such-program", code=127)
    harness("exec", "all", "--", "no-such-program", code=127)
    harness("down")


def test_networks_that_are_no_more_are_forgotten_when_another_begins(harness, tmp_path):
    harness("up", "-n", "2", "-p", "none", "--name", "gone")
    for keeper in own_processes("keeper.py"):
        with contextlib.suppress(OSError):  # another test's, which has ended meanwhile
            if str(tmp_path).encode() in Path(f"/proc/{keeper}/environ").read_bytes():
                os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: harness("ls", "--json").stdout.strip() == "[]")
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"gone.json", "locks"}
    harness("run", "-n", "1", "-p", "none", "--", "true")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["locks"]


def test_who_reads_no_further_is_no_failed_verdict(harness):
    reader, writer = os.pipe()
    os.close(reader)
    words = [*HARNESS, "plan", "-n", "30", "--json"]
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run(words, env=harness.env, stdout=nobody, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


BAD = {
    ("up", "--profile", "wann"): (2, "wan"),
    ("up", "--topology", "rign"): (2, "ring"),
    ("up", "--nodes", "0"): (2, "nodes"),
    ("up", "--nodes", "300", "--subnet", "10.1.0.0/24"): (2, "addresses|room"),
    ("up", "--subnet", "10.1.0.1/24"): (2, "subnet"),
    ("up", "--name", "../x"): (2, "name"),
    ("up", "--runtime", "moon"): (2, "runtime"),
    ("up", "--runtime", "docker", "-t", "regions:2", "--trunk", "1gbit", "--dry-run"): (2, "containers cannot share a"),
    ("up", "-p", "none", "--congestion-control", "warp9"): (70, "congestion"),
    ("up", "--congestion-control", ""): (2, "--congestion-control '': write one"),
    ("up", "--subnet", "0.0.0.0/0"): (2, "not a network for hosts"),
    ("up", "--subnet6", "::/0"): (2, "not a network for hosts"),
    ("bench", "--sizes", "1KiB,0"): (2, "--sizes: '0' is nothing to send"),
    ("link", "set", "0-1"): (2, "nothing to set"),
    ("link", "set", "0-1", "--delay", "5"): (2, "--delay"),
    ("link", "set", "0-1", "--loss", "101%"): (2, "100%"),
    ("link", "set", "0-1", "--rate", "10mbps"): (2, "bps"),
    ("link", "set", "0-1", "--delay", "10ms"): (3, "not up"),
    ("traffic", "start", "0-1"): (2, "give a rate or flows"),
    ("traffic", "start", "0-1", "--rate", "10mbps"): (2, "bps"),
    ("traffic", "start", "0-1", "--rate", "1mbit", "--flows", "2"): (2, "not both"),
    ("traffic", "start", "2-2", "--flows", "2"): (2, "does not send to itself"),
    ("traffic", "start", "0-1", "--flows", "2"): (3, "not up"),
    ("traffic", "stop", "x"): (2, "is not a traffic number"),
    ("capture", "0-1"): (3, "not up"),
    ("capture", "0-1", "-c", "0"): (2, "a count of 0 packets"),
    ("capture", "0-1", "-s", "10"): (2, "take 64 to 65535, or 0"),
    **{("capture", "0-1", "--seconds", word): (2, "take more than 0") for word in ("0", "-1", "nan", "inf")},
    ("node", "set", "0"): (2, "nothing to set"),
    ("node", "set", "0", "--uplink", "fast"): (2, "--uplink: 'fast'"),
    ("node", "set", "0", "--uplink", "5mbit", "--queue", "sfq"): (2, "queue 'sfq' is unknown"),
    ("node", "set", "0", "--uplink", "5mbit"): (3, "not up"),
    ("trunk", "set", "eu-us"): (2, "nothing to set"),
    ("trunk", "show"): (3, "not up"),
    ("verify",): (3, "not up"),
    **{("verify", "--seconds", word): (2, "--seconds .*use 1 to 86400") for word in ("inf", "nan", "0", "-3")},
    ("bench",): (3, "not up"),
    ("run", "--until", "rank:4", "--", "true"): (2, "no such rank"),
    ("run", "--timeout", "5", "--", "true"): (2, "--timeout: '5' is not a time"),
    ("bench", "--warmup", "0"): (2, "warmup"),
    ("bench", "--collectives", "all_reduc"): (2, "all_reduce"),
    ("bench", "--sizes", "1KiB,5x"): (2, "--sizes"),
    ("up", "--nodes", "1024", "-t", "line", "-p", "none"): (2, "bridge"),
    ("exec", "0", "--", "true"): (3, "not up"),
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_clear_line_and_nothing_made(harness, words):
    code, told = BAD[words]
    done = harness(*words, code=code)
    assert re.search(told, done.stderr)
    assert "Traceback" not in done.stderr
    assert not list(Path(harness.env["HARNESS_STATE_DIR"]).glob("*.json")), "none is registered"


def test_one_node_has_nothing_to_measure(harness):
    harness("up", "-n", "1", "-p", "none")
    assert json.loads(harness("verify", "--json").stdout) == []
    assert "at least 2" in harness("bench", code=2).stderr


def test_dry_runs_change_nothing(harness):
    assert "0->1" in harness("up", "--nodes", "2", "--dry-run").stdout
    assert harness("ls", "--json").stdout.strip() == "[]"
    harness("up", "--nodes", "2", "--profile", "none")
    before = harness("link", "show", "--json").stdout
    for words in (["link", "set", "all", "--delay", "300ms"], ["link", "down", "0-1"], ["partition", "0|1"], ["down"]):
        harness(*words, "--dry-run")
    assert harness("link", "show", "--json").stdout == before


def test_bad_input_to_a_network_that_is_up(harness):
    harness("up", "-n", "3", "-t", "line", "-p", "none")
    before = harness("link", "show", "--json").stdout
    for words, told in (
        (("link", "set", "0-2", "--delay", "1ms"), "no edge 0-2"),
        (("link", "set", "0-7", "--delay", "1ms"), "no rank 7"),
        (("link", "set", "0:1", "--delay", "1ms"), "is not an edge"),
        (("link", "set", "٠-١", "--delay", "1ms"), "'٠-١' is not an edge"),
        (("partition", "٠|1"), "is not a rank"),
        (("exec", "٠", "--", "true"), "'٠' is not a rank"),
        (("link", "set", "0-1", "--jitter", "5ms"), "edge 0->1 (unshaped): jitter 5ms is over the delay"),
        (("node", "set", "7", "--uplink", "1mbit"), "no rank 7"),
        (("node", "set", "1-0", "--uplink", "1mbit"), "'1-0' is not a rank"),
        (("node", "set", "0-9", "--uplink", "1mbit"), "no rank 9"),
        (("node", "set", "0", "--cpu", "fast"), "--cpu: 'fast' is not a share of a CPU"),
        (("node", "set", "0", "--cpu", "99999%"), "node 0: 99999% of a CPU is more than this machine has"),
        (("node", "set", "0", "--queue", "codel"), "node 0 has no uplink or downlink yet; give a rate"),
        (("node", "set", "0", "--uplink", "1mbit", "--overhead", "9999"), "node 0: uplink: overhead 9999 is not"),
        (("node", "show", "9"), "no rank 9"),
        (("trunk", "set", "eu-us", "--rate", "1mbit"), "a trunk joins two regions, and this line has none"),
        (("exec", "9", "--", "true"), "no rank 9"),
        (("partition", "0,0|1"), "twice"),
        (("partition", "a|b"), "is not a rank"),
    ):
        assert told in harness(*words, code=2).stderr
    assert "no-such-program" in harness("exec", "0", "--", "no-such-program", code=127).stderr
    assert "already up" in harness("up", "-n", "2", "-p", "none", code=3).stderr
    assert harness("link", "show", "--json").stdout == before


def test_damaged_records_do_not_hide_the_other_networks(harness):
    folder = Path(harness.env["HARNESS_STATE_DIR"])
    harness("up", "-n", "2", "-p", "none", "--name", "good")
    record = json.loads((folder / "good.json").read_text())

    def damage():
        (folder / "aaa.json").write_text("{")
        (folder / "handle.json").write_text(json.dumps({**record, "name": "handle", "handle": {"keeper": {}}}))
        (folder / "plan.json").write_text(json.dumps({**record, "name": "plan", "plan": {}}))

    damage()
    done = harness("ls", "--json")
    assert [one["name"] for one in json.loads(done.stdout)] == ["good"]
    assert all(f"harness down --name {name}" in done.stderr for name in ("aaa", "handle", "plan"))
    assert "Traceback" not in done.stderr
    assert "good" in harness("ls").stdout
    assert "up are: good" in harness("verify", "--name", "other", code=3).stderr
    for verb in (["verify"], ["up", "-n", "2", "-p", "none"]):
        assert "harness down --name handle" in harness(*verb, "--name", "handle", code=3).stderr
    for name in ("aaa", "handle"):
        done = harness("down", "--name", name)
        assert done.stdout == f"removed: {name}\n"
        assert "damaged and is removed" in done.stderr
    damage()
    (folder / "plan.json").unlink()  # its handle is that of the good one
    assert harness("down", "--all", "--dry-run").stdout == "would remove: aaa, good, handle\n"
    assert harness("down", "--all").stdout == "removed: aaa, good, handle\n"
    wait_for(lambda: not own_processes("keeper.py"))


def test_down_all_goes_on_after_a_record_that_cannot_be_removed(harness):
    folder = Path(harness.env["HARNESS_STATE_DIR"])
    harness("up", "-n", "1", "-p", "none", "--name", "good")
    (folder / "aaa.json").mkdir()
    done = harness("down", "--all", code=70)
    assert done.stdout == "removed: good\n"
    assert "network 'aaa'" in done.stderr
    assert "Traceback" not in done.stderr
    (folder / "aaa.json").rmdir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["exec", "0", "--name", "phones", "--", "ping", "-c", "1"],
            "options go before the rank: harness exec --name phones 0 -- ping -c 1",
        ),
        (["exec", "0", "-x", "ping"], "options go before the rank: harness exec OPTIONS 0 -- PROGRAM ..."),
        (
            ["run", "-n", "2", "--", "-p", "none", "--", "true"],
            "options go before '--': harness run -p none -- true",
        ),
    ],
)
def test_options_in_the_place_of_the_program(harness, words, told):
    assert told in harness(*words, code=2).stderr


def test_a_python_file_in_the_place_of_the_program(harness, tmp_path):
    (tmp_path / "train.py").write_text("print(1)\n")
    script = str(tmp_path / "train.py")
    for words in (
        ["run", "-p", "none", "--", script, "--lr", "1"],
        ["run", "train.py"],
        ["exec", "0", "--", "train.py"],
    ):
        done = harness(*words, code=2)
        assert "is a Python file, not a program: harness" in done.stderr
        assert re.search(rf"-- python {words[-1] if words[-1] != '1' else script}", done.stderr)
    (tmp_path / "train.py").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "train.py").chmod(0o755)
    assert "[0] ran" in harness("run", "-n", "2", "-p", "none", "--", script).stdout


def test_one_rank_ends_the_others(harness):
    script = "[ $RANK = 0 ] && exit 0; exec sleep 300"
    for until in ("rank:0", "first"):
        started = time.monotonic()
        done = harness("run", "-n", "3", "-p", "none", "--until", until, "--", "sh", "-c", script)
        assert time.monotonic() - started < 60
        assert "harness: 2 ranks still ran and were stopped" in done.stderr


def test_the_time_of_a_run_is_over(harness):
    done = harness("run", "-n", "2", "-p", "none", "--timeout", "1s", "--", "sleep", "300", code=124)
    assert "stopped by --timeout: ranks 0, 1 still ran; exit code 124" in done.stderr


def test_a_node_sees_no_network_and_says_so(harness):
    harness("up", "-n", "2", "-p", "none")
    done = harness("exec", "1", "--", *HARNESS, "link", "set", "0-1", "--delay", "1ms", code=3)
    assert "this is node 1 of a network; networks cannot be seen or changed inside a node" in done.stderr
    assert "start it with" not in done.stderr


def test_python_in_a_node_is_the_one_of_this_environment(harness):
    if sys.prefix == sys.base_prefix:
        pytest.skip("this Python is in no virtual environment")
    harness.env.pop("VIRTUAL_ENV", None)
    harness.env["PATH"] = "/usr/bin:/bin"
    show = "import sys; print(sys.prefix)"
    harness("up", "-n", "2", "-p", "none")
    assert harness("exec", "0", "--", "python", "-c", show).stdout == f"{sys.prefix}\n"
    assert (
        f"[1] {sys.prefix}\n"
        in harness("run", "--name", "two", "-n", "2", "-p", "none", "--", "python", "-c", show).stdout
    )
    harness.env["VIRTUAL_ENV"] = "/usr"  # the user has chosen another one
    assert harness("exec", "0", "--", "sh", "-c", "echo $PATH").stdout == "/usr/bin:/bin\n"


def limited(flag, number):
    return ["sh", "-c", f'ulimit {flag} {number}; exec "$@"', "sh"]


def test_more_nodes_than_the_soft_limit_of_open_files(harness):
    harness.wrapper = limited("-Sn", 64)
    harness("up", "-n", "80", "-t", "line", "-p", "none")
    assert harness("exec", "79", "--", "sh", "-c", "ulimit -Sn").stdout == "64\n"
    assert harness("exec", "all", "--", "true").stdout == ""


def test_more_nodes_than_the_hard_limit_of_open_files_has_a_remedy(harness):
    for limit in (64, 84):  # where the keeper has too many, and where we have
        harness.wrapper = limited("-n", limit)
        done = harness("up", "-n", "80", "-t", "line", "-p", "none", code=69)
        assert "Too many open files; " in done.stderr
        assert "ulimit -n" in done.stderr


def test_what_is_said_of_one_node_is_true(harness):
    done = harness("up", "-n", "1", "-p", "none")
    assert ": 1 node, " in done.stdout
    assert "10.77.0.2" not in done.stderr
    assert "exec 0 -- ip address" in done.stderr


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("[ $RANK = 1 ] || exit 0; sleep 2; exit 9", "rank 1 failed first (exit code 9)\n"),
        ("[ $RANK = 0 ] && exit 0; [ $RANK = 1 ] || exec sleep 99; sleep 2; exit 9", "; 1 other was stopped\n"),
        ("[ $RANK = 1 ] || exec sleep 99; sleep 2; exit 9", "; 2 others were stopped\n"),
    ],
)
def test_only_who_still_ran_was_stopped(harness, script, told):
    assert harness("run", "-n", "3", "-p", "none", "--", "sh", "-c", script, code=9).stderr.endswith(told)


def test_doctor_tells_of_ipv6(harness):
    found = subprocess.run([*HARNESS, "doctor", "--json"], env=harness.env, capture_output=True, text=True, timeout=60)
    features = {feature["name"]: feature for feature in json.loads(found.stdout)["features"]}
    assert features["ipv6"]["ok"] == Path("/proc/sys/net/ipv6").is_dir()
    assert features["ipv6"]["needed_by"] == []
