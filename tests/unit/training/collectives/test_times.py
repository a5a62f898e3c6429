"""The times at which calls were complete, by the profiler's spans."""

import json
import math

import pytest

from harness.training.collectives.flight_recorder import CollectiveCall
from harness.training.collectives.times import Span, timed


def call(time, op="all_reduce", elements=10, backend="gloo", name="0"):
    return CollectiveCall(op, backend, time, elements, 4 * elements, "default_pg", name)


def span(start, end, op="all_reduce", elements=10):
    return Span(op, start, end, elements, 4 * elements)


def seconds(calls, spans, since=0.0):
    return [one.seconds for one in timed(calls, spans, since, {"0": 4})]


def test_a_collective_takes_from_its_call_to_its_end():
    [one] = timed([call(10.0)], [span(10.5, 12.0)], 0.0, {"0": 4})
    assert (one.op, one.start, one.seconds, one.bytes, one.ranks, one.group) == (
        *("all_reduce", 10.0, 2.0, 40, 4, "default_pg"),
    )


def test_those_of_one_kind_are_matched_in_order_whenever_they_end():
    calls = [call(1.0), call(2.0), call(3.0)]
    assert seconds(calls, [span(3.1, 3.2), span(2.1, 9.0), span(1.1, 1.2)]) == pytest.approx([0.2, 7.0, 0.2])


def test_kinds_and_sizes_are_apart():
    calls = [call(1.0), call(1.1, elements=99), call(1.2, op="broadcast")]
    spans = [span(1.5, 1.9, elements=99), span(1.6, 1.7), span(1.8, 2.0, op="broadcast")]
    assert seconds(calls, spans) == pytest.approx([0.7, 0.8, 0.8])


def test_what_is_under_way_has_no_end_yet():
    assert seconds([call(1.0), call(2.0)], [span(1.1, 1.4)]) == [pytest.approx(0.4), None]


def test_what_was_called_before_the_profiler_began_has_none():
    assert seconds([call(1.0), call(5.0)], [span(5.1, 5.3)], since=4.0) == [None, pytest.approx(0.3)]
    assert seconds([call(1.0)], [], since=math.inf) == [None]


def test_spans_of_calls_that_the_recorder_missed_are_left_out():
    calls = [call(8.0), call(9.0)]
    spans = [span(start, start + 0.5) for start in (6.0, 7.0, 8.0, 9.0)]
    assert seconds(calls, spans) == [0.5, 0.5]


def test_a_span_before_the_call_belongs_to_another():
    assert seconds([call(5.0)], [span(4.0, 4.5)]) == [None]


def test_clocks_may_differ_a_little_and_no_time_is_negative():
    assert seconds([call(5.0)], [span(4.9995, 4.9999)]) == [0.0]


def test_other_backends_are_not_timed_by_it():
    assert seconds([call(5.0, backend="nccl")], [span(5.1, 5.2)]) == [None]


def test_sends_and_receives_have_no_call_and_are_taken_from_the_profiler():
    found = timed([call(1.0)], [span(1.1, 1.2), span(2.0, 2.5, op="recv"), span(1.5, 1.6, op="send")], 0.0, {})
    assert [(one.op, one.ranks, one.group) for one in found] == [
        *(("all_reduce", 0, "default_pg"), ("send", 2, ""), ("recv", 2, "")),
    ]
    assert found[2].seconds == 0.5
    assert found[2].bytes == 40


def test_a_torch_whose_recorder_has_them_counts_none_twice():
    assert len(timed([call(2.0, op="send")], [span(2.0, 2.5, op="send")], 0.0, {})) == 1


def test_the_line_has_microseconds_and_its_step():
    [one] = timed([call(10.00000049)], [span(10.5, 12.0000001)], 0.0, {"0": 4})
    assert json.loads(json.dumps(one.line(7))) == {
        "op": "all_reduce",
        "start": 10.0,
        "seconds": 2.0,
        "bytes": 40,
        "ranks": 4,
        "group": "default_pg",
        "step": 7,
    }
