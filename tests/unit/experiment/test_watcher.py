"""What is done beside a run's programs: link statistics, limits, and how the run has ended."""

import json

import pytest

from harness.errors import HarnessError, NodeError
from harness.experiment import watcher as module
from harness.experiment.spec import Experiment, Variant
from harness.experiment.watcher import Watcher
from harness.model.link import UNSHAPED
from harness.model.status import EdgeStatus, NodeStatus, Stats, TcpCounters
from harness.networks.launch import LaunchOutcome
from harness.run_files import RunFolder
from tests.support.plans import network

FINE, CUT = LaunchOutcome(0, None, {0: 0, 1: 0}), LaunchOutcome(0, None, {0: 143, 1: 143}, cut=True)


class CountingNetwork:
    """Answers with one more packet each time; refuses where it shall."""

    plan = network("line", 2)

    def __init__(self):
        self.asked = 0
        self.refuses = False
        self.notes = {0: (), 1: ()}

    def observe(self):
        if self.refuses:
            raise NodeError(1, "observe", "it is gone")
        self.asked += 1
        stats = Stats(self.asked, 100 * self.asked, 3, 40, 2)
        reading = {(0, 1): EdgeStatus(UNSHAPED, stats)}
        first = NodeStatus(reading, notes=self.notes[0], tcp=TcpCounters(9, 4))
        return {0: first, 1: NodeStatus({}, notes=self.notes[1])}


