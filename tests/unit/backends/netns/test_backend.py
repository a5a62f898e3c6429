"""Finding a network of namespaces again, and the operating system's errors on the way."""

import contextlib
import errno
import fcntl
import json
import os
import resource
import signal

import pytest

from harness.backends.base import Task
from harness.backends.netns import backend as module
from harness.backends.netns import keeper_process
from harness.backends.netns.backend import NetnsBackend
from harness.backends.netns.namespaces import Keeper, start_time
from harness.errors import HarnessError, InputError, NetworkStateError, NodeError, UnavailableError
from tests.support.fakes import FakeEngine
from tests.support.plans import network

GOOD = {"pid": 7, "start": 8, "rootless": False, "bridge": 3, "nodes": [4, 5], "firsts": [2, 3]}
PLAN = network("ring", 3)
MANY = 1500


def test_a_network_is_found_again():
    handle = {"keeper": GOOD, "congestion_control": "reno", "cpu_groups": "/sys/fs/cgroup/cpu"}
    assert json.loads(json.dumps(NetnsBackend.from_handle(handle, FakeEngine()).handle)) == handle


@pytest.mark.parametrize(
    "handle",
    [
        {},
        [],
        None,
        "x",
        {"keeper": {}},
        {"keeper": None},
        {"keeper": GOOD},
        {"keeper": {**GOOD, "surprise": 1}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "nodes": 5}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "nodes": "45"}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "firsts": [2]}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "pid": "self"}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "pid": -1}, "congestion_control": "cubic"},
    ],
    ids=str,
)
def test_a_damaged_handle_is_a_clear_error(handle):
    with pytest.raises(NetworkStateError, match="its registration does not say where its nodes are"):
        NetnsBackend.from_handle(handle, FakeEngine())


@pytest.fixture
def backend(monkeypatch):
    """In which to enter a node does nothing."""
    monkeypatch.setattr(Keeper, "namespaces", lambda self, ranks: contextlib.nullcontext([0 for _ in ranks]))
    monkeypatch.setattr(module.syscalls, "setns", lambda fd, kind: None)
    made = Keeper(os.getpid(), start_time(os.getpid()), False, 3, (0, 0, 0), (os.getpid(),) * 3)
    return NetnsBackend(FakeEngine(), keeper=made)


@pytest.fixture
def many_files():
    """Gives a file a number beyond those that select takes."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] <= MANY:
        pytest.skip("may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], MANY + 1), limits[1]))
    yield lambda fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, MANY)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_an_error_of_the_system_in_one_node_is_that_nodes_answer(backend, monkeypatch):
    perform = FakeEngine.apply

    def apply(self, node, touched=()):
        if node.rank == 1:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return perform(self, node, touched)

    monkeypatch.setattr(FakeEngine, "apply", apply)
    answers = backend.call({rank: Task("apply", PLAN.node(rank)) for rank in range(3)})
    assert isinstance(answers[1], NodeError)
    assert str(answers[1]) == "node 1: shape its links: No buffer space available"
    assert not any(isinstance(answers[rank], Exception) for rank in (0, 2))


def test_nodes_keep_their_engines_and_those_that_were_not_used_for_long_are_closed(backend, monkeypatch):
    class Engine(FakeEngine):
        def another(self):
            made.append(Engine())
            return made[-1]

        def close(self):
            closed.append(made.index(self))

    made, closed, backend.engine = [], [], Engine()
    monkeypatch.setattr(module, "OPEN_ENGINES", 2)
    for ranks in ((0, 1), (0, 1), (1,), (2,), (0, 1, 2)):
        tasks = {rank: Task("apply", PLAN.node(rank)) for rank in ranks}
        assert list(backend.call(tasks)) == list(ranks)
    assert closed == [0, 2, 3]
    monkeypatch.setattr(module, "end_keeper", lambda pid: None)
    backend.destroy()
    assert sorted(closed) == list(range(len(made))) == list(range(5))


def test_an_error_of_the_system_while_wiring_names_the_node(backend):
    def work(rank):
        if rank == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(NodeError, match=r"node 2: configure it: Too many open files; .*ulimit -n"):
        backend.in_each(range(3), work, "configure it")


def test_ctrl_c_on_the_way_home_waits_until_it_is_home(backend, monkeypatch):
    home, entered = os.stat("/proc/self/ns/net").st_ino, []

    def setns(fd, kind):
        if fd and len(entered) == 3:
            signal.raise_signal(signal.SIGINT)
        entered.append(os.fstat(fd).st_ino if fd else 0)

    monkeypatch.setattr(module.syscalls, "setns", setns)
    with pytest.raises(KeyboardInterrupt):
        backend.in_each(range(3), lambda rank: rank)
    assert entered == [0, 0, 0, home]


def test_a_keeper_ends_also_where_this_process_has_many_files_open(backend, monkeypatch, many_files):
    reader, writer = os.pipe()
    os.close(writer)
    monkeypatch.setattr(Keeper, "alive", True)
    monkeypatch.setattr(module.os, "pidfd_open", lambda pid: many_files(reader))
    monkeypatch.setattr(module.signal, "pidfd_send_signal", lambda *_: None)
    backend.destroy()
    os.close(reader)


def test_a_keeper_that_does_not_end_is_not_forgotten(backend, monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setattr(Keeper, "alive", True)
    monkeypatch.setattr(module.os, "pidfd_open", lambda pid: os.dup(reader))
    monkeypatch.setattr(module.signal, "pidfd_send_signal", lambda *_: None)
    monkeypatch.setattr(keeper_process, "_END_SECONDS", 0.01)
    for _ in range(2):
        with pytest.raises(HarnessError, match="does not end; kill it by hand"):
            backend.destroy()
    assert backend.alive
    os.close(writer)
    backend.destroy()
    assert not backend.alive
    os.close(reader)


def test_the_current_folder_was_deleted(backend, monkeypatch, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(Keeper, "open", lambda self, path: os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(InputError, match=r"current folder, which is gone .No such file.*; cd to another$"):
        backend.spawn(0, ["true"])
    assert os.listdir("/proc/self/fd") == before


def test_a_keeper_that_ends_meanwhile_leaves_nothing_open(backend, monkeypatch):
    def open_first(self, path):
        if "ns/" in path:
            raise NetworkStateError("ended")
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    monkeypatch.setattr(Keeper, "open", open_first)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NetworkStateError, match="ended"):
        backend.spawn(0, ["true"])
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("call", ["pidfd_open", "pidfd_send_signal"])
def test_a_keeper_that_ends_by_itself_meanwhile_is_gone(backend, monkeypatch, call):
    def vanished(*_):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    monkeypatch.setattr(Keeper, "alive", True)
    if call == "pidfd_send_signal":
        reader, writer = os.pipe()
        os.close(writer)
        monkeypatch.setattr(module.os, "pidfd_open", lambda pid: reader)
        monkeypatch.setattr(module.signal, "pidfd_send_signal", vanished)
    else:
        monkeypatch.setattr(module.os, "pidfd_open", vanished)
    backend.destroy()
    assert not backend.alive


def test_too_many_open_files_of_the_keeper_has_a_remedy():
    with pytest.raises(UnavailableError, match="ulimit -n"):
        keeper_process._answer(json.dumps({"error": "Too many open files", "errno": errno.EMFILE}).encode())
