"""The command line where no kernel with netem is needed: unshaped networks, processes, bad input."""

import json
import re
import signal
import subprocess
import time

import pytest

from tests.support.cli import HARNESS, processes, wait_for

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
    wait_for(lambda: not processes(f"sleep\x00{seconds}") and not processes("keeper.py"))
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
        wait_for(lambda: not processes("keeper.py"))


BAD = {
    ("up", "--profile", "wann"): (2, "wan"),
    ("up", "--topology", "rign"): (2, "ring"),
    ("up", "--nodes", "0"): (2, "nodes"),
    ("up", "--nodes", "300", "--subnet", "10.1.0.0/24"): (2, "addresses|room"),
    ("up", "--subnet", "10.1.0.1/24"): (2, "subnet"),
    ("up", "--name", "../x"): (2, "name"),
    ("up", "--runtime", "moon"): (2, "runtime"),
    ("up", "-p", "none", "--congestion-control", "warp9"): (70, "congestion"),
    ("link", "set", "0-1"): (2, "nothing to set"),
    ("link", "set", "0-1", "--delay", "5"): (2, "--delay"),
    ("link", "set", "0-1", "--loss", "101%"): (2, "100%"),
    ("link", "set", "0-1", "--rate", "10mbps"): (2, "bps"),
    ("link", "set", "0-1", "--delay", "10ms"): (3, "not up"),
    ("verify",): (3, "not up"),
    ("bench",): (3, "not up"),
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
    assert json.loads(harness("ls", "--json").stdout) == []


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
        (("link", "set", "0:1", "--delay", "1ms"), "no edge"),
        (("link", "set", "0-1", "--jitter", "5ms"), "edge 0->1 (unshaped): jitter 5ms is over the delay"),
        (("exec", "9", "--", "true"), "no rank 9"),
        (("partition", "0,0|1"), "twice"),
        (("partition", "a|b"), "no rank"),
    ):
        assert told in harness(*words, code=2).stderr
    assert "no-such-program" in harness("exec", "0", "--", "no-such-program", code=70).stderr
    assert "already up" in harness("up", "-n", "2", "-p", "none", code=3).stderr
    assert harness("link", "show", "--json").stdout == before