@pytest.fixture
def net():
    return CountingNetwork()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told."""

    class Clock:
        now = 1000.0

        def time(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def watcher(net, folder, clock):
    def make(**given):
        experiment = Experiment("e", ("wan",), ("ring",), (Variant("ddp"),), **given)
        seen = []
        told = []
        made = Watcher(experiment, net, folder, {"attempt": 2, "started": clock.now}, seen.append, told.append)
        made.seen, made.told = seen, told
        return made

    return make


def write(folder, rank, *lines):
    with (folder.path / f"rank-{rank}.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def begin(folder, at, elapsed=0.0, ranks=(0, 1)):
    for rank in ranks:
        write(folder, rank, {"kind": "start", "time": at, "resumed_from": None, "elapsed": elapsed})


def reach(folder, loss):
    for rank in (0, 1):
        write(folder, rank, {"kind": "eval", "step": 5, "loss": loss, "accuracy": None})


def samples(folder):
    return [json.loads(line) for line in (folder.path / "links.jsonl").read_text().splitlines()]


def test_links_are_recorded_once_a_second_and_at_the_end(watcher, folder, clock):
    made = watcher()
    for clock.now in (1000.0, 1000.25, 1000.5, 1000.75, 1001.0, 1001.25, 1002.3):
        assert made.tick() is False
    made.finish()
    found = samples(folder)
    assert len(found) == 4
    assert [line["attempt"] for line in found] == [2] * 4
    assert found[0] == {
        "time": 1000.0,
        "attempt": 2,
        "edges": [
            {
                "src": 0,
                "dst": 1,
                "sent_packets": 1,
                "sent_bytes": 100,
                "dropped": 3,
                "backlog_bytes": 40,
                "backlog_packets": 2,
            }
        ],
        "tcp": {
            "0": {"sent_segments": 9, "retransmitted_segments": 4},
            "1": {"sent_segments": 0, "retransmitted_segments": 0},
        },
    }
    assert len(made.seen) == 8


def test_the_limit_counts_from_the_start_of_training(watcher, folder, clock):
    made = watcher(limit_seconds=60.0)
    clock.now += 200
    assert not made.tick()
    begin(folder, clock.now)
    clock.now += 59
    assert not made.tick()
    clock.now += 2
    assert made.tick()
    made.finish()
    assert made.ending(CUT)["status"] == "limit"


def test_what_an_earlier_attempt_trained_counts_for_the_limit(watcher, folder, clock):
    made = watcher(limit_seconds=60.0)
    begin(folder, clock.now, elapsed=50.0)
    clock.now += 9
    assert not made.tick()
    clock.now += 2
    assert made.tick()


def test_a_run_that_ends_by_itself_within_the_limit_has_finished_however_late_that_is_seen(watcher, folder, clock):
    made = watcher(limit_seconds=60.0)
    begin(folder, clock.now)
    assert not made.tick()
    clock.now += 61
    made.finish()
    assert made.ending(FINE) == {
        "status": "finished",
        "code": 0,
        "failed_rank": None,
        "last_lines": [],
        "notes": [],
        "reached_at_step": None,
    }


@pytest.mark.parametrize(("loss", "ends"), [(0.5, False), (0.3, True)])
def test_the_target_ends_a_run_where_it_is_to_and_counts_as_finished(watcher, folder, clock, loss, ends):
    made = watcher(target=("loss", 0.4), stop_at_target=True, limit_seconds=60.0)
    begin(folder, clock.now)
    reach(folder, loss)
    clock.now += 30
    assert made.tick() == ends
    clock.now += 31
    assert made.tick(), "the limit"
    assert made.ending(CUT)["status"] == ("finished" if ends else "limit")


def test_a_target_that_is_only_to_be_told_ends_nothing(watcher, folder, clock):
    made = watcher(target=("loss", 0.4))
    begin(folder, clock.now)
    reach(folder, 0.1)
    assert not made.tick()
    assert made.ending(FINE)["reached_at_step"] == 5


def test_a_run_that_the_user_stops_says_what_it_had_reached(watcher, folder):
    made = watcher(target=("loss", 0.4))
    begin(folder, 1000.0)
    reach(folder, 0.1)
    assert not made.tick()
    ending = made.stopped(130)
    assert (ending["status"], ending["code"], ending["reached_at_step"]) == ("stopped", 130, 5)
    assert ending.keys() == made.ending(FINE).keys()


def test_ranks_that_never_begin_end_the_run_as_failed(watcher, clock):
    made = watcher()
    clock.now += 319
    assert not made.tick()
    clock.now += 2
    assert made.tick()
    ending = made.ending(CUT)
    assert (ending["status"], ending["failed_rank"], ending["code"]) == ("failed", None, 70)
    assert ending["last_lines"] == ["no rank started training within 320 s; do the links let packets through?"]


def test_a_network_that_is_gone_ends_the_run_and_not_the_experiment(watcher, net):
    made = watcher()
    net.refuses = True
    assert made.tick()
    made.finish()
    assert made.ending(CUT)["last_lines"] == ["node 1: observe: it is gone"]


def test_what_happens_to_the_makers_of_links_stays_in_the_record_and_is_told_once(watcher, net, folder, clock):
    made = watcher()
    for clock.now, notes in (
        (1000.0, ()),
        (1001.0, ("12:00: restarted",)),
        (1002.0, ("12:00: restarted", "12:01: again")),
    ):
        net.notes = {0: notes, 1: notes[:1]}
        assert not made.tick()
    net.notes = {0: (), 1: ("12:02: restarted",)}
    made.finish()
    assert made.ending(FINE)["notes"] == ["12:00: restarted", "12:01: again", "12:02: restarted"]
    assert made.ending(LaunchOutcome(9, 1, {0: 143, 1: 9}))["notes"] == made.notes
    assert made.told == [f"{folder.path.name}: {note}" for note in made.notes]


def test_a_rank_that_failed_is_told_with_its_last_lines_whatever_else(watcher, net, folder):
    made = watcher()
    with folder.log(1) as log:
        for number in range(30):
            log.write(f"line {number}".encode())
    net.refuses = True
    made.finish()
    ending = made.ending(LaunchOutcome(9, 1, {0: 143, 1: 9}))
    assert (ending["status"], ending["failed_rank"], ending["code"]) == ("failed", 1, 9)
    assert ending["last_lines"] == [f"line {number}" for number in range(20, 30)]


def test_statistics_that_cannot_be_written_are_an_error(watcher, folder):
    (folder.path / "links.jsonl").mkdir()
    with pytest.raises(HarnessError, match=r"links\.jsonl cannot be written: Is a directory"):
        watcher().tick()
