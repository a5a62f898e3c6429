"""What a load is, and what is refused before anything is touched."""

import pytest

from harness.errors import InputError
from harness.model.plan_edit import set_down
from harness.traffic.spec import TrafficSpec, check_path, limits, parse_spec, tcp_wire_bytes
from tests.support.plans import network, shape


def test_udp_at_a_rate_with_pauses():
    spec = parse_spec("0-2", rate="30mbit", on="2s", off="6s", seconds=60)
    assert (spec.src, spec.dst, spec.rate.bit_s, spec.flows) == (0, 2, 30_000_000, 0)
    assert spec.mean_rate == 30e6 * 2 / 8
    assert spec.describe() == "UDP at 30 Mbit/s, 2 s on, 6 s off"
    assert TrafficSpec.from_json(spec.to_json()) == spec


def test_tcp_flows_and_the_other_direction():
    spec = parse_spec("3-1", flows=4, congestion_control="reno")
    assert spec.describe() == "4 TCP flows with reno"
    assert (spec.reverse.src, spec.reverse.dst, spec.reverse.flows) == (1, 3, 4)
    assert spec.mean_rate is None
    assert TrafficSpec.from_json(spec.to_json()) == spec


BAD = {
    "01": ({"rate": "1mbit"}, "write A-B with two ranks"),
    "1-1": ({"rate": "1mbit"}, "does not send to itself"),
    "0-x": ({"rate": "1mbit"}, "write A-B"),
    "0-1": ({}, "not both"),
    "0-2": ({"rate": "1mbit", "flows": 2}, "not both"),
    "0-3": ({"rate": "fast"}, "is not a rate"),
    "0-4": ({"rate": "0"}, "at least 8 bit/s"),
    "0-5": ({"flows": 0}, "1 to 256"),
    "0-6": ({"flows": 2, "on": "2s", "off": "5s"}, "belong to a rate"),
    "0-7": ({"rate": "1mbit", "on": "2s"}, "belong together"),
    "0-8": ({"rate": "1mbit", "on": "2", "off": "5s"}, "on: "),
    "9-0": ({"rate": "1mbit", "on": "0s", "off": "5s"}, "more than 0"),
    "0-9": ({"rate": "1mbit", "congestion_control": "reno"}, "UDP has none"),
    "1-0": ({"rate": "1mbit", "seconds": 0}, "more than 0"),
    "2-0": ({"rate": "1mbit", "seconds": float("nan")}, "more than 0"),
}


@pytest.mark.parametrize("ends", BAD)
def test_bad_input_names_what_is_wrong(ends):
    words, message = BAD[ends]
    with pytest.raises(InputError, match=message):
        parse_spec(ends, **words)


def test_a_link_on_the_way_that_is_down_is_named():
    plan = set_down(network("line", 4), [(1, 2)], True)
    check_path(parse_spec("3-0", flows=1), plan)  # only the other direction is down
    with pytest.raises(InputError, match=r"would cross 1->2, which is down; .* harness link up 1-2"):
        check_path(parse_spec("0-3", flows=1), plan)


def test_a_rank_that_is_not_there():
    with pytest.raises(InputError, match="no rank 7"):
        check_path(parse_spec("0-7", flows=1), network("ring", 3))


def test_what_on_the_way_carries_less():
    plan = network("line", 3, e01=shape(rate="50mbit"), e12=shape(rate="20mbit"))
    spec = parse_spec("0-2", rate="30mbit")
    assert [(name, rate.bit_s) for name, rate in limits(spec, plan)] == [("edge 1->2", 20_000_000)]


def test_payload_of_tcp_is_more_on_the_wire():
    assert tcp_wire_bytes(1448 * 100, 1500) == 1514 * 100
