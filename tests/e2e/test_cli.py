"""The command line as a user meets it, on the real kernel."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]
HARNESS = [sys.executable, "-m", "harness.cli.main"]


@pytest.fixture
def harness(tmp_path):
    """Run the command; what it left up is removed."""
    env = {**os.environ, "HARNESS_STATE_DIR": str(tmp_path / "state"), "COLUMNS": "200"}

    def command(*words, code=0, **options):
        done = subprocess.run([*HARNESS, *words], env=env, capture_output=True, text=True, timeout=120, **options)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    command.env = env
    yield command
    command("down", "--all")


def processes(word):
    """Process ids whose command line has this word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(entry.name))
    return found


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def test_the_life_of_a_network(harness):
    harness("up", "--nodes", "3", "--topology", "ring", "--profile", "wan", "--seed", "5")
    shown = json.loads(harness("link", "show", "--json").stdout)
    assert [(one["src"], one["dst"]) for one in shown] == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    for one in shown:
        assert one["mismatch"] is None
        assert one["applied"]["delay_s"] == one["requested"]["delay_s"]
        assert one["applied"]["rate_bit_s"] == one["requested"]["rate_bit_s"]
        assert one["applied"]["loss"] == pytest.approx(one["requested"]["loss"], rel=1e-6)
    planned = harness("plan", "-n", "3", "-t", "ring", "-p", "wan", "--seed", "5", "--json").stdout
    for edge, one in zip(json.loads(planned)["edges"], shown, strict=True):
        assert one["requested"]["delay_s"] == edge["delay_s"]

    done = json.loads(harness("link", "set", "0-1", "--delay", "120ms", "--jitter", "10%", "--json").stdout)
    assert [(e["src"], e["dst"]) for e in done["changed"]] == [(0, 1), (1, 0)]
    assert done["changed"][0]["jitter_s"] == pytest.approx(0.012)
    one = json.loads(harness("link", "show", "0-1", "--json").stdout)[0]
    assert one["applied"]["delay_s"] == 0.12

    harness("exec", "1", "--", "ping", "-c", "2", "-i", "0.2", "10.77.0.1")
    one = json.loads(harness("link", "show", "0-1", "--json").stdout)[0]
    assert one["stats"]["sent_packets"] >= 2
    assert harness("exec", "2", "--", "sh", "-c", "echo $RANK/$WORLD_SIZE; exit 7", code=7).stdout == "2/3\n"

    cut = json.loads(harness("partition", "0|1,2", "--json").stdout)["changed"]
    assert {(e["src"], e["dst"]) for e in cut} == {(0, 1), (1, 0), (0, 2), (2, 0)}
    harness("exec", "0", "--", "ping", "-c", "1", "-W", "1", "10.77.0.3", code=1)
    harness("heal")
    harness("exec", "0", "--", "ping", "-c", "1", "-W", "5", "10.77.0.3")

    listed = json.loads(harness("ls", "--json").stdout)
    assert [(one["name"], one["nodes"], one["engine"]) for one in listed] == [("default", 3, "netem")]
    assert "removed: default" in harness("down").stdout
    assert "not up" in harness("down").stdout
    harness("link", "show", code=3)


def test_dry_runs_change_nothing(harness):
    assert "0->1" in harness("up", "--nodes", "2", "--dry-run").stdout
    assert harness("ls", "--json").stdout.strip() == "[]"
    harness("up", "--nodes", "2", "--profile", "wan")
    before = harness("link", "show", "--json").stdout
    for words in (["link", "set", "all", "--delay", "300ms"], ["link", "down", "0-1"], ["partition", "0|1"], ["down"]):
        harness(*words, "--dry-run")
    assert harness("link", "show", "--json").stdout == before


def test_run_sets_variables_prefixes_output_and_ends_with_the_first_failing_code(harness):
    script = "echo $RANK $WORLD_SIZE $LOCAL_RANK $MASTER_ADDR $MASTER_PORT $GLOO_SOCKET_IFNAME $NCCL_SOCKET_IFNAME"
    done = harness("run", "-n", "3", "-p", "wan", "--", "sh", "-c", script)
    assert sorted(done.stdout.splitlines()) == [f"[{r}] {r} 3 0 10.77.0.1 29500 eth0 eth0" for r in range(3)]
    started = time.monotonic()
    done = harness("run", "-n", "3", "-p", "wan", "--", "sh", "-c", '[ $RANK = 1 ] && exit 9; exec sleep 300', code=9)
    assert time.monotonic() - started < 60
    assert "rank 1 failed first (exit code 9)" in done.stderr
    assert harness("ls", "--json").stdout.strip() == "[]"
    assert not processes("sleep\x00300")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_run_leaves_nothing(harness, number, code):
    seconds = str(4000 + number)
    process = subprocess.Popen(
        [*HARNESS, "run", "-n", "3", "-p", "wan", "--", "sleep", seconds], env=harness.env, start_new_session=True
    )
    try:
        wait_for(lambda: len(processes(f"sleep\x00{seconds}")) >= 3)
        process.send_signal(number)
        assert process.wait(60) == code
    finally:
        if process.poll() is None:
            process.kill()
    wait_for(lambda: not processes(f"sleep\x00{seconds}") and not processes("keeper.py"))
    harness("run", "-n", "2", "-p", "wan", "--", "true")


