"""What is sent through a shared capacity, and the verdict on what came."""

from dataclasses import replace

import pytest

from harness.model.address import FRAME
from harness.model.capacity import NodeShape
from harness.model.link import UNSHAPED
from harness.model.queueing import Queue, parse_buffer
from harness.model.units import Ratio, Time
from harness.verify.caps import CapPlace, caps_of
from harness.verify.loads import caps_within, load_for, load_rounds
from harness.verify.samples import BulkSample, LoadMeasurement
from harness.verify.verdict.capacity import judge_cap
from tests.support.plans import shape
from tests.unit.verify.test_caps import EDGE, cap, capped, two_regions

UPLINK = CapPlace("uplink", 0)


def load(plan, place=UPLINK, seconds=5.0):
    caps = caps_of(plan)
    return load_for(next(one for one in caps if one.place == place), plan, caps, seconds=seconds, frame=FRAME)


def sent_bit_s(found):
    return {flow.pair: 8 * FRAME * found.segments / flow.interval_s for flow in found.flows}


def uplink(every=EDGE, text="20mbit", **values):
    return capped(every, n0=NodeShape(uplink=cap(text, **values)))


def test_all_senders_send_twice_their_fair_share():
    found = load(uplink())
    assert sent_bit_s(found) == pytest.approx(dict.fromkeys([(0, 1), (0, 2), (0, 3)], 40e6 / 3))
    assert found.fair_bit_s == pytest.approx(20e6)


def test_a_downlinks_senders_are_the_neighbours():
    found = load(capped(n2=NodeShape(downlink=cap("100mbit"))), CapPlace("downlink", 2))
    assert [flow.pair for flow in found.flows] == [(0, 2), (1, 2), (3, 2)]
    assert found.one_in(2) == 1
    assert load(capped(UNSHAPED, n2=NodeShape(downlink=cap("1gbit"))), CapPlace("downlink", 2)).one_in(2) == 16


def test_no_edge_gets_more_than_it_carries():
    """What it would drop is capacity that others could have had."""
    plan = uplink()
    plan = plan.changed([replace(plan.edge(0, 1), shape=shape(rate="2mbit"))])
    sent = sent_bit_s(load(plan))
    assert sent[0, 1] == pytest.approx(2e6)
    assert sent[0, 2] == sent[0, 3] == pytest.approx(18e6)


def test_what_other_capacities_allow_is_what_can_be_measured():
    plan = capped(n0=NodeShape(uplink=cap("20mbit")), n1=NodeShape(downlink=cap("3mbit")))
    found = load(plan)
    assert {flow.pair: flow.fair_bit_s for flow in found.flows} == pytest.approx(
        {(0, 1): 3e6, (0, 2): 8.5e6, (0, 3): 8.5e6}
    )
    assert sent_bit_s(found)[0, 1] == pytest.approx(3e6)


def test_slow_flows_get_the_time_for_enough_frames_and_none_where_there_is_too_little():
    frame_s = FRAME * 8 / (1e5 / 3)
    assert load(uplink(text="100kbit"), seconds=60).seconds == pytest.approx(120 * frame_s)
    assert load(uplink(text="100kbit"), seconds=5).seconds == 20
    assert load(uplink(text="10kbit"), seconds=5).flows == ()


@pytest.mark.parametrize("buffer", ["6KiB", "64KiB"])
def test_bursts_find_room_in_each_flows_part_of_the_buffer(buffer):
    found = load(uplink(buffer=parse_buffer(buffer)))
    assert found.segments == 1 or 4 * found.segments * FRAME <= found.cap.capacity.flow_bytes(3)


def test_bursts_find_room_in_the_other_capacities_on_their_way_too():
    """A burst that is larger than the queue of a sender's narrow uplink would be dropped there whole."""
    nodes = {
        "n2": NodeShape(downlink=cap("100mbit")),
        "n1": NodeShape(uplink=cap("1mbit", buffer=parse_buffer("20KiB"))),
    }
    found = load(capped(UNSHAPED, **nodes), CapPlace("downlink", 2))
    assert found.segments * FRAME <= 20 * 1024 / 3


def test_a_queue_that_is_kept_short_is_hardly_overdriven():
    assert sum(sent_bit_s(load(uplink(queue=Queue.of("pie")))).values()) == pytest.approx(23e6)


def test_only_capacities_whose_edges_are_all_chosen_are_measured():
    plan = capped(topology="line", n0=NodeShape(uplink=cap("20mbit")), n1=NodeShape(uplink=cap("20mbit")))
    assert [one.place.rank for one in caps_within(plan, [(0, 1)])] == [0]
    assert [one.place.rank for one in caps_within(plan, [(0, 1), (1, 2)])] == [0, 1]


def test_loads_side_by_side_cross_nothing_in_common():
    plan = capped(topology="ring", nodes=12, **{f"n{rank}": NodeShape(uplink=cap("1mbit")) for rank in range(12)})
    groups = load_rounds(plan, caps_of(plan), 8)
    assert sorted(one.place.rank for group in groups for one in group) == list(range(12))
    for group in groups:
        ranks = [rank for one in group for rank in {each for pair in one.edges for each in pair}]
        assert len(ranks) == len(set(ranks))
    assert max(map(len, groups)) > 1
    assert [len(group) for group in load_rounds(two_regions(), caps_of(two_regions()), 8)] == [1, 1]


