"""Runs at the same time, each in a process of its own: here programs that write what a run leaves, no networks."""

import json
import signal
import sys
import threading
import time

import pytest

from harness.errors import HarnessError
from harness.experiment import side_by_side, worker
from harness.experiment.jobs import slots
from harness.experiment.runner import Runner
from harness.experiment.spec import Experiment
from harness.experiment.variants import CommandVariant, OwnCommand
from harness.networks.placement import Placement

VARIANT = CommandVariant(OwnCommand(("true",)))
EXPERIMENT = Experiment("e", ("wan", "local"), ("ring",), (VARIANT,), (0, 1), nodes=2)
PROGRAM = """
import json, os, pathlib, signal, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
folder.mkdir()
def end(status, code=0):
    (folder / "end.json").write_text(json.dumps({"status": status, "name": name, "seconds": 1.0}))
    sys.exit(code)
signal.signal(signal.SIGINT, lambda *_: end("stopped", 130))
signal.signal(signal.SIGTERM, lambda *_: end("stopped", 143))
(folder / "run.json").write_text(json.dumps({"started": time.time()}))
"""


class Seen:
    def __init__(self):
        self.begun, self.watched, self.ended, self.most = [], set(), {}, 0

    def begin(self, run):
        self.begun.append(run.slug)
        self.most = max(self.most, len(self.begun) - len(self.ended))

    def watch(self, run, progress):
        self.watched.add(run.slug)

    def end(self, run, ending, progress):
        self.ended[run.slug] = ending


@pytest.fixture
def view():
    return Seen()


@pytest.fixture
def told():
    return []


@pytest.fixture
def perform(tmp_path, monkeypatch, view, told):
    """All runs, two at a time; each is this program."""

    def go(program):
        def arguments(runner, slug, where):
            return [sys.executable, "-c", PROGRAM + program, str(tmp_path / slug), runner.name]

        monkeypatch.setattr(worker, "arguments", arguments)
        runner = Runner(EXPERIMENT, tmp_path, "lab", Placement(), told.append, together=2)
        todo = list(EXPERIMENT.runs())
        nodes = {run.slug: 2 for run in todo}
        side_by_side.perform(todo, runner, slots(2, "lab", (None, None), apart=False), {}, nodes, view)

    return go


def test_two_at_a_time_with_names_of_their_own(perform, view, told):
    perform("print(json.dumps({'note': 'hello'}), flush=True)\nprint('a word')\ntime.sleep(0.8)\nend('finished')")
    assert view.begun == [run.slug for run in EXPERIMENT.runs()]
    assert view.most == 2
    assert [ending["status"] for ending in view.ended.values()] == ["finished"] * 4
    assert {ending["name"] for ending in view.ended.values()} == {"lab-1", "lab-2"}
    assert view.watched == set(view.begun)
    assert sorted(told) == ["a word"] * 4 + ["hello"] * 4


def test_a_run_that_failed_does_not_end_the_others(perform, view):
    perform("end('failed')")
    assert [ending["status"] for ending in view.ended.values()] == ["failed"] * 4


def test_an_error_ends_all_with_its_message_and_code(perform, view, tmp_path):
    first = next(EXPERIMENT.runs()).slug
    error = f"if folder.name == {first!r}:\n    print(json.dumps({{'error': 'no such luck'}}))\n    sys.exit(69)\n"
    with pytest.raises(HarnessError, match="no such luck") as raised:
        perform("time.sleep(0.5)\n" + error + "time.sleep(60)")
    assert raised.value.exit_code == 69
    (ending,) = tmp_path.glob("*/end.json")
    assert json.loads(ending.read_text())["status"] == "stopped"
    assert view.ended == {}


def test_a_process_that_was_killed_is_an_error(perform):
    with pytest.raises(HarnessError, match="ended with exit code -9"):
        perform("os.kill(os.getpid(), signal.SIGKILL)")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_to_us_stops_all_of_them(perform, tmp_path, number, error):
    def interrupt():
        while len(list(tmp_path.glob("*/run.json"))) < 2:
            time.sleep(0.02)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(error):
            perform("while True: time.sleep(0.05)  # a signal just before a sleep does not shorten it")
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [json.loads(path.read_text())["status"] for path in tmp_path.glob("*/end.json")] == ["stopped"] * 2


def test_what_a_worker_is_started_with_has_no_secret_and_is_what_it_reads(tmp_path):
    secret = CommandVariant(OwnCommand(("true", "{seed}"), {"TOKEN": "hunter2"}))
    made = Experiment("e", ("wan",), ("ring",), (secret,))
    runner = Runner(made, tmp_path, "lab-2", Placement(), print, ("198.18.4.0/26", None), 2)
    *_, given = worker.arguments(runner, "slug", {"runtime": "netns"})
    assert "hunter2" not in given
    assert json.loads(given)["subnets"] == ["198.18.4.0/26", None]
