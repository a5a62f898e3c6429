"""What a recorder's entries sum up to."""

import json

import pytest

from harness.training import flight_recorder
from harness.training.flight_recorder import FlightLog, enable, pause, summed


def entry(number, name="gloo:all_reduce", sizes=((10, 5),), dtypes=("Float",)):
    return {
        "record_id": number,
        "profiling_name": name,
        "input_sizes": [list(size) for size in sizes],
        "input_dtypes": list(dtypes),
    }


def test_operations_are_counted_with_the_bytes_of_their_inputs():
    entries = [
        entry(0),
        entry(1, sizes=((3,), (4, 2)), dtypes=("Double", "Half")),
        entry(2, "gloo:broadcast", ((7,),), ("Byte",)),
        entry(3, "gloo:barrier", (), ()),
    ]
    ops, missed, newest = summed(entries, -1)
    assert ops == {
        "all_reduce": {"count": 2, "bytes": 200 + 24 + 16},
        "broadcast": {"count": 1, "bytes": 7},
        "barrier": {"count": 1, "bytes": 0},
    }
    assert (missed, newest) == (0, 3)


def test_only_what_is_newer_counts():
    entries = [entry(number) for number in range(5)]
    _, _, newest = summed(entries[:3], -1)
    ops, missed, newest = summed(entries, newest)
    assert ops == {"all_reduce": {"count": 2, "bytes": 400}}
    assert (missed, newest) == (0, 4)
    assert summed(entries, newest) == ({}, 0, 4)


def test_what_fell_out_in_between_is_missed():
    ops, missed, newest = summed([entry(number) for number in (7, 8)], 3)
    assert ops["all_reduce"]["count"] == 2
    assert (missed, newest) == (3, 8)


def test_a_type_without_a_known_width_counts_no_bytes_and_a_name_without_backend_is_kept():
    ops, _, _ = summed([entry(0, "send 0->1", ((4,),), ("ComplexDouble",))], -1)
    assert ops == {"send 0->1": {"count": 1, "bytes": 0}}


def test_a_size_that_the_user_chose_stays():
    environment = {"TORCH_FR_BUFFER_SIZE": "7"}
    enable(environment)
    assert environment == {"TORCH_FR_BUFFER_SIZE": "7"}
    empty = {}
    enable(empty)
    assert int(empty["TORCH_FR_BUFFER_SIZE"]) > 300


def test_it_is_read_before_it_runs_over_and_seldom_where_little_comes():
    assert pause(count=600, elapsed=4.0, cost=0.001) == 2.0
    assert pause(count=3, elapsed=4.0, cost=0.001) == 10.0
    assert pause(count=0, elapsed=4.0, cost=0.001) == 10.0


def test_reading_takes_a_hundredth_of_the_time_at_most():
    assert pause(count=100_000, elapsed=1.0, cost=0.02) == 2.0


@pytest.fixture
def recorded(monkeypatch):
    """What torch's recorder holds; a clock that stands still until it is told."""
    torch = pytest.importorskip("torch._C._distributed_c10d")

    class Recorded:
        def __init__(self):
            self.entries, self.now = [], 100.0

        def perf_counter(self):
            return self.now

    made = Recorded()
    monkeypatch.setattr(flight_recorder, "time", made)
    monkeypatch.setattr(torch, "_dump_fr_trace_json", lambda *_: json.dumps({"entries": made.entries}))
    return made


def test_what_came_before_training_is_in_no_count_and_does_not_put_the_first_reading_off(recorded):
    log = FlightLog()
    recorded.now, recorded.entries = 105.0, [entry(number) for number in range(3)]
    log.forget()
    assert not log.is_due(105.9)
    assert log.is_due(106.1), "three in five seconds would mean ten more"
    recorded.now, recorded.entries = 106.1, [entry(number) for number in range(40)]
    ops, missed = log.take()
    assert (ops["all_reduce"]["count"], missed) == (37, 0)
    assert not log.is_due(110)
    assert log.is_due(117)