def came(found, shares, overhead=0, sent=None):
    """What arrives where each flow gets that share of its fair rate."""
    samples = []
    for flow, share in zip(found.flows, shares, strict=True):
        rate = flow.fair_bit_s * share / 8
        points = tuple((n / 100, round(n * rate / 100)) for n in range(200 if share else 0))
        total = round(2 * sent[flow.pair] / 8) if sent else points[-1][1] * 2 if points else 10**6
        ends = points[:1] + points[-1:]
        samples.append(BulkSample(total, 2.0, points[-1][1] if points else 0, points, ends=ends))
    return LoadMeasurement(tuple(samples), (0.0001,) * 50)


def judged(found, shares, applied=None, lossy=0.0, **more):
    lost = {flow.pair: lossy for flow in found.flows}
    return judge_cap(found, applied or found.cap.capacity, came(found, shares, **more), lost)


def test_a_capacity_that_is_right():
    row = judged(load(uplink()), (1, 1, 1))
    assert row.ok
    assert (row.quantity, row.place, row.requested) == ("uplink", "node 0", 2e7)
    assert row.measured == pytest.approx(2e7, rel=0.01)
    assert row.note == "Jain's index 1.000 of 3 flows"
    told = row.to_json()
    assert {name: told[name] for name in ("src", "dst", "rank", "regions", "quantity", "flows")} == {
        "src": None, "dst": None, "rank": 0, "regions": None, "quantity": "uplink", "flows": 3,
    }  # fmt: skip
    assert told["jain"] == pytest.approx(1)


def test_a_trunks_row_names_its_regions():
    row = judged(load(two_regions(), CapPlace("trunk", regions=("eu", "us"))), (1,) * 4)
    assert row.ok
    assert (row.to_json()["rank"], row.to_json()["regions"], row.place) == (None, ["eu", "us"], "eu->us")


@pytest.mark.parametrize(
    ("shares", "note"),
    [
        ((3, 3, 3), "the uplink is faster than its rate"),  # each edge has the rate to itself: what was true before
        ((0.8, 0.8, 0.8), "the uplink is slower than its rate"),
        ((2.2, 0.4, 0.4), "it is not shared fairly"),
        ((0, 0, 0), "no packet arrived"),
    ],
)
def test_a_capacity_that_is_off(shares, note):
    row = judged(load(uplink()), shares)
    assert not row.ok
    assert row.note.startswith(note)


def test_what_edges_lose_behind_an_uplink_is_no_fault_of_it():
    lossy = EDGE.changed(loss=Ratio.parse("20%"))
    assert judged(load(uplink(lossy)), (0.8,) * 3, lossy=0.2).ok
    assert not judged(load(uplink(lossy)), (0.6,) * 3, lossy=0.2).ok
    down = load(capped(lossy, n0=NodeShape(downlink=cap("20mbit"))), CapPlace("downlink", 0))
    assert not judged(down, (0.8,) * 3, lossy=0.2).ok


def test_edges_that_cannot_fill_it_are_said_to_be_too_slow_for_that():
    row = judged(load(uplink(shape(rate="5mbit"))), (1, 1, 1))
    assert row.ok
    assert row.note == "these edges carry no more than 15 Mbit/s together; Jain's index 1.000 of 3 flows"


def test_what_the_engine_reports_must_be_what_was_requested():
    row = judged(load(uplink()), (1, 1, 1), cap("30mbit"))
    assert not row.ok
    assert row.note == "requested 20 Mbit/s, but the engine reports 30 Mbit/s"
    found = load(uplink())
    assert "no limit" in judge_cap(found, None, came(found, (1, 1, 1)), {}).note


def test_what_it_counts_beside_a_frame_is_part_of_it():
    found = load(uplink(overhead=138))
    assert found.fair_bit_s == pytest.approx(20e6 * FRAME / (FRAME + 138))
    row = judged(found, (1, 1, 1))
    assert row.ok
    assert row.measured == pytest.approx(2e7, rel=0.01)


def test_a_machine_that_cannot_send_so_much_is_no_fault_of_the_capacity():
    found = load(uplink(UNSHAPED, "1gbit"))
    row = judged(found, (0.5,) * 3, sent=dict.fromkeys([flow.pair for flow in found.flows], 1e9 / 6))
    assert row.ok
    assert row.machine_bound
    assert "this machine sends no more than 500 Mbit/s" in row.note


def test_a_load_lasts_through_the_jitter():
    link = EDGE.changed(delay=Time.parse("1s"), jitter=Time.parse("400ms"))
    assert load(uplink(link)).seconds > 3
    assert load(uplink(link)).wait_s > 1.4


def test_what_is_too_slow_is_left_out():
    found = load(uplink(text="10kbit"))
    row = judge_cap(found, found.cap.capacity, LoadMeasurement(()), {})
    assert row.ok
    assert row.why_not == "too slow"
