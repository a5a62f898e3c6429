"""Finding a network of namespaces again, and the operating system's errors on the way."""

import contextlib
import errno
import json
import os

import pytest

from harness.errors import NetworkStateError, NodeError, UnavailableError
from harness.runtime import netns as module
from harness.runtime.base import Task
from harness.runtime.namespaces import Keeper, start_time
from harness.runtime.netns import NetnsRuntime
from tests.support.fakes import FakeEngine
from tests.support.plans import network

GOOD = {"pid": 7, "start": 8, "rootless": False, "hub": 3, "nodes": [4, 5]}
PLAN = network("ring", 3)


def test_a_network_is_found_again():
    runtime = NetnsRuntime.from_handle({"keeper": GOOD, "congestion_control": "reno"}, FakeEngine())
    assert json.loads(json.dumps(runtime.handle)) == {"keeper": GOOD, "congestion_control": "reno"}


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
        {"keeper": {**GOOD, "pid": "self"}, "congestion_control": "cubic"},
        {"keeper": {**GOOD, "pid": -1}, "congestion_control": "cubic"},
    ],
    ids=str,
)
def test_a_damaged_handle_is_a_clear_error(handle):
    with pytest.raises(NetworkStateError, match="does not say where its nodes are"):
        NetnsRuntime.from_handle(handle, FakeEngine())


@pytest.fixture
def runtime(monkeypatch):
    """In which to enter a node does nothing."""
    monkeypatch.setattr(Keeper, "namespaces", lambda self, ranks: contextlib.nullcontext([0 for _ in ranks]))
    monkeypatch.setattr(module.syscalls, "setns", lambda fd, kind: None)
    made = Keeper(os.getpid(), start_time(os.getpid()), False, 3, (0, 0, 0))
    return NetnsRuntime(FakeEngine(), keeper=made)


def test_an_error_of_the_system_in_one_node_is_that_nodes_answer(runtime, monkeypatch):
    perform = FakeEngine.apply

    def apply(self, node, touched=()):
        if node.rank == 1:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return perform(self, node, touched)

    monkeypatch.setattr(FakeEngine, "apply", apply)
    answers = runtime.call({rank: Task("apply", PLAN.node(rank)) for rank in range(3)})
    assert isinstance(answers[1], NodeError)
    assert str(answers[1]) == "node 1: shape its links: No buffer space available"
    assert not any(isinstance(answers[rank], Exception) for rank in (0, 2))


def test_an_error_of_the_system_while_wiring_names_the_node(runtime):
    def work(rank):
        if rank == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(NodeError, match=r"node 2: configure it: Too many open files; .*ulimit -n"):
        runtime.in_each(range(3), work, "configure it")


@pytest.mark.parametrize("call", ["pidfd_open", "pidfd_send_signal"])
def test_a_keeper_that_ends_by_itself_meanwhile_is_gone(runtime, monkeypatch, call):
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
    runtime.destroy()
    assert not runtime.alive


def test_too_many_open_files_of_the_keeper_has_a_remedy():
    with pytest.raises(UnavailableError, match="ulimit -n"):
        module._answer(json.dumps({"error": "Too many open files", "errno": errno.EMFILE}).encode())
