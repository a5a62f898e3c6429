"""Packet-delivery traces in scenarios: read from a file, served by the engine or played as rates."""

from dataclasses import replace
from itertools import islice, pairwise, takewhile
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.model.address import FRAME
from harness.model.delivery import Delivery, counts_of
from harness.model.opportunities import Opportunities
from harness.model.units import ZERO_TIME, Rate, Size
from harness.scenario.deliveries import DeliveryAction, DeliveryRates, rates
from harness.scenario.scenario_file import load_scenario
from harness.shaping.facts import NetemFacts, UserspaceFacts
from harness.shaping.shape_branch import trace_buffer
from tests.support.plans import network, shape

WALK = Path("tests/support/traces/walk.up").absolute()
PLAN = network("ring", 4)
GAINED = 2 * FRAME - FRAME // 2
"""Bytes that a change of rate gives beside the rate, up to 24 Mbit/s."""


def scenario(tmp_path, trace, **files):
    for name, content in {"a": "1\n3\n", "b": "2\n", **files}.items():
        (tmp_path / f"{name}.up").write_text(content)
    path = tmp_path / "s.yaml"
    path.write_text(f"events:\n  - {{at: 1s, trace: {trace}}}\n")
    return load_scenario(path)


def edited(found):
    ((_, edit, _),) = found.events[0].action.steps()
    return {pair: edge.shape.delivery for pair, edge in edit(PLAN).edges.items() if edge.shape.delivery}


def test_a_packet_delivery_trace_is_recognised_by_its_content(tmp_path):
    given = edited(scenario(tmp_path, "{edge: 0-1, file: a.up}"))
    assert {pair: str(one) for pair, one in given.items()} == {(0, 1): "a.up", (1, 0): "a.up"}


def test_a_packet_delivery_trace_is_recognised_by_its_format(tmp_path):
    assert edited(scenario(tmp_path, "{edge: 0-1, file: a.up, format: mahimahi, one_way: true}")).keys() == {(0, 1)}
    with pytest.raises(InputError, match="a trace has a heading"):
        scenario(tmp_path, "{edge: 0-1, file: b.up, format: csv}")
    with pytest.raises(InputError, match="'pcap' is unknown; one of csv, mahimahi"):
        scenario(tmp_path, "{edge: 0-1, file: a.up, format: pcap}")
    with pytest.raises(InputError, match=r"a\.up:1: 'time_s,rate_mbit' is not a number of milliseconds"):
        scenario(tmp_path, "{edge: 0-1, file: a.up, format: mahimahi}", a="time_s,rate_mbit\n0,1\n")


def test_up_is_from_a_to_b_and_down_is_back(tmp_path):
    given = edited(scenario(tmp_path, "{edge: '1-0,2-3', up: a.up, down: b.up}"))
    assert {pair: one.file for pair, one in given.items()} == {
        (1, 0): "a.up",
        (2, 3): "a.up",
        (0, 1): "b.up",
        (3, 2): "b.up",
    }
    assert edited(scenario(tmp_path, "{edge: 0-1, down: b.up}")).keys() == {(1, 0)}


def test_a_trace_loops_by_default_and_has_the_options_of_its_event(tmp_path):
    (delivery, _) = edited(scenario(tmp_path, "{edge: 0-1, file: a.up}")).values()
    assert delivery.loop
    text = "{edge: 0-1, file: a.up, loop: false, offset: 2ms, speed: 2, scale: 0.5}"
    (delivery, _) = edited(scenario(tmp_path, text)).values()
    assert str(delivery) == "a.up,loop=no,offset=2ms,speed=2,scale=50%"


@pytest.mark.parametrize(
    ("trace", "says"),
    [
        ("{edge: 0-1, up: a.up, file: b.up}", "give file, or up and down"),
        ("{edge: 0-1, format: mahimahi}", "give file, or up and down"),
        ("{edge: 0-1, up: a.up, one_way: true}", "one_way does not go with up and down"),
        ("{edge: all, up: a.up}", "up is from A to B: write edges as A-B"),
        ("{up: a.up}", "edge is missing"),
        ("{node: 2, side: uplink, file: a.up}", "node does not go with a packet-delivery trace, which is of edges"),
        ("{edge: 0-1, model: starlink, up: a.up}", "give file: a CSV file or a packet-delivery trace, or model"),
        ("{edge: 0-1, file: a.up, seed: 3}", "seed does not go with file"),
        ("{edge: 0-1, up: a.up, format: csv}", "give file; up and down are for packet-delivery traces"),
        ("{edge: 0-1, format: csv}", "give file; up and down are for packet-delivery traces"),
        ("{edge: 0-1, up: none.up}", "there is no such file"),
        ("{edge: 0-1, file: a.up, loop: false, offset: 3s}", "offset 3s is past its end; it lasts 3ms"),
        ("{edge: 0-1, file: a.up, speed: 0}", "'0' is no speed"),
        ("{edge: 0-1, file: a.up, loop: maybe}", "'maybe' is neither true nor false"),
    ],
)
def test_wrong_input_is_refused_with_its_place(tmp_path, trace, says):
    with pytest.raises(InputError, match=r"s\.yaml:2: .*" + says):
        scenario(tmp_path, trace)


