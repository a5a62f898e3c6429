"""harness.experiment.report.analysis.bandwidth: bus bandwidth of a whole run against harness.model.bound."""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.bandwidth import bus_bandwidth, no_bus_reason
from harness.experiment.report.analysis.curves import StepCost
from harness.experiment.report.load.rank_records import Collectives, Ops, Rank
from harness.experiment.report.load.records import RecordedRun
from harness.model.bound import LinkBound
from tests.support.plans import network, shape

PLAN = network("ring", 4, shape(rate="80mbit", delay="10ms"))
SIZE = 100_000


def costs(count, wait):
    return [StepCost(step, 1.0, 1.0 - wait, wait, wait, 0) for step in range(1, count + 1)]


def ranks(*counted, size=4):
    return [Rank(rank, collectives=tuple(counted)) for rank in range(size)]


def reduced(step, count, *, name="all_reduce", missed=0):
    return Collectives(step, {name: Ops(count, count * SIZE)}, missed)


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ((), "no rank recorded anything"),
        (ranks(), "ended before its collectives were first counted"),
        (ranks(Collectives(10, {})), "it ran no collective"),
        (ranks(Collectives(10, {"send": Ops(9, 9), "recv": Ops(9, 9)})), "recv and send have no bus bandwidth"),
        (ranks(Collectives(10, {"barrier": Ops(9, 0)})), "only barrier, without bytes"),
    ],
)
def test_why_there_is_no_bus_bandwidth(recorded, reason):
    run = RecordedRun("s", "wan", "ring", 4, 0, "x", "x", None, "netem", {}, PLAN, tuple(recorded))
    assert bus_bandwidth(run.ranks, PLAN, costs(10, 1.0)) is None
    assert no_bus_reason([run]) == reason


def test_one_all_reduce_per_step():
    least = LinkBound(PLAN).seconds("all_reduce", SIZE)
    bus = bus_bandwidth(ranks(reduced(10, 10)), PLAN, costs(10, 2 * least))
    assert bus is not None
    assert bus.bit_s == pytest.approx(SIZE * 8 * 1.5 / (2 * least))
    assert bus.share == pytest.approx(0.5)
    assert not bus.hidden


def test_less_wait_than_the_links_need_is_called_hidden():
    bus = bus_bandwidth(ranks(reduced(10, 10)), PLAN, costs(10, LinkBound(PLAN).seconds("all_reduce", SIZE) / 2))
    assert bus is not None
    assert bus.hidden


def test_no_wait_gives_no_bandwidth_but_a_bound():
    bus = bus_bandwidth(ranks(reduced(10, 10)), PLAN, costs(10, 0.0))
    assert bus is not None
    assert (bus.bit_s, bus.share, bus.hidden) == (None, None, False)
    assert bus.bound_bit_s


def test_steps_after_the_last_count_are_in_neither_side():
    half = bus_bandwidth(ranks(reduced(5, 5)), PLAN, costs(10, 0.1))
    whole = bus_bandwidth(ranks(reduced(5, 5), reduced(10, 5)), PLAN, costs(10, 0.1))
    precision_warnings = bus_bandwidth(ranks(reduced(5, 5), reduced(10, 5)), PLAN, costs(7, 0.1))
    assert half is not None
    assert whole is not None
    assert half.bit_s == pytest.approx(whole.bit_s)
    assert precision_warnings == half


def test_steps_whose_count_a_resume_took_back_are_in_neither_side():
    whole = bus_bandwidth(ranks(reduced(10, 10)), PLAN, costs(10, 0.1))
    resumed = [replace(rank, uncounted=((4, 8),)) for rank in ranks(reduced(4, 4), reduced(10, 2))]
    bus = bus_bandwidth(resumed, PLAN, costs(10, 0.1))
    assert whole is not None
    assert bus is not None
    assert bus.bit_s == pytest.approx(whole.bit_s)


@pytest.mark.parametrize("name", ["gloo:all_reduce", "allreduce", "allreduce_coalesced"])
def test_torchs_several_names_are_one_collective(name):
    bus = bus_bandwidth(ranks(reduced(5, 5, name=name)), PLAN, costs(5, 0.1))
    assert bus == bus_bandwidth(ranks(reduced(5, 5)), PLAN, costs(5, 0.1))


def test_an_all_gather_counts_what_is_gathered():
    bus = bus_bandwidth(ranks(reduced(1, 1, name="_allgather_base")), PLAN, costs(1, 1.0))
    assert bus is not None
    assert bus.traffic[0].bytes == 4 * SIZE
    assert bus.bit_s == pytest.approx(4 * SIZE * 8 * 3 / 4)


def test_what_has_no_bound_is_listed_but_in_no_figure():
    some = Collectives(1, {"send": Ops(3, 300), "all_reduce": Ops(1, SIZE), "barrier": Ops(1, 0)})
    bus = bus_bandwidth(ranks(some), PLAN, costs(1, 1.0))
    assert bus is not None
    assert {one.kind: one.bound_seconds is None for one in bus.traffic} == {
        "all_reduce": False,
        "send": True,
        "barrier": False,
    }
    assert bus.bit_s == pytest.approx(SIZE * 8 * 1.5)
    assert bus_bandwidth(ranks(Collectives(1, {"send": Ops(3, 300)})), PLAN, costs(1, 1.0)) is None


def test_links_without_limits_and_an_unknown_plan_have_no_bound():
    for plan in (network("ring", 4), None):
        bus = bus_bandwidth(ranks(reduced(1, 1)), plan, costs(1, 1.0))
        assert bus is not None
        assert (bus.bound_bit_s, bus.share) == (None, None)
        assert bus.bit_s == pytest.approx(SIZE * 8 * 1.5)


def test_missed_collectives_are_passed_on():
    bus = bus_bandwidth(ranks(reduced(1, 1, missed=3)), PLAN, costs(1, 1.0))
    assert bus is not None
    assert bus.missed == 3


def test_nothing_recorded():
    assert bus_bandwidth([], PLAN, []) is None
    assert bus_bandwidth(ranks(), PLAN, costs(3, 1.0)) is None
