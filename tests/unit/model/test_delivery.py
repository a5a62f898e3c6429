"""Packet-delivery traces: how they are written, read and named, and what a link makes of one."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from harness.errors import InputError, RecordError, ShapeError
from harness.model import delivery as module
from harness.model.delivery import Delivery, counts_of, packed_traces, remember_traces
from harness.model.delivery_file import delivery_text, is_delivery, read_counts
from harness.model.link import LinkShape
from harness.model.link_edit import ShapeEdit
from harness.model.make_plan import make_plan
from harness.model.pipe import SharedRates, payload_share
from harness.model.plan import NetworkPlan
from harness.model.profile import Profile
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Time
from harness.shaping.facts import NetemFacts
from harness.verify.caps import at_mean_rate
from tests.support.plans import network

WALK = Path("tests/support/traces/walk.up")


def read(text):
    return read_counts("a.up", text)


def trace(text, **options):
    return Delivery.of("a.up", read(text)).played(options)


def test_a_line_is_an_opportunity_at_its_millisecond():
    assert read("1\n3\n3\n") == bytes([1, 0, 2])


def test_those_at_0_are_at_the_end_of_the_round_before():
    assert read("0\n0\n4\n") == bytes([0, 0, 0, 3])


def test_marks_blanks_comments_and_line_ends_of_other_systems_do_no_harm(tmp_path):
    path = tmp_path / "a.up"
    path.write_bytes(b"\xef\xbb\xbf# one per millisecond\r\n1\r\n\r\n 2 \r\n")
    assert counts_of(Delivery.parse(str(path)).digest) == bytes([1, 1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a.up: it is empty"),
        ("# nothing\n", "a.up: it is empty"),
        ("0\n0\n", "a.up: all packets are at 0 ms: it lasts no time"),
        ("5\n7\n6\n", "a.up:3: 6 ms is before the line ahead of it (7 ms)"),
        ("5\n-1\n", "a.up:2: '-1' is negative"),
        ("1\n2\nthree\n", "a.up:3: 'three' is not a number of milliseconds"),
        ("0.001\n0.002\n", "a.up:1: '0.001' is not a whole number of milliseconds; are these seconds?"),
        ("1 2\n", "a.up:1: '1 2' is not a number of milliseconds"),
        ("1_0\n", "a.up:1: '1_0' is not a number of milliseconds"),
        ("1700000000000\n", "a.up:1: '1700000000000' ms is later than an hour, the longest trace; are these"),
        ("9" * 5000, "is later than an hour"),
        ("1\n" * 256, "a.up:256: over 255 packets at 1 ms, which is over 3 Gbit/s"),
        ("0\n" * 200 + "1\n" * 200, "a.up: over 255 packets at 0 ms and at the end"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(text, says):
    with pytest.raises(InputError) as error:
        read(text)
    assert says in str(error.value)
    assert len(str(error.value)) < 300


def test_a_file_of_a_gigabyte_is_refused_at_once(tmp_path):
    path = tmp_path / "huge.up"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match=r"huge\.up is over 16MiB"):
        Delivery.parse(str(path))


def test_what_cannot_travel_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_PACKED", 100)
    with pytest.raises(InputError, match=r"walk.up: \d+ opportunities in 2s are more than can be handed to nodes"):
        Delivery.parse(str(WALK))


def test_a_trace_is_told_from_a_csv_file():
    assert is_delivery("# mine\n\n12\n13\n")
    assert is_delivery("0.1\n")  # so that its fault is named
    assert is_delivery("-1\n")
    assert not is_delivery("time_s,rate_mbit\n0,1\n")
    assert not is_delivery("")


def test_a_written_trace_is_read_again():
    counts = bytes([0, 2, 0, 1])
    assert read(delivery_text(counts)) == counts


def test_the_text_of_a_link_names_the_file_and_how_it_is_played():
    one = Delivery.parse(f"{WALK},loop=no,offset=500ms,speed=2,scale=50%")
    assert (one.loop, one.offset, one.speed, one.scale) == (False, Time(500 * 10**6), Fraction(2), Fraction(1, 2))
    assert str(one) == "walk.up,loop=no,offset=500ms,speed=2,scale=50%"
    assert str(Delivery.parse(str(WALK))) == "walk.up"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("loop=maybe", "loop: 'maybe' is neither yes nor no"),
        ("offset=soon", "offset: 'soon' is not a time"),
        ("offset=2s,loop=no", "offset 2s is past its end; it lasts 2s"),
        ("speed=0", "speed: '0' is not a factor from 0.001 to 1000"),
        ("scale=-1", "scale: '-1' is not a factor"),
        ("scale=nan", "scale: 'nan' is not a factor"),
        ("scale=1/3", "scale: '1/3' is not a factor"),
        ("speed=1e9", "speed: '1e9' is not a factor"),
        ("color=red", "there is no such file"),
    ],
)
def test_wrong_options_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        Delivery.parse(f"{WALK},{options}")


def test_json_has_everything_but_the_trace():
    one = Delivery.parse(f"{WALK},offset=500ms,speed=2,scale=0.3")
    assert Delivery.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_trace_travels_by_its_digest(monkeypatch):
    one = trace("1\n4\n")
    sent = json.loads(json.dumps(packed_traces([one, None, one])))
    assert list(sent) == [one.digest]
    monkeypatch.setattr(module, "_traces", {})
    counts_of.cache_clear()
    with pytest.raises(RecordError, match="did not come with its link"):
        counts_of(one.digest)
    remember_traces(sent)
    assert counts_of(one.digest) == bytes([1, 0, 0, 1])


def test_rates_are_of_bytes_as_the_trace_counts_them():
    one = trace("".join(f"{ms}\n" for ms in range(1, 101)) + "200\n")
    assert one.mean_rate == Rate(101 * 1504 * 8 * 5)
    assert one.peak_rate == Rate(1504 * 8 * 1000)
    assert one.played({"scale": "50%"}).mean_rate == Rate(101 * 1504 * 8 * 5 // 2)
    assert one.played({"speed": "3"}).mean_rate == one.mean_rate


def test_nothing_passes_more_than_the_mean_rate_and_the_burst():
    one = Delivery.parse(str(WALK))
    counts = counts_of(one.digest) * 2
    mean = one.mean_rate.bit_s / 8e3
    most = max(
        sum(counts[begin:end]) * 1504 - mean * (end - 1 - begin)
        for begin in range(0, 2000, 7)
        for end in range(begin + 1, begin + 2000, 13)
    )
    assert most <= one.burst_bytes <= 1.2 * most + 3 * 1504


def test_a_rate_and_a_trace_replace_each_other():
    walk = {"delivery": str(WALK)}
    rated = ShapeEdit.parse({"rate": "1mbit", "overhead": "4", "queue": "codel"}).apply(LinkShape())
    traced = ShapeEdit.parse(walk).apply(rated)
    assert (traced.rate, traced.overhead, str(traced.queue)) == (None, 0, "codel")
    assert ShapeEdit.parse({"rate": "1mbit"}).apply(traced).delivery is None
    assert ShapeEdit.parse({"delivery": "none"}).apply(traced) == LinkShape()
    assert ShapeEdit.parse({"rate": "none"}).apply(traced) == traced
    assert ShapeEdit.parse({"delivery": "none"}).apply(rated) == rated


def test_a_link_has_one_of_them():
    one = trace("1\n")
    with pytest.raises(ShapeError, match="give rate or delivery, not both"):
        LinkShape(rate=Rate(10**6), delivery=one)
    with pytest.raises(ShapeError, match="with delivery give buffer"):
        LinkShape(limit=10, delivery=one)
    with pytest.raises(ShapeError, match="overhead needs a rate"):
        LinkShape(overhead=4, delivery=one)


def test_an_opportunity_carries_a_full_packet_and_counts_4_bytes_beside_it():
    shape = LinkShape(delivery=trace("1\n"))
    assert payload_share(shape.counted_overhead) == 1448 / 1504


def test_a_plan_carries_each_trace_once_and_the_links_name_it(monkeypatch):
    shape = LinkShape(delivery=trace("1\n4\n"))
    plan = network("ring", 3, shape)
    document = json.loads(json.dumps(plan.to_json()))
    assert list(document["deliveries"]) == [shape.delivery.digest]
    monkeypatch.setattr(module, "_traces", {})
    counts_of.cache_clear()
    assert NetworkPlan.from_json(document).edges == plan.edges
    assert counts_of(shape.delivery.digest) == bytes([1, 0, 0, 1])


def test_a_plan_without_traces_carries_none():
    assert network("ring", 3).to_json()["deliveries"] == {}


def test_netem_serves_none():
    with pytest.raises(
        ShapeError, match=r"edge 0->1: delivery a\.up: netem cannot replay a delivery trace; use --engine"
    ):
        NetemFacts().check(network("line", 2, LinkShape(delivery=trace("1\n"))))


def test_a_topology_file_names_one_beside_it(tmp_path):
    (tmp_path / "lte.up").write_text("2\n")
    path = tmp_path / "net.yaml"
    path.write_text("edges:\n  - {between: [0, 1], delivery: 'lte.up,scale=2'}\n")
    plan = make_plan(build_topology(str(path)), Profile("none"), 0)
    assert str(plan.edges[0, 1].shape.delivery) == "lte.up,scale=2"
    path.write_text("edges:\n  - {between: [0, 1], delivery: lte.down}\n")
    with pytest.raises(InputError, match=r"net\.yaml:2: edges\[0\]\.delivery: .*lte\.down: there is no such file"):
        build_topology(str(path))


def test_what_carries_a_bucket_carries_a_trace_over_times_of_its_own():
    """A measurement is planned by the mean rate, and the bound has the trace's own burst."""
    shape = LinkShape(delivery=Delivery.parse(str(WALK)))
    assert at_mean_rate(shape).rate == shape.mean_rate
    (link, _) = SharedRates(network("line", 2, shape)).links
    assert link.bit_s == pytest.approx(shape.mean_rate.bit_s * 1448 / 1504)
    assert link.burst_bits == pytest.approx(shape.burst_bytes * 8 * 1448 / 1504)
