"""Several jobs at once, what is kept of ended ones, and bad input, with local processes as nodes."""

import gc
import sys
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.api import jobs as module
from harness.api.failures import RankError
from harness.api.shaped import ShapedNetwork
from harness.errors import InputError, NetworkStateError
from harness.networks.backends import NETNS
from harness.networks.network import Reshaped
from tests.support.cli import wait_for
from tests.support.plans import network as planned
from tests.unit.api.test_program import LocalBackend, threads


class Backend(LocalBackend):
    """The first program begins once ``gate`` is open."""

    name, python = NETNS, sys.executable

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    def spawn(self, rank, argv, *, env=None, stdio=None, own_group=True, cwd=None):
        self.reached.set()
        assert self.gate.wait(30)
        return super().spawn(rank, argv, env=env, stdio=stdio, own_group=own_group, cwd=cwd)


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def net(backend):
    made = SimpleNamespace(name="local", plan=planned("ring", 3), backend=backend, engine="none", down=lambda: None)
    with ShapedNetwork(made) as net:
        yield net


def in_thread(do):
    """Starts it in a thread; returns a function that waits and gives its result or exception."""
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


PORT = ["sh", "-c", 'echo $MASTER_PORT; while test -n "$GATE" && ! test -e "$GATE"; do sleep 0.05; done']


def test_jobs_that_begin_in_two_threads_have_ports_of_their_own(net, backend, tmp_path):
    gate = tmp_path / "gate"
    backend.gate.clear()
    first = in_thread(lambda: net.exec(PORT, env={"GATE": gate}))
    assert backend.reached.wait(30)
    second = in_thread(lambda: net.exec(PORT, env={"GATE": gate}))
    open_soon(backend.gate)
    wait_for(lambda: len(backend.started) == 6)
    gate.touch()
    ports = [{one.stdout for one in ended()} for ended in (first, second)]
    assert sorted(map(sorted, ports)) == [["29500\n"], ["29501\n"]]


def test_a_port_is_free_again_after_a_job_and_after_one_that_could_not_begin(net, backend, monkeypatch):
    assert net.exec(PORT, ranks=[0])[0].stdout == "29500\n"
    with monkeypatch.context() as patch:
        patch.setattr("harness.api.jobs.NodeProgram", None)
        with pytest.raises(TypeError):
            net.exec(PORT)
    assert net.exec(PORT, ranks=[0])[0].stdout == "29500\n"


def test_a_job_that_begins_while_the_network_ends_is_stopped(net, backend):
    backend.gate.clear()
    ended = in_thread(lambda: net.exec(["sleep", "30"]))
    assert backend.reached.wait(30)
    open_soon(backend.gate)
    started = time.monotonic()
    net.down()
    error = ended()
    assert time.monotonic() - started < 20
    assert isinstance(error, NetworkStateError)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_end_that_failed_can_be_tried_again(net, error):
    tries = []

    def down():
        tries.append(len(tries))
        if len(tries) == 1:
            raise error

    net._network.down = down
    with pytest.raises(error):
        net.down()
    with pytest.raises(NetworkStateError, match="is down"):
        net.heal()
    net.down()
    net.down()
    assert tries == [0, 1]


