"""A launch in a thread, with local processes as nodes."""

import os
import signal
import subprocess
import threading
import time

import pytest

from harness.api import program as module
from harness.api.program import NodeProgram
from harness.errors import NetworkStateError, NodeError
from tests.support.plans import network

PLAN = network("ring", 3)


class LocalBackend:
    """Starts the program here; the rank ``refused`` cannot."""

    environ = os.environ

    def __init__(self, refused=None):
        self.refused = refused
        self.started = []

    def spawn(self, rank, argv, *, env=None, stdio=None, own_group=True, cwd=None):
        if rank == self.refused:
            raise NodeError(rank, "start it", "no such program")
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            start_new_session=own_group,
            cwd=cwd,
        )
        self.started.append(rank)
        return process


@pytest.fixture
def make():
    """Makes a job of a shell script on every node."""
    jobs = []

    def made(script, *, backend=None, sink=lambda *_: None, **options):
        lock = threading.RLock()
        settings = {"ranks": range(3), "env": {}, "master_port": 1, "lock": lock, **options}
        jobs.append(NodeProgram(backend or LocalBackend(), PLAN, ["sh", "-c", script], sink, **settings))
        return jobs[-1]

    yield made
    for job in jobs:
        job.stop()


@pytest.fixture
def begin(make):
    """Makes a job and starts it."""

    def begun(script, **options):
        job = make(script, **options)
        job.begin()
        return job

    return begun


def threads():
    """The names of running threads."""
    return [thread.name for thread in threading.enumerate()]


def test_every_rank_reads_the_whole_payload(begin):
    lines = []
    payload = b"0123456789" * 200_000
    job = begin("wc -c", sink=lambda rank, stream, line: lines.append((rank, int(line))), payload=payload)
    assert job.wait(60)
    assert sorted(lines) == [(rank, len(payload)) for rank in range(3)]
    assert job.outcome().codes == {0: 0, 1: 0, 2: 0}
    assert not job.running


def test_unended_names_the_ranks_that_still_run(begin):
    job = begin("test $RANK = 1 || exec sleep 100")
    deadline = time.monotonic() + 30
    while job.unended() != [0, 2] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.unended() == [0, 2]
    assert not job.wait(0.05)
    assert job.running


def test_a_stopped_job_has_no_outcome(begin):
    job = begin("exec sleep 100")
    job.stop()
    assert job.unended() == []
    with pytest.raises(NetworkStateError, match="stopped"):
        job.outcome()
    job.stop()


def test_a_program_that_ignores_sigterm_is_killed(begin, monkeypatch):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)
    ready = threading.Event()
    seen = set()

    def sink(rank, stream, line):
        seen.add(rank)
        if len(seen) == 3:
            ready.set()

    job = begin("trap '' TERM; echo ready; while :; do sleep 0.1; done", sink=sink)
    assert ready.wait(60)
    job.stop()
    assert not job.running


def test_a_job_that_has_ended_was_not_stopped(begin):
    job = begin("exit 3", ranks=[2])
    assert job.wait(60)
    job.stop()
    assert job.outcome().codes == {2: 3}


def test_a_rank_that_cannot_start_is_the_error_and_the_others_end(begin):
    job = begin("exec sleep 100", backend=LocalBackend(refused=1))
    assert job.wait(60)
    assert job.unended() == [1, 2]
    with pytest.raises(NodeError, match="node 1"):
        job.outcome()


def test_an_error_of_the_sink_is_the_outcome(begin):
    def broken(rank, stream, line):
        raise ValueError("closed file")

    job = begin("echo; exec sleep 100", sink=broken)
    assert job.wait(60)
    with pytest.raises(ValueError, match="closed file"):
        job.outcome()


def test_an_interrupt_while_programs_begin_stops_those_that_have(begin):
    class Interrupted(LocalBackend):
        def spawn(self, rank, argv, **options):
            if rank == 1:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
                assert interrupt.wait(30)
            return super().spawn(rank, argv, **options)

    def interrupted(*_):
        interrupt.set()
        raise KeyboardInterrupt

    interrupt = threading.Event()
    backend = Interrupted()
    before = signal.signal(signal.SIGUSR1, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            begin("exec sleep 100", backend=backend)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert backend.started[:1] == [0]
    assert "harness-job" not in threads()


def test_an_interrupt_as_its_thread_begins_stops_the_programs(begin, monkeypatch):
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            begin("exec sleep 10")
    assert "harness-job" not in threads()


def test_a_thread_that_starts_after_an_interrupt_starts_no_program(make, monkeypatch):
    backend, late = LocalBackend(), []

    def interrupted(thread):
        late.append(thread)
        raise KeyboardInterrupt

    job = make("exec sleep 10", backend=backend)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            job.begin()
    late[0].start()
    late[0].join(30)
    assert backend.started == []
    assert job.ended


def test_a_job_that_is_stopped_before_it_begins_runs_nothing(make):
    backend = LocalBackend()
    job = make("exec sleep 10", backend=backend)
    assert not job.ended
    job.stop()
    job.begin()
    assert job.wait(30)
    assert backend.started == []
    with pytest.raises(NetworkStateError, match="stopped"):
        job.outcome()


def test_asking_whether_a_program_runs_does_not_reap_it():
    with subprocess.Popen(["sleep", "0.05"]) as process:
        while module._runs(process):
            time.sleep(0.01)
        os.close(os.pidfd_open(process.pid))  # not reaped
        assert process.wait() == 0
        assert not module._runs(process)
