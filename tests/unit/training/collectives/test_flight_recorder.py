"""Entries of torch's recorder become calls and sums."""

import json

import pytest

from harness.training.collectives.flight_recorder import FlightLog, call_of, enable, newer, summed


def entry(number, name="gloo:all_reduce", sizes=((10, 5),), dtypes=("Float",), group=("0", "default_pg")):
    return {
        "record_id": number,
        "profiling_name": name,
        "process_group": list(group),
        "input_sizes": [list(size) for size in sizes],
        "input_dtypes": list(dtypes),
        "time_created_ns": 1_700_000_000_000_000_000 + number,
    }


def test_an_entry_says_what_was_called_when_by_which_group_and_how_large_it_was():
    call = call_of(entry(3, sizes=((3,), (4, 2)), dtypes=("Double", "Half")))
    assert (call.op, call.backend, call.elements, call.bytes) == ("all_reduce", "gloo", 11, 24 + 16)
    assert call.time == pytest.approx(1.7e9)
    assert (call.group, call.name) == ("default_pg", "0")


@pytest.mark.parametrize(
    ("group", "text"), [(("2", "pipeline"), "pipeline"), (("1", "undefined"), "1"), (("f3a", ""), "f3a")]
)
def test_a_group_without_a_description_is_called_by_its_name(group, text):
    assert call_of(entry(0, group=group)).group == text


def test_a_type_without_a_known_width_counts_no_bytes_and_a_name_without_backend_is_kept():
    call = call_of(entry(0, "send 0->1", ((4,),), ("ComplexDouble",)))
    assert (call.op, call.backend, call.bytes, call.elements) == ("send 0->1", "", 0, 4)


def test_operations_are_counted_with_the_bytes_of_their_inputs():
    entries = [entry(0), entry(1), entry(2, "gloo:broadcast", ((7,),), ("Byte",)), entry(3, "gloo:barrier", (), ())]
    assert summed(map(call_of, entries)) == {
        "all_reduce": {"count": 2, "bytes": 400},
        "broadcast": {"count": 1, "bytes": 7},
        "barrier": {"count": 1, "bytes": 0},
    }


def test_only_what_is_newer_counts():
    entries = [entry(number) for number in range(5)]
    calls, missed, newest = newer(entries, 2)
    assert (len(calls), missed, newest) == (2, 0, 4)
    assert newer(entries, newest) == ([], 0, 4)


def test_what_fell_out_in_between_is_missed():
    calls, missed, newest = newer([entry(number) for number in (7, 8)], 3)
    assert (len(calls), missed, newest) == (2, 3, 8)


def test_a_size_that_the_user_chose_stays():
    environment = {"TORCH_FR_BUFFER_SIZE": "7"}
    enable(environment)
    assert environment == {"TORCH_FR_BUFFER_SIZE": "7"}
    empty = {}
    enable(empty)
    assert int(empty["TORCH_FR_BUFFER_SIZE"]) > 200


@pytest.mark.parametrize(
    ("groups", "busy"),
    [
        ({}, False),
        ({"0": (7, 7)}, False),
        ({"0": (7, 7), "1": (3, 5)}, True),
        ({"0": (7, 7), "of one rank": (-1, 4)}, False),
    ],
)
def test_a_collective_is_under_way_where_more_were_called_than_are_complete(monkeypatch, groups, busy):
    torch = pytest.importorskip("torch._C._distributed_c10d")
    status = {
        name: {"last_completed_collective": str(done), "last_enqueued_collective": str(called)}
        for name, (done, called) in groups.items()
    }
    monkeypatch.setattr(torch, "_dump_fr_trace_json", lambda *_: json.dumps({"pg_status": status}))
    assert FlightLog().busy() is busy