@pytest.mark.parametrize("method", ["__init__", "begin"])
@pytest.mark.parametrize("use", [lambda net: net.run(time.sleep, 10), lambda net: net.exec(["sleep", "10"])])
def test_an_interrupt_as_a_job_begins_leaves_nothing_that_runs(net, monkeypatch, method, use):
    class Interrupted(module.NodeProgram):
        pass

    def interrupted(self, *arguments, **options):
        getattr(super(Interrupted, self), method)(*arguments, **options)
        raise KeyboardInterrupt

    setattr(Interrupted, method, interrupted)
    with monkeypatch.context() as patch:
        patch.setattr(module, "NodeProgram", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            use(net)
    assert "harness-job" not in threads()
    assert net.exec(PORT, ranks=[0])[0].stdout == "29500\n"


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

    monkeypatch.setattr("harness.api.output.RankOutput._value", value)
    return seen


def test_results_that_were_asked_for_are_not_kept(net, unpickled):
    net.run(int, ranks=[0])
    net.start(int, ranks=[0]).result(60)
    net.start(int, ranks=[0]).result(60)
    gc.collect()
    assert [reference() is None for reference in unpickled] == [True, True, False]
    assert len(net._calls) == 1


def test_an_unreported_failure_is_kept_and_a_success_is_not(net):
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


def test_a_missing_program_is_bad_input(net):
    with pytest.raises(InputError, match=r"^exec: name a program$"):
        net.exec([])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("ls -l 'a b'", r"'a b'\" is one text; write a list of words, e\.g\. \['ls', '-l', 'a b'\]$"),
        ("echo it's", r"write a list of words, e\.g\. \['echo', \"it's\"\]$"),
        (b"ls", r"^exec: b'ls' is one text; write a list of words, e\.g\. \['ls'\]$"),
        (Path("/bin/ls"), r"is one text; write a list of words, e\.g\. \['/bin/ls'\]$"),
        (["sleep", 5], r"^exec: argv\[1\]=5: write text, e\.g\. '5'$"),
        (["echo", "a\0b"], r"^exec: argv\[1\]='a\\x00b': arguments, variables and paths cannot contain a NUL byte"),
    ],
)
def test_a_program_that_is_no_list_of_words_is_bad_input(net, backend, argv, words):
    with pytest.raises(InputError, match=words):
        net.exec(argv)
    assert not backend.reached.is_set()


@pytest.mark.parametrize(
    "use", [lambda net: net.run, lambda net: net.start, lambda net: lambda _, **o: net.exec(["x"], **o)]
)
@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"A": "1", "LR": 0.1}, r"^env: LR=0\.1: write text, e\.g\. '0\.1'$"),
        ({"LR": None}, "^env: LR=None: write text"),
        ({1: "x"}, "^env: 1 cannot be the name of a variable; write e.g. 'LR'$"),
        ({"A=B": "x"}, "'A=B' cannot be the name"),
        ({"A\0": "x"}, "cannot be the name"),
        ({"A": "x\0"}, r"^env: A='x\\x00': .* cannot contain a NUL byte"),
        (["LR=1"], r"^env=\['LR=1'\]: write a dict, e\.g\. {'LR': '0\.1'}$"),
    ],
)
def test_a_variable_that_is_no_text_is_bad_input(net, backend, use, env, words):
    with pytest.raises(InputError, match=words):
        use(net)(int, env=env)
    assert not backend.reached.is_set()


@pytest.mark.parametrize("ranks", [0, "0", ["0"], [0.0]])
def test_ranks_that_are_no_list_of_numbers_are_bad_input(net, backend, ranks):
    with pytest.raises(InputError, match=r"^ranks=.*: write a list of whole numbers, e\.g\. \[0, 1\]$"):
        net.run(int, ranks=ranks)
    assert not backend.reached.is_set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": 3}, "^profile=3: write 'none', a name"),
        ({"profile": "wan", "seed": "1"}, "^seed='1': write a whole number"),
    ],
)
def test_a_wrong_profile_or_seed_is_bad_input(net, options, words):
    with pytest.raises(InputError, match=words):
        net.set(**options)


def test_links_can_be_drawn_from_a_file_that_a_path_names(net, tmp_path):
    (tmp_path / "slow.yaml").write_text("delay: 7ms\n")
    changed = []
    net._network.reshape = lambda change: changed.append(change(net.plan)) or Reshaped(changed[-1], (), 0.0, False)
    net._network.backend.engine = SimpleNamespace(precision_warnings=lambda _: [])
    net.set(profile=tmp_path / "slow.yaml")
    assert {str(edge.shape.delay) for edge in changed[0].edges.values()} == {"7ms"}


def test_words_and_variables_may_be_paths(net, tmp_path):
    (ended,) = net.exec([Path("/bin/sh"), "-c", "echo $FOLDER"], env={"FOLDER": tmp_path}, ranks=[0])
    assert ended.stdout == f"{tmp_path}\n"


def test_a_last_line_without_newline_gets_one(net):
    assert net.exec(["printf", r"one\ntwo"], ranks=[0])[0].stdout == "one\ntwo\n"
