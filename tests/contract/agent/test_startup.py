"""The agent's process before there is a network: wrong settings, and early stops."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cli import wait_for

AGENT = [sys.executable, "-c", "import sys; from harness.agent.main import main; sys.exit(main())"]
GIVEN = {"HARNESS_NAMES": "harness-test-{}.invalid"}
CLEAN = {name: value for name, value in os.environ.items() if name not in ("NODES", "TOPOLOGY", "PROFILE", "ENGINE")}


def start(*command, **variables):
    env = {**CLEAN, **variables}
    return subprocess.Popen([*AGENT, *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "wrong",
    [{"TOPOLOGY": "nope"}, {"ENGINE": "x"}, {"NODES": "0"}, {"PROFILE": "nope"}, {"SEED": "x"}, {"ON_FAILURE": "x"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_stop_hides_no_wrong_variable(wrong):
    """Compose stops the other nodes as soon as one has ended, and takes the last one's exit code."""
    for seconds in (0.05, 0.7, 2.8, 11.2):  # the first before it has read them, the last long after
        process = start("true", **GIVEN, **wrong)
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode in (2, -signal.SIGTERM)
        if process.returncode == 2:
            return
    pytest.fail("a stop hid it")


def test_a_congestion_control_that_the_kernel_has_not_is_as_wrong_on_every_node():
    """Only the kernel knows which exist, and only a process that may shape links asks it (77: this one may not)."""
    process = start("true", **GIVEN, CONGESTION_CONTROL="warp9")
    said = process.communicate(timeout=30)[1]
    assert process.returncode in (2, 77)
    assert process.returncode == 77 or "CONGESTION_CONTROL=warp9: this kernel has no such" in said


def test_a_stop_of_one_that_is_right_is_a_stop():
    """Before, it has set no_new_privs for itself and its jobs, whatever the container's options."""
    process = start("true", **GIVEN)
    status = Path(f"/proc/{process.pid}/status")
    wait_for(lambda: process.poll() is not None or "NoNewPrivs:\t1" in status.read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (128 + signal.SIGTERM, 77)  # 77: may not shape links here


def test_the_image_by_itself_runs_what_it_is_given():
    process = start("sh", "-c", "echo here")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "here\n")
    assert "HARNESS_NAMES" not in err
    assert "running the command alone, unshaped" in err


@pytest.mark.parametrize(("words", "text"), [([], "docker compose up"), (["no-such-program"], "no program is called")])
def test_by_itself_with_nothing_to_run(words, text):
    process = start(*words)
    assert text in process.communicate(timeout=30)[1]
    assert process.returncode == 2