def test_an_error_in_the_trace_has_its_line(tmp_path):
    with pytest.raises(InputError, match=r"s\.yaml:2: events\[0\]\.trace\.file: .*a\.up:2: 1 ms is before"):
        scenario(tmp_path, "{edge: 0-1, file: a.up}", a="5\n1\n")


def test_set_finds_a_trace_beside_the_scenario(tmp_path):
    scenario(tmp_path, "{edge: 0-1, file: a.up}")
    path = tmp_path / "s.yaml"
    path.write_text("events:\n  - {at: 1s, set: {edge: 0-1, delivery: a.up}}\n")
    assert edited(load_scenario(path)).keys() == {(0, 1), (1, 0)}
    path.write_text("events:\n  - {at: 1s, set: {edge: 0-1, delivery: none}}\n")
    assert edited(load_scenario(path)) == {}


def test_only_an_engine_without_traces_gets_rates(tmp_path):
    found = scenario(tmp_path, "{edge: 0-1, file: a.up}")
    assert found.played_by(UserspaceFacts()) == found
    assert isinstance(found.events[0].action, DeliveryAction)
    assert isinstance(found.played_by(NetemFacts()).events[0].action, DeliveryRates)


def played(text, most=200):
    return list(islice(rates(Delivery.parse(text)), most))


def passed(points, until):
    """Bytes that a token bucket lets pass which is full at each change, less what a waiting frame loses."""
    times = [at for at, _ in points if at < until] + [until]
    spans = zip(points, pairwise(times), strict=False)
    return sum(rate.bit_s / 8 * (end - begin) + GAINED for (_, rate), (begin, end) in spans)


@pytest.mark.parametrize(
    "options", ["", ",speed=2", ",scale=50%", ",offset=700ms", ",scale=0.02", ",speed=0.3,scale=1.4"]
)
def test_rates_let_as_much_pass_as_the_trace(options):
    delivery = Delivery.parse(f"{WALK}{options}")
    trace = Opportunities(delivery, counts_of(delivery.digest), 0)
    points = played(f"{WALK}{options}", 2000)
    for second in (1, 2, 5, 10):
        allowed = float(trace.bytes_between(0, second * 10**9)) * FRAME / 1504
        early = 2 * FRAME + GAINED  # an outage begins with a full bucket
        assert -early - 1000 <= passed(points, second) - allowed <= early + 1000


def test_rates_change_at_tenths_of_a_second_and_always():
    points = played(str(WALK), 60)
    assert all(round(at * 10, 6) == round(at * 10) for at, _ in points)
    assert all(one[1] != other[1] for one, other in pairwise(points))
    assert points[0][0] == 0


def test_in_an_outage_a_frame_is_due_when_it_ends(tmp_path):
    path = tmp_path / "gap.up"
    path.write_text("".join(f"{ms}\n" for ms in [*range(1, 201), *range(1201, 1401)]))
    points = dict(takewhile(lambda point: point[0] < 1.3, rates(Delivery.parse(str(path)))))
    assert list(points) == pytest.approx([0.0, 0.1, 0.2, 1.2])
    assert points[0.2].bit_s == round(FRAME * 8 / 1.0)


def test_a_trace_that_ends_leaves_the_least_rate(tmp_path):
    path = tmp_path / "a.up"
    path.write_text("100\n250\n")
    *_, (at, rate) = rates(Delivery.parse(f"{path},loop=no"))
    assert (at, rate) == (0.25, Rate(8))


def test_rates_come_with_the_buffer_of_the_trace_unless_one_is_given(tmp_path):
    action = scenario(tmp_path, "{edge: 0-1, up: a.up, down: a.up}").played_by(NetemFacts()).events[0].action
    plan = network("line", 2)
    plan = plan.changed([replace(plan.edges[0, 1], shape=shape(rate="1mbit", buffer="9kB", delay="3ms"))])
    for _, edit, _ in islice(action.steps(), 4):
        plan = edit(plan)
    there, back = plan.edges[0, 1].shape, plan.edges[1, 0].shape
    assert there.buffer == Size(9000)
    assert back.buffer == Size(trace_buffer(action.parts[0].delivery, ZERO_TIME, None))
    assert there.rate == back.rate != Rate(10**6)
    assert action.period == pytest.approx(0.003)
