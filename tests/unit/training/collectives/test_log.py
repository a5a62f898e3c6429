"""How often collectives are read, and which lines are written."""

import json
import pickle
import resource

import pytest

from harness.training.collectives import log
from harness.training.collectives.log import CollectiveLog, pause


def entry(number):
    return {
        "record_id": number,
        "profiling_name": "gloo:all_reduce",
        "process_group": ["0", "default_pg"],
        "input_sizes": [[25]],
        "input_dtypes": ["Float"],
        "time_created_ns": number * 1_000_000_000,
    }


def test_they_are_read_before_they_run_over_and_seldom_where_little_comes():
    assert pause(count=400, elapsed=2.0, cost=0.001) == 1.0
    assert pause(count=3, elapsed=4.0, cost=0.001) == 4.0
    assert pause(count=0, elapsed=4.0, cost=0.001) == 4.0


def test_reading_takes_a_hundredth_of_the_time_at_most():
    assert pause(count=100_000, elapsed=1.0, cost=0.005) == 0.5


@pytest.fixture
def recorded(monkeypatch):
    """A fake of torch's recorder, and a clock that stands still until it is set."""
    torch = pytest.importorskip("torch._C._distributed_c10d")

    class Recorded:
        def __init__(self):
            self.entries, self.now, self.called, self.completed = [], 100.0, 0, 0

        def perf_counter(self):
            return self.now

        def sleep(self, _):
            return

        def time(self):
            return self.now

        def dump(self, *_):
            return pickle.dumps({"entries": self.entries})

        def state(self, *_):
            status = {"last_completed_collective": self.completed, "last_enqueued_collective": self.called}
            return json.dumps({"pg_status": {"0": status}})

    made = Recorded()
    monkeypatch.setattr(log, "time", made)
    monkeypatch.setattr(torch, "_dump_fr_trace", made.dump)
    monkeypatch.setattr(torch, "_dump_fr_trace_json", made.state)
    return made


def test_what_came_before_training_is_in_no_count_and_does_not_put_the_first_reading_off(recorded):
    counted = CollectiveLog(None, 0)
    recorded.now, recorded.entries = 105.0, [entry(number) for number in range(3)]
    counted.begin()
    assert not counted.is_due(106.9)
    assert counted.is_due(107.1), "three in five seconds would mean two more"
    recorded.now, recorded.entries = 107.1, [entry(number) for number in range(40)]
    counted.write()
    calls, missed = counted.count()
    assert (len(calls), missed) == (37, 0)
    assert not counted.is_due(111.0)
    assert counted.is_due(111.2)


def test_reading_waits_until_no_collective_is_under_way(recorded):
    counted = CollectiveLog(None, 0)
    counted.begin()
    recorded.called, recorded.completed = 10, 9
    assert not counted.is_due(200.0)
    recorded.completed = 10
    assert counted.is_due(200.0)


def test_what_the_recorder_lost_is_said_in_the_file(recorded, tmp_path):
    counted = CollectiveLog(tmp_path, 3)
    counted.begin()
    recorded.entries = [entry(number) for number in (12, 13)]
    counted.cut()
    counted.write(lambda start: int(start) * 10)
    counted.close()
    *lines, missed = map(json.loads, (tmp_path / "collectives-3.jsonl").read_text().splitlines())
    assert missed == {"missed": 12, "time": 100.0}
    assert lines == [
        {
            "op": "all_reduce",
            "start": start,
            "seconds": None,
            "bytes": 100,
            "ranks": 0,
            "group": "default_pg",
            "step": step,
        }
        for start, step in ((12.0, 120), (13.0, 130))
    ]


def test_a_file_that_cannot_be_written_is_reported_once_and_nothing_fails(recorded, tmp_path):
    said = []
    counted = CollectiveLog(tmp_path / "nothing", 1, said.append)
    counted.begin()
    recorded.entries = [entry(0)]
    counted.cut()
    counted.write()
    assert len(counted.count()[0]) == 1
    counted.close()
    [line] = said
    assert line.startswith("rank 1: ")
    assert "collectives-1.jsonl" in line
    assert line.endswith("collectives are not written one by one")


def test_a_full_disk_is_reported_once_and_the_job_goes_on(recorded, tmp_path):
    said = []
    counted = CollectiveLog(tmp_path, 0, said.append)
    counted.begin()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        for number in range(3):
            recorded.entries = [entry(number)]
            counted.cut()
            counted.write()
            assert len(counted.count()[0]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    counted.close()
    assert len(said) == 1
    assert "collectives-0.jsonl cannot be written: File too large: collectives are no longer written" in said[0]
    assert (tmp_path / "collectives-0.jsonl").read_bytes() == b""
