"""The verdict on a node's share of a CPU, and which nodes are measured at a time."""

import pytest

from harness.model.cpu import CpuShare
from harness.verify.caps import CapPlace
from harness.verify.cpus import rounds_of
from harness.verify.machine_load import busiest, idle_cores
from harness.verify.table import in_words
from harness.verify.verdict.cpu import CpuMeasurement, judge_cpu

NODE, QUARTER = CapPlace("cpu", 2), CpuShare(250)


def judged(cpu_s, applied=QUARTER, idle=1.0, seconds=1.0):
    return judge_cpu(NODE, QUARTER, applied, CpuMeasurement(cpu_s, seconds, idle))


def test_a_share_within_the_tolerance_is_right():
    row = judged(0.251)
    assert (row.ok, row.machine_bound, row.note, row.place, row.quantity) == (True, False, "", "node 2", "cpu")
    assert (row.low, row.high) == pytest.approx((0.95 * 0.25 - 0.015, 1.05 * 0.25 + 0.015))
    assert in_words(row) == "node 2 cpu 25.1 % (22.2 – 27.8 %)"
    assert judged(0.5, seconds=2.0).ok


@pytest.mark.parametrize("cpu_s", [0.2, 0.3, 1.0])
def test_another_one_is_off(cpu_s):
    row = judged(cpu_s)
    assert (row.ok, row.machine_bound) == (False, False)


def test_a_share_that_nothing_enforces_is_off():
    row = judged(0.99, applied=None)
    assert (row.ok, row.applied) == (False, None)
    assert row.note == "requested 25 %, but the engine reports no limit"
    row = judged(0.5, applied=CpuShare(500))
    assert (row.ok, row.note) == (False, "requested 25 %, but the engine reports 50 %")


def test_what_others_take_of_the_machine_is_no_fault_of_the_node():
    assert judged(0.1, idle=0.05).machine_bound
    assert not judged(0.1, idle=0.5).machine_bound, "there were cores to be had"
    assert not judged(0.4, idle=0.0).machine_bound, "it got more than its share"


def test_nodes_are_measured_together_as_far_as_the_machine_carries_them():
    shares = {0: CpuShare(250), 1: CpuShare(500), 3: CpuShare(2500), 4: CpuShare(10), 5: CpuShare(990), 6: CpuShare(10)}
    assert rounds_of(shares, 1.0) == [[0, 1], [3], [4, 5], [6]]
    assert rounds_of({}, 1.0) == []


def test_how_busy_the_machine_was():
    before, after = [(0, 0), (100, 50), (7, 7)], [(100, 25), (200, 150), (7, 7)]
    assert busiest(before, after) == 0.75
    assert idle_cores(before, after) == 1.25
    assert (busiest([], []), idle_cores([], [])) == (0.0, float("inf"))