def test_a_killed_up_leaves_nothing(harness):
    for delay in (0.3, 1.0, 2.0, 3.0):
        process = subprocess.Popen([*HARNESS, "up", "-n", "6", "-p", "wan"], env=harness.env, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
        harness("down")
        wait_for(lambda: not processes("keeper.py"))


def test_two_commands_that_change_one_network_take_turns(harness):
    harness("up", "-n", "2", "-p", "none")
    commands = [
        [*HARNESS, "link", "set", "0-1", "--one-way", "--delay", "10ms"],
        [*HARNESS, "link", "set", "1-0", "--one-way", "--delay", "20ms"],
        [*HARNESS, "link", "set", "0-1", "--one-way", "--loss", "1%"],
    ]
    running = [subprocess.Popen(words, env=harness.env, stdout=subprocess.DEVNULL) for words in commands]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    there, back = json.loads(harness("link", "show", "--json").stdout)
    assert (there["applied"]["delay_s"], back["applied"]["delay_s"]) == (0.01, 0.02)
    assert there["applied"]["loss"] == pytest.approx(0.01)
    assert there["mismatch"] is back["mismatch"] is None


def test_a_network_changed_behind_our_back_is_told(harness):
    harness("up", "-n", "2", "-p", "wan")
    harness("exec", "0", "--", "tc", "qdisc", "change", "dev", "eth0", "parent", "1:2", "handle", "11:", "netem", "delay", "1s")
    shown = harness("link", "show")
    assert "differs" in shown.stdout
    assert "edge 0->1: the kernel does not hold what was requested" in shown.stderr


BAD = {
    ("up", "--profile", "wann"): (2, "wan"),
    ("up", "--topology", "rign"): (2, "ring"),
    ("up", "--nodes", "0"): (2, "nodes"),
    ("up", "--nodes", "300", "--subnet", "10.1.0.0/24"): (2, "addresses|room"),
    ("up", "--subnet", "10.1.0.1/24"): (2, "subnet"),
    ("up", "--name", "../x"): (2, "name"),
    ("up", "--runtime", "moon"): (2, "runtime"),
    ("up", "--congestion-control", "warp9"): (70, "congestion"),
    ("link", "set", "0-1"): (2, "nothing to set"),
    ("link", "set", "0-1", "--delay", "5"): (2, "--delay"),
    ("link", "set", "0-1", "--loss", "101%"): (2, "100%"),
    ("link", "set", "0-1", "--rate", "10mbps"): (2, "bps"),
    ("link", "set", "0-1", "--delay", "10ms"): (3, "not up"),
    ("verify",): (3, "not up"),
    ("bench",): (3, "not up"),
    ("exec", "0", "--", "true"): (3, "not up"),
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_clear_line_and_nothing_made(harness, words):
    import re

    code, told = BAD[words]
    done = harness(*words, code=code)
    assert re.search(told, done.stderr)
    assert "Traceback" not in done.stderr
    assert json.loads(harness("ls", "--json").stdout) == []


def test_bad_input_to_a_network_that_is_up(harness):
    harness("up", "-n", "3", "-t", "line", "-p", "wan")
    before = harness("link", "show", "--json").stdout
    for words, told in (
        (("link", "set", "0-2", "--delay", "1ms"), "no edge 0-2"),
        (("link", "set", "0-7", "--delay", "1ms"), "no rank 7"),
        (("link", "set", "0:1", "--delay", "1ms"), "no edge"),
        (("link", "set", "0-1", "--delay", "1us"), "jitter"),
        (("exec", "9", "--", "true"), "no rank 9"),
        (("partition", "0,0|1"), "twice"),
        (("partition", "a|b"), "no rank"),
    ):
        assert told in harness(*words, code=2).stderr
    assert "no-such-program" in harness("exec", "0", "--", "no-such-program", code=70).stderr
    assert "already up" in harness("up", "-n", "2", code=3).stderr
    assert harness("link", "show", "--json").stdout == before


@pytest.mark.skipif(os.geteuid() != 0, reason="changes to another user")
def test_rootless(harness, tmp_path):
    folder = tmp_path / "rootless"
    folder.mkdir()
    os.chmod(folder, 0o777)
    for parent in folder.parents:
        if parent != Path("/tmp") and str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    env = {**harness.env, "HARNESS_STATE_DIR": str(folder), "HOME": str(folder)}
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

    def rootless(*words):
        done = subprocess.run([*user, *HARNESS, *words], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    rootless("up", "-n", "3", "-t", "line", "-p", "wan")
    try:
        rootless("link", "set", "0-1", "--delay", "40ms", "--jitter", "0")
        assert "time=8" in rootless("exec", "0", "--", "ping", "-c", "1", "10.77.0.2")
        shown = json.loads(rootless("link", "show", "--json"))
        assert all(one["mismatch"] is None for one in shown)
    finally:
        rootless("down")
    assert not processes("keeper.py")
