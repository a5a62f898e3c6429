"""Signals to all programs of a PID namespace: here to children of ours, as a /proc of links shows them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.linux.programs import HELPER, signal_programs

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


@pytest.fixture
def start(tmp_path):
    """Start programs, and have a folder that shows just these, as /proc does."""
    started = []

    def begin(*argv):
        started.append(subprocess.Popen(argv))
        os.symlink(f"/proc/{started[-1].pid}", tmp_path / str(started[-1].pid))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def state(process):
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_programs_are_signalled_and_helpers_are_spared(start, tmp_path):
    job, helper = start(*SLEEP), start(*SLEEP, HELPER)
    (tmp_path / "self").mkdir()
    os.symlink(f"/proc/{os.getpid()}", tmp_path / "1")
    signal_programs(str(tmp_path), signal.SIGKILL)
    assert job.wait(20) == -signal.SIGKILL
    assert helper.poll() is None


def test_who_stands_still_goes_on(start, tmp_path):
    job = start(*SLEEP)
    signal_programs(str(tmp_path), signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while state(job) != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(job) == "T"
    signal_programs(str(tmp_path), signal.SIGCONT)
    while state(job) == "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(job) in "RSD"


def test_only_those_that_are_meant_are_signalled(start, tmp_path):
    one, other = start(*SLEEP), start(*SLEEP)
    signal_programs(str(tmp_path), signal.SIGKILL, lambda folder: folder.endswith(f"/{one.pid}"))
    assert one.wait(20) == -signal.SIGKILL
    assert other.poll() is None


def test_one_that_has_ended_is_no_error(start, tmp_path):
    job = start("true")
    job.wait()
    signal_programs(str(tmp_path), signal.SIGKILL)
