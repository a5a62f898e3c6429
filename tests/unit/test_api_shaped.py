"""Several jobs at once, and what is kept of those that have ended, with plain local processes as the nodes."""

import gc
import sys
import threading
import time
import weakref
from types import SimpleNamespace

import pytest

from harness.api import RankError, ShapedNetwork
from harness.errors import InputError, NetworkStateError
from harness.home import NETNS
from tests.support.plans import network as planned
from tests.unit.test_api_job import LocalRuntime


class Runtime(LocalRuntime):
    """The first program begins once ``gate`` is open."""

    name, python = NETNS, sys.executable

    def __init__(self):
        super().__init__()
        self.gate.set()
        self.reached = threading.Event()

    def spawn(self, rank, argv, *, env=None, stdio=None, own_group=True):
        self.reached.set()
        assert self.gate.wait(30)
        return super().spawn(rank, argv, env=env, stdio=stdio, own_group=own_group)


@pytest.fixture
def runtime():
    return Runtime()


@pytest.fixture
def net(runtime):
    made = SimpleNamespace(name="local", plan=planned("ring", 3), runtime=runtime, engine="none", down=lambda: None)
    with ShapedNetwork(made) as net:
        yield net


def in_thread(do):
    """Starts it; what it returns or raises is to be had from the function that this returns."""
    found = []

    def work():
        try:
            found.append(do())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def ended():
        thread.join(60)
        return found[0]

    return ended


def open_soon(gate):
    threading.Timer(0.5, gate.set).start()


PORT = ["sh", "-c", "echo $MASTER_PORT; sleep 0.5"]


def test_jobs_that_begin_in_two_threads_have_ports_of_their_own(net, runtime):
    runtime.gate.clear()
    first = in_thread(lambda: net.exec(PORT))
    assert runtime.reached.wait(30)
    second = in_thread(lambda: net.exec(PORT))
    open_soon(runtime.gate)
    ports = [{one.stdout for one in ended()} for ended in (first, second)]
    assert sorted(map(sorted, ports)) == [["29500\n"], ["29501\n"]]


def test_a_port_is_free_again_after_a_job_and_after_one_that_could_not_begin(net, runtime, monkeypatch):
    assert net.exec(PORT, ranks=[0])[0].stdout == "29500\n"
    with monkeypatch.context() as patch:
        patch.setattr("harness.api.shaped.Job", None)
        with pytest.raises(TypeError):
            net.exec(PORT)
    assert net.exec(PORT, ranks=[0])[0].stdout == "29500\n"


def test_a_job_that_begins_while_the_network_ends_is_stopped(net, runtime):
    runtime.gate.clear()
    ended = in_thread(lambda: net.exec(["sleep", "30"]))
    assert runtime.reached.wait(30)
    open_soon(runtime.gate)
    started = time.monotonic()
    net.down()
    error = ended()
    assert time.monotonic() - started < 20
    assert isinstance(error, NetworkStateError)


class Large:
    """What weak references can be made to."""


@pytest.fixture
def unpickled(monkeypatch):
    """Weak references to what nodes returned."""
    seen = []

    def value(*_):
        made = Large()
        seen.append(weakref.ref(made))
        return made

    monkeypatch.setattr("harness.api.answers.Answers._value", value)
    return seen


def test_results_that_were_asked_for_are_not_kept(net, unpickled):
    net.run(int, ranks=[0])
    net.start(int, ranks=[0]).result(60)
    net.start(int, ranks=[0]).result(60)
    gc.collect()
    assert [reference() is None for reference in unpickled] == [True, True, False]
    assert len(net._calls) == 1


def test_a_failure_that_nobody_asked_about_is_kept_and_a_success_is_not(net):
    assert net.start(int, ranks=[0])._job.wait(60)
    assert net.start(int, "no number", ranks=[1])._job.wait(60)
    assert net.run(int, ranks=[2]) == [0]
    last = net.start(int, ranks=[2])
    assert len(net._calls) == 2
    assert last.result(60) == [0]
    with pytest.raises(RankError, match="rank 1: ValueError"):
        net.down()
    net.down()


def test_a_function_may_have_parameters_of_any_name_but_ours(net):
    assert net.run(dict, ranks=[0], function=3, self=4) == [{"function": 3, "self": 4}]
    assert net.start(dict, ranks=[0], function=3).result(60) == [{"function": 3}]


def test_no_program_is_bad_input(net):
    with pytest.raises(InputError, match=r"^exec: name a program$"):
        net.exec([])


def test_output_is_kept_by_lines(net):
    assert net.exec(["printf", r"one\ntwo"], ranks=[0])[0].stdout == "one\ntwo\n"
