"""A function is sent to another Python process and called there, as in a node, without a network."""

import functools
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass

import cloudpickle
import pytest

import harness
from harness.api.payload import is_installed, pack, search_path
from harness.api.remote import CALL_ARGV
from harness.api.result_lines import ResultReader
from harness.errors import InputError

MARKER = "k" * 32
GLOBAL = "of the module"


@dataclass
class Mine:
    number: int


class MyError(Exception):
    pass


class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def helper(number):
    return Mine(number + 1), GLOBAL


def call(function, *arguments, path=True, change=None, modules=None, **keywords):
    """(answer, what it printed, exit code)."""
    where = search_path() if path else None
    payload = pack(function, arguments, keywords, marker=MARKER, path=where)
    if change:
        head, _, body = payload.partition(b"\n")
        payload = json.dumps({**json.loads(head), **change}).encode() + b"\n" + body
    python = [sys.executable] if modules is None else [sys.executable, "-S"]
    env = {**os.environ, **({} if modules is None else {"PYTHONPATH": str(modules)})}
    done = subprocess.run([*python, *CALL_ARGV], input=payload, capture_output=True, timeout=60, cwd="/", env=env)
    sorter = ResultReader(MARKER.encode())
    lines = [line for text in done.stdout.split(b"\n") for line in sorter.feed(text)]
    answer = sorter.answer and pickle.loads(sorter.answer)
    return answer, (b"\n".join(lines).decode(), done.stderr.decode()), done.returncode


def result(*arguments, **keywords):
    answer, printed, code = call(*arguments, **keywords)
    assert code == 0, (answer, printed)
    assert answer["ok"]
    return pickle.loads(answer["value"])


def failure(*arguments, **keywords):
    answer, _, code = call(*arguments, **keywords)
    assert code == 1
    assert not answer["ok"]
    return answer


@pytest.mark.parametrize("path", [True, False], ids=["namespace", "container"])
def test_a_function_of_a_test_module_needs_no_module_there(path):
    made, text = result(helper, 4, path=path)
    assert text == GLOBAL
    assert made == Mine(5)
    assert type(made) is Mine


def test_closures_lambdas_methods_and_partials():
    near = [1, 2]

    class Local:
        def total(self, more):
            return sum(near) + more

    assert result(lambda: near) == [1, 2]
    assert result(Local().total, 4) == 7
    assert result(functools.partial(helper, 1), path=False)[0] == Mine(2)
    assert result(lambda *, made: made.number, made=Mine(8), path=False) == 8
    assert result(len, "abc") == 3


def test_modules_that_this_process_finds_are_found_there(tmp_path, monkeypatch):
    (tmp_path / "only_here_p.py").write_text("def seven():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)

    def use():
        import only_here_p

        return only_here_p.seven()

    assert result(use) == 7
    answer = failure(use, path=False)
    assert answer["what"] == "ModuleNotFoundError: No module named 'only_here_p'"


def test_a_module_that_the_node_lacks_is_named_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "helpers_p.py").write_text("def seven():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    import helpers_p

    answer = failure(lambda: helpers_p.seven(), path=False)
    assert "the function cannot be read in the node: ModuleNotFoundError: No module named 'helpers_p'" in answer["what"]
    assert "register_pickle_by_value(helpers_p)" in answer["what"]


def test_what_it_raises_comes_back_with_its_traceback():
    def fails():
        raise MyError("boom")

    answer = failure(fails)
    assert answer["what"].endswith("MyError: boom")
    assert "in fails" in answer["trace"]
    assert "harness/api/remote.py" not in answer["trace"]
    error = pickle.loads(answer["error"])
    assert (type(error), error.args) == (MyError, ("boom",))


def test_an_error_that_cannot_be_pickled_or_read_becomes_a_text():
    def awkward():
        raise Awkward("one", "two")

    def locked():
        raise MyError(threading.Lock())

    assert failure(awkward)["what"].endswith("Awkward: one two")
    assert failure(locked)["error"] is None


def test_an_assertion_shows_its_values():
    def compares(left, right):
        assert left == right

    assert "assert 3 == 4" in failure(compares, 3, 4)["what"]


def test_sys_exit_is_a_failure():
    assert failure(lambda: sys.exit(0))["what"] == "SystemExit: 0"


def test_output_of_the_function_is_not_taken_for_an_answer():
    def prints():
        print("out")
        print("err", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo child; printf partial"], check=True)
        return "value"

    answer, (out, err), _ = call(prints)
    assert pickle.loads(answer["value"]) == "value"
    assert out.split() == ["out", "child", "partial"]
    assert err == "err\n"


def test_closing_standard_output_does_not_lose_the_answer():
    def closes():
        os.close(1)
        return 3

    answer, _, _ = call(closes)
    assert pickle.loads(answer["value"]) == 3


@pytest.mark.parametrize("how", ["close", "detach", "none"])
def test_closing_the_stream_does_not_lose_the_answer(how):
    def closes():
        print("before")
        if how == "close":
            sys.stdout.close()
        elif how == "detach":
            sys.stdout.detach()
        else:
            sys.stdout = None
        return 3

    answer, _, _ = call(closes)
    assert pickle.loads(answer["value"]) == 3


def test_its_standard_input_is_empty():
    assert result(lambda: sys.stdin.read()) == ""


def test_a_result_that_cannot_be_pickled_is_a_failure():
    answer = failure(lambda: threading.Lock())
    assert answer["what"].startswith("the result, a lock, cannot be sent: TypeError: cannot pickle")


def test_another_version_of_python_is_refused():
    answer = failure(helper, 1, change={"python": [3, 99]})
    assert "the function comes from 3.99" in answer["what"]


def test_a_function_that_cannot_be_pickled_is_refused_before_anything_starts():
    lock = threading.Lock()

    def uses():
        return lock

    with pytest.raises(InputError, match=r"uses cannot be sent to the nodes: TypeError: cannot pickle '_thread.lock'"):
        pack(uses, (), {}, marker=MARKER, path=None)


def test_packing_restores_the_list_of_modules_by_value():
    before = cloudpickle.list_registry_pickle_by_value()
    pack(helper, (), {}, marker=MARKER, path=None)
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_which_modules_nodes_have():
    assert is_installed("json", json)
    assert is_installed("pytest", pytest)
    assert is_installed("harness", harness)
    assert is_installed("sys", sys)
    assert not is_installed(__name__, sys.modules[__name__])
