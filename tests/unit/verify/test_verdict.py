"""Verdicts: seldom wrong about a link that is right, and seldom silent about one that is off."""

import random
from dataclasses import replace

import pytest

from harness.model.delivery import Delivery
from harness.model.distribution import table
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import UNSHAPED, LinkShape
from harness.model.machines import Path
from harness.model.node_plan import PlannedEdge
from harness.model.units import Rate, Ratio, Size, Time
from harness.verify.caps import at_mean_rate
from harness.verify.plan import probe_for
from harness.verify.samples import BulkSample, Direction, EchoSample, EdgeMeasurement, TrainCount
from harness.verify.verdict import judge
from tests.support.plans import BLACKHOLE

FRAME, SMALL = 1514, 106
WAN = LinkShape(rate=Rate.parse("100mbit"), delay=Time.parse("40ms"), jitter=Time.parse("4ms"), loss=Ratio.parse("1%"))
HOME = WAN.changed(rate=Rate.parse("20mbit"), delay=Time.parse("10ms"), jitter=Time.parse("1ms"))


def one_way(shape, rng):
    """netem's delay for a lone packet, and what a machine adds."""
    jitter = shape.jitter.seconds * rng.choice(table(shape.distribution)) / 8192
    line = SMALL * 8 / shape.rate.bit_s if shape.rate else 0
    return max(0, shape.delay.seconds + jitter) + line + 0.0001 + rng.expovariate(1 / 0.00005)


def bulk(shape, rng, sender=None):
    """A train through netem's rate."""
    rate = shape.rate.bit_s if shape.rate else 10**10
    sent = sender or 2 * rate
    free, size, points = 0.0, 0, []
    for index in range(400):
        free = max(index * FRAME * 8 / sent, free) + FRAME * 8 / rate
        size += FRAME
        points.append((free + rng.random() * 0.0001, size))
    return BulkSample(size, size * 8 / sent, size, tuple(points))


def measurement(forward, backward, rng, *, sender=None, planned=None):
    """What probes would see of these shapes; what is sent depends on what was planned."""
    probe = probe_for((0, 1), planned or forward, backward, seconds=5, sharing=1, ipv6=False)
    samples = [
        EchoSample(one_way(forward, rng), one_way(backward, rng))
        for _ in range(probe.echo.count if probe.echo else 0)
        if rng.random() >= forward.mean_loss and rng.random() >= backward.mean_loss
    ]

    def train(shape, planned):
        received = sum(rng.random() >= shape.mean_loss for _ in range(planned.count))
        return TrainCount(planned.count, received)

    return EdgeMeasurement(
        (0, 1),
        probe.echo.count if probe.echo else 0,
        tuple(samples),
        forward=Direction(train(forward, probe.forward_train), bulk(forward, rng, sender)),
        backward=Direction(train(backward, probe.backward_train), bulk(backward, rng, sender)),
        timers_late=tuple(rng.expovariate(1 / 0.00005) for _ in range(100)),
        local_delays=tuple(rng.expovariate(1 / 0.00005) for _ in range(20)),
    )


def rows(forward, backward, seen, *, applied=None, applied_back=None, down=False, **options):
    edge, back = PlannedEdge(0, 1, forward, down=down), PlannedEdge(1, 0, backward)
    verdicts = judge(edge, back, applied or edge.effective, applied_back or backward, seen, **options)
    return {(row.src, row.quantity): row for row in verdicts}


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_about_one_row_of_a_hundred_of_a_right_link_is_off(distribution):
    rng, alarms, judged = random.Random(1), 0, 0
    forward, backward = WAN.changed(distribution=distribution), HOME.changed(distribution=distribution)
    for _ in range(60):
        verdicts = rows(forward, backward, measurement(forward, backward, rng)).values()
        assert len(verdicts) == 8
        alarms += sum(not row.ok for row in verdicts)
        judged += len(verdicts)
    assert alarms <= 0.012 * judged


OFF = {
    "rtt": WAN.changed(delay=Time.parse("44ms")),
    "jitter": WAN.changed(jitter=Time.parse("6ms")),
    "loss": WAN.changed(loss=Ratio.parse("2.5%")),
    "rate": WAN.changed(rate=Rate.parse("80mbit")),
}


@pytest.mark.parametrize("quantity", OFF)
def test_a_link_that_is_off_is_caught(quantity):
    rng, caught = random.Random(2), 0
    for _ in range(20):
        seen = measurement(OFF[quantity], HOME, rng, planned=WAN)
        caught += not rows(WAN, HOME, seen)[0, quantity].ok
    assert caught >= 19


def test_delays_that_are_exchanged_are_caught_although_the_round_trip_is_right():
    row = rows(WAN, HOME, measurement(HOME, WAN, random.Random(3)))[0, "rtt"]
    assert not row.ok
    assert row.low <= row.measured <= row.high
    assert row.note == "one way takes 10.2 ms instead of 40 ms"


def test_the_round_trip_is_of_both_directions_for_both():
    verdicts = rows(WAN, HOME, measurement(WAN, HOME, random.Random(4)))
    assert verdicts[0, "rtt"].measured == pytest.approx(verdicts[1, "rtt"].measured)
    assert verdicts[0, "rtt"].requested == verdicts[1, "rtt"].requested == 0.05
    assert verdicts[0, "jitter"].measured == pytest.approx(0.004, rel=0.2)
    assert verdicts[1, "jitter"].measured == pytest.approx(0.001, rel=0.2)


@pytest.mark.parametrize(
    ("applied", "quantity", "note"),
    [
        (WAN.changed(delay=Time.parse("41ms")), "rtt", "requested 50 ms, but the engine reports 51 ms"),
        (WAN.changed(jitter=Time.parse("5ms")), "jitter", "requested 4 ms, but the engine reports 5 ms"),
        (WAN.changed(distribution="pareto"), "jitter", "requested uniform, but the engine reports pareto"),
        (WAN.changed(loss=Ratio.parse("2%")), "loss", "requested 1 %, but the engine reports 2 %"),
        (WAN.changed(rate=Rate.parse("50mbit")), "rate", "requested 100 Mbit/s, but the engine reports 50 Mbit/s"),
        (WAN.changed(rate=None), "rate", "requested 100 Mbit/s, but the engine reports no limit"),
    ],
)
def test_a_row_is_off_where_the_engine_reports_another_value_although_traffic_agrees_with_it(applied, quantity, note):
    row = rows(WAN, HOME, measurement(applied, HOME, random.Random(5)), applied=applied)[0, quantity]
    assert not row.ok
    assert row.note == note


def test_the_kernels_rounding_is_no_difference():
    applied = WAN.changed(
        delay=Time(WAN.delay.ns + 64), loss=Ratio.from_u32(WAN.loss.u32), rate=Rate(WAN.rate.bit_s - 4)
    )
    verdicts = rows(WAN, HOME, measurement(WAN, HOME, random.Random(6)), applied=applied)
    assert all(row.ok for row in verdicts.values())


def test_a_sender_that_is_too_slow_makes_the_link_machine_bound():
    fast = WAN.changed(rate=Rate.parse("40gbit"))
    row = rows(fast, HOME, measurement(fast, HOME, random.Random(7), sender=3e9))[0, "rate"]
    assert row.ok
    assert row.machine_bound
    assert row.note == "this machine sends no more than 3 Gbit/s"
    assert row.measured == pytest.approx(3e9, rel=0.05)


def test_a_slow_sender_does_not_explain_a_link_that_is_slower_still():
    wrong = WAN.changed(rate=Rate.parse("30mbit"))
    row = rows(WAN, HOME, measurement(wrong, HOME, random.Random(8), sender=100e6))[0, "rate"]
    assert not row.ok
    assert not row.machine_bound


@pytest.mark.parametrize(
    ("busy", "sender", "bound"),
    [
        (1.0, 8e9, False),  # it could send twice what was asked for: what held half of it back is the link
        (1.0, 4.8e9, False),
        (1.0, 4.1e9, False),
        (1.0, 3.5e9, True),
        (0.5, 3.5e9, False),
        (0.5, 2.1e9, True),  # nearly all that was sent arrived
    ],
)
def test_a_busy_cpu_counts_only_where_the_sender_was_slower_than_planned(busy, sender, bound):
    fast, slower = WAN.changed(rate=Rate.parse("4gbit")), WAN.changed(rate=Rate.parse("2gbit"))
    sample = bulk(slower, random.Random(9), sender=sender)
    seen = EdgeMeasurement(
        (0, 1),
        forward=Direction(
            bulk=BulkSample(sample.sent_bytes, sample.sent_s, sample.received_bytes, sample.points, busy)
        ),
    )
    row = rows(fast, HOME, seen)[0, "rate"]
    assert (row.ok, row.machine_bound) == (bound, bound)


def test_an_unreadably_fast_train_is_machine_bound():
    fast = WAN.changed(rate=Rate.parse("4gbit"))
    train = BulkSample(10**7, 0.01, 10**7, (), ends=((0, 1514), (0.05, 10**7)))  # not once did the reader wait
    seen = EdgeMeasurement((0, 1), forward=Direction(bulk=train))
    row = rows(fast, HOME, seen)[0, "rate"]
    assert row.machine_bound
    assert row.measured == pytest.approx(1.6e9, rel=0.01)
    assert row.note == "this machine reads slower than the link sends"


def test_a_train_of_which_little_arrived_was_not_read_too_slowly():
    fast = WAN.changed(rate=Rate.parse("4gbit"))
    train = BulkSample(10**7, 0.01, 10**5, (), ends=((0, 1514), (0.05, 10**5)))
    seen = EdgeMeasurement((0, 1), forward=Direction(bulk=train))
    assert not rows(fast, HOME, seen)[0, "rate"].ok


def test_an_unlimited_link_is_measured_for_information():
    row = rows(UNSHAPED, UNSHAPED, measurement(UNSHAPED, UNSHAPED, random.Random(10)))[0, "rate"]
    assert row.ok
    assert (row.requested, row.low, row.high) == (None, None, None)
    assert row.measured > 0


def test_an_edge_that_follows_a_trace_is_shown_and_not_judged():
    shape = LinkShape(delivery=Delivery.of("a.up", bytes([0, 0, 0, 0, 1])), delay=Time.parse("10ms"))
    planned = at_mean_rate(shape)
    seen = measurement(planned.changed(delay=Time.parse("14ms")), planned, random.Random(1), planned=planned)
    edge, back = PlannedEdge(0, 1, shape), PlannedEdge(1, 0, shape)
    rows = {row.quantity: row for row in judge(edge, back, shape, shape, seen) if row.src == 0}
    for name in ("rtt", "jitter", "rate"):
        assert rows[name].ok
        assert rows[name].note == "not judged: it follows a.up, whose rate varies"
        assert rows[name].measured is not None
    assert rows["rate"].requested == 1504 * 8 * 200
    other = shape.changed(delivery=None)
    assert not any(row.ok for row in judge(edge, back, other, shape, seen) if row.quantity == "rate" and row.src == 0)


def test_an_edge_from_which_nothing_came_back():
    seen = EdgeMeasurement(
        (0, 1),
        50,
        forward=Direction(TrainCount(200, 0), BulkSample(10**6, 0.1, 0, ())),
        backward=Direction(TrainCount(200, 200)),
    )
    verdicts = rows(WAN, HOME, seen)
    assert not any(verdicts[0, name].ok for name in ("rtt", "jitter", "loss", "rate"))
    assert verdicts[0, "rtt"].note == "none of 50 packets came back"
    assert verdicts[0, "loss"].note == "none of 200 packets arrived"
    assert verdicts[0, "rate"].note == "no packet arrived"
    assert verdicts[1, "rate"].note == "it was not measured"


def test_a_link_that_is_down_has_its_loss_judged_and_nothing_else():
    seen = EdgeMeasurement((0, 1), forward=Direction(TrainCount(200, 0)), backward=Direction(TrainCount(2000, 1980)))
    verdicts = rows(WAN, HOME, seen, down=True)
    assert set(verdicts) == {(0, "loss"), (1, "loss"), (1, "rate")}
    assert verdicts[0, "loss"].ok
    assert verdicts[0, "loss"].note == "the link is down"
    assert verdicts[1, "loss"].ok


def test_a_link_that_should_be_down_and_is_not():
    seen = EdgeMeasurement((0, 1), forward=Direction(TrainCount(200, 1)))
    assert not rows(WAN, HOME, seen, down=True)[0, "loss"].ok
    assert not rows(BLACKHOLE, HOME, seen)[0, "loss"].ok


def test_losses_in_bursts_have_a_wider_interval():
    chain = WAN.changed(
        loss=Ratio.parse("0%"), gilbert_elliott=GilbertElliott(Ratio.parse("0.2%"), Ratio.parse("19.8%"))
    )
    seen = EdgeMeasurement((0, 1), forward=Direction(TrainCount(2000, 1970)))
    plain, bursts = (rows(shape, HOME, seen)[0, "loss"] for shape in (WAN, chain))
    assert bursts.high - bursts.low > 2 * (plain.high - plain.low)
    assert bursts.note == "losses come in bursts, so these packets count as 222 independent ones"


def test_corrupted_packets_count_as_lost():
    shape = UNSHAPED.changed(corrupt=Ratio.parse("10%"))
    row = rows(shape, HOME, EdgeMeasurement((0, 1), forward=Direction(TrainCount(2000, 1811))))[0, "loss"]
    assert row.ok
    assert row.requested == pytest.approx(0.0943, abs=1e-4)


def test_duplicates_and_overtakers_have_rows_where_asked_for():
    shape = HOME.changed(duplicate=Ratio.parse("2%"), reorder=Ratio.parse("5%"))
    verdicts = rows(shape, HOME, EdgeMeasurement((0, 1), forward=Direction(TrainCount(2000, 1980, 40, 99))))
    assert verdicts[0, "duplicate"].ok
    assert verdicts[0, "reorder"].ok
    assert (1, "duplicate") not in verdicts
    verdicts = rows(shape, HOME, EdgeMeasurement((0, 1), forward=Direction(TrainCount(2000, 1980, 0, 0))))
    assert not verdicts[0, "duplicate"].ok
    assert not verdicts[0, "reorder"].ok


def test_packets_that_skip_the_delay_are_no_part_of_it():
    shape = LinkShape(delay=Time.parse("20ms"), jitter=Time.parse("2ms"), reorder=Ratio.parse("10%"))
    rng = random.Random(11)
    seen = measurement(shape, HOME, rng)
    hasty = tuple(EchoSample(0.0002, echo.backward) if i % 10 == 0 else echo for i, echo in enumerate(seen.echoes))
    seen = EdgeMeasurement((0, 1), len(hasty), hasty, timers_late=seen.timers_late)
    verdicts = rows(shape, HOME, seen)
    assert verdicts[0, "rtt"].ok
    assert verdicts[0, "jitter"].ok
    assert verdicts[0, "reorder"].ok
    assert verdicts[0, "reorder"].measured == pytest.approx(0.1, abs=0.01)


def on_a_machine(extra, adds, *, shape=UNSHAPED, count=100, stalled=0):
    """Echoes over an edge of this shape, each way longer by ``extra``, where sleeps end late by ``adds``."""
    rng = random.Random(17)
    echoes = tuple(
        EchoSample(one_way(shape, rng) + extra + (0.2 if i < stalled else 0), one_way(shape, rng) + extra)
        for i in range(count)
    )
    late = tuple(adds * rng.uniform(0.8, 1.2) for _ in range(count - stalled)) + (0.2,) * stalled
    return EdgeMeasurement((0, 1), count, echoes, timers_late=late, local_delays=(0.0001,) * 20)


@pytest.mark.parametrize(
    ("extra", "adds", "verdict"),
    [
        (0.0, 0.0001, "ok"),
        (0.0003, 0.0003, "ok"),  # an idle guest
        (0.0005, 0.0003, "ok"),  # somewhat more than its sleeps say
        (0.0010, 0.0003, "OFF"),
        (0.0050, 0.0003, "OFF"),
        (0.0035, 0.0035, "machine-bound"),
        (0.0000, 0.0035, "machine-bound"),  # a link that is 7 ms too short would look like that
        (0.0050, 0.0035, "machine-bound"),
        (0.0100, 0.0035, "OFF"),
    ],
)
def test_a_busy_machine_widens_by_a_millisecond_and_is_machine_bound_beyond(extra, adds, verdict):
    row = rows(UNSHAPED, UNSHAPED, on_a_machine(extra, adds))[0, "rtt"]
    assert ("machine-bound" if row.machine_bound else "ok" if row.ok else "OFF") == verdict
    if verdict == "ok":
        assert row.high < 0.0018
    if verdict == "machine-bound":
        assert row.note.startswith("this machine itself adds 7.")
        assert 0.014 < row.high < 0.0155


def test_a_link_ten_milliseconds_off_is_off_though_the_machine_once_stood_still():
    asked = LinkShape(delay=Time.parse("5ms"))
    row = rows(asked, asked, on_a_machine(0.005, 0.0002, shape=asked, stalled=20))[0, "rtt"]
    assert not row.ok
    assert row.measured == pytest.approx(0.0203, abs=0.0003)
    right = rows(asked, asked, on_a_machine(0.0001, 0.0002, shape=asked, stalled=20))
    assert right[0, "rtt"].ok
    assert right[0, "jitter"].ok
    assert not any(row.machine_bound for row in right.values())
    assert right[0, "rtt"].high < 0.0125


def test_a_spread_that_late_sleeps_do_not_explain_counts_as_the_links():
    rng = random.Random(20)
    echoes = tuple(EchoSample(rng.choice((0, 0.012)) + 0.0001, 0.0001) for _ in range(20))
    row = rows(UNSHAPED, UNSHAPED, EdgeMeasurement((0, 1), 20, echoes, timers_late=(0.0001,) * 20))[0, "rtt"]
    assert not row.ok
    assert row.high < 0.001


def test_jitter_widens_by_a_millisecond_and_is_machine_bound_beyond():
    steady, rng = WAN.changed(jitter=Time(0)), random.Random(18)

    def seen(spread, late):
        echoes = tuple(EchoSample(0.04 + rng.uniform(0, spread), 0.01) for _ in range(200))
        return EdgeMeasurement((0, 1), 200, echoes, timers_late=tuple(rng.uniform(0, late) for _ in range(200)))

    for spread, late, ok, bound in (
        (0.0005, 0.0001, True, False),
        (0.008, 0.0010, False, False),
        (0.008, 0.0080, True, True),
        (0.030, 0.0080, False, False),
    ):
        row = rows(steady, HOME, seen(spread, late))[0, "jitter"]
        assert (row.ok, row.machine_bound) == (ok, bound)


@pytest.mark.parametrize(("jitter", "late", "ok"), [("0ms", 0.17, True), ("8ms", 0.17, False), ("1ms", 0.0, False)])
def test_waits_that_are_seldom_late_alone_but_often_together_do_not_count_as_jitter(jitter, late, ok):
    """As on a virtual machine whose host is busy: one wait in six, and a packet meets three of them."""
    steady, rng = WAN.changed(jitter=Time(0)), random.Random(21)
    shaken = steady.changed(jitter=Time.parse(jitter))

    def wait():
        return rng.uniform(0.0001, 0.00015) + (rng.random() < late) * rng.uniform(0.0002, 0.002)

    right = 0
    for _ in range(40):
        echoes = tuple(EchoSample(one_way(shaken, rng) + wait() + wait() + wait(), 0.01) for _ in range(200))
        seen = EdgeMeasurement((0, 1), 200, echoes, timers_late=tuple(wait() for _ in range(200)))
        right += rows(steady, HOME, seen)[0, "jitter"].ok == ok
    assert right >= 38


@pytest.mark.parametrize("count", [5, 20])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_few_echoes_seldom_raise_a_false_alarm_about_the_round_trip(count, distribution):
    shape, rng, alarms = LinkShape(delay=Time.parse("40ms"), jitter=Time.parse("5ms")), random.Random(19), 0
    shape = shape.changed(distribution=distribution)
    for _ in range(300):
        echoes = tuple(EchoSample(one_way(shape, rng), one_way(shape, rng)) for _ in range(count))
        alarms += not rows(shape, shape, EdgeMeasurement((0, 1), count, echoes))[0, "rtt"].ok
    assert alarms <= 6


def test_a_step_that_was_left_out_because_the_link_is_slow_is_not_off():
    seen = measurement(WAN, HOME, random.Random(3))
    no_bulk = replace(seen.forward, bulk=None, left_out=("bulk",))
    row = rows(WAN, HOME, replace(seen, forward=no_bulk))[0, "rate"]
    assert row.ok
    assert row.measured is None
    assert row.note == "the link is too slow to be measured in this time: use a larger --seconds"


def test_an_edge_of_which_nothing_was_measured_is_not_ok():
    neither = Direction(left_out=("train", "bulk"))
    found = rows(WAN, HOME, EdgeMeasurement((0, 1), forward=neither, backward=neither, echo_left_out=True))
    assert len(found) == 8
    for row in found.values():
        assert not row.ok
        assert row.why_not == "too slow"
        assert row.measured is None
    applied = WAN.changed(delay=Time.parse("1ms"), loss=Ratio.parse("2%"), rate=Rate.parse("1mbit"), jitter=Time(0))
    seen = EdgeMeasurement((0, 1), forward=neither, backward=neither, echo_left_out=True)
    assert not any(rows(WAN, HOME, seen, applied=applied)[0, quantity].ok for quantity in ("rtt", "loss", "rate"))


def test_a_slow_machine_widens_upwards_by_what_it_adds_and_says_so():
    rng = random.Random(12)
    seen = measurement(WAN, HOME, rng)
    late = EdgeMeasurement(
        (0, 1),
        seen.echoes_sent,
        tuple(EchoSample(echo.forward + 0.0011, echo.backward + 0.0011) for echo in seen.echoes),
        timers_late=(0.001,) * 50,
        local_delays=(0.0002,) * 20,
    )
    row = rows(WAN, HOME, late)[0, "rtt"]
    assert (row.ok, row.machine_bound) == (True, True)
    assert row.note.startswith("this machine itself adds 2.4 ms, so it cannot detect a difference under 5.")
    prompt = EdgeMeasurement((0, 1), late.echoes_sent, late.echoes, seen.timers_late, seen.local_delays)
    assert not rows(WAN, HOME, prompt)[0, "rtt"].ok


def test_without_jitter_rare_waits_do_not_count_but_a_spread_of_all_packets_does():
    rng, steady = random.Random(16), WAN.changed(jitter=Time(0))
    for spread, ok in ((0.0002, True), (0.004, False)):
        echoes = tuple(
            EchoSample(0.04 + rng.uniform(0, spread) + (rng.random() < 0.05) * rng.uniform(0, 0.02), 0.01)
            for _ in range(300)
        )
        assert rows(steady, HOME, EdgeMeasurement((0, 1), 300, echoes))[0, "jitter"].ok == ok


def test_a_token_buckets_probe_does_not_wait_for_the_rate():
    shape = LinkShape(rate=Rate.parse("10kbit"), burst=Size.parse("100kB"), delay=Time.parse("10ms"))
    rng = random.Random(13)
    plain = shape.changed(rate=None, burst=None)
    seen = measurement(plain, HOME, rng)
    assert rows(shape, HOME, seen)[0, "rtt"].ok


def test_a_row_as_json_has_the_promised_names():
    row = rows(WAN, HOME, measurement(WAN, HOME, random.Random(14)))[0, "loss"].to_json()
    assert {"src", "dst", "quantity", "requested", "applied", "measured", "low", "high", "ok"} <= set(row)


def test_a_higher_confidence_is_a_wider_interval():
    seen = measurement(WAN, HOME, random.Random(15))
    usual, sure = (rows(WAN, HOME, seen, confidence=c)[0, "loss"] for c in (0.99, 0.9999))
    assert sure.high > usual.high


def by_two_clocks(seen, ahead, path):
    """The same between two machines: the second's clock is that far ahead, and the path takes its own time."""
    echoes = (EchoSample(one.forward + path / 2 + ahead, one.backward + path / 2 - ahead) for one in seen.echoes)
    return replace(seen, echoes=tuple(echoes))


@pytest.mark.parametrize("ahead", [0.0, 3e5, -7200.0])
def test_between_two_machines_round_trips_and_jitter_are_judged_whatever_their_clocks_say(ahead):
    path = Path(0.0032, 0.0002, 0.004, 0.0045, 20)
    seen = by_two_clocks(measurement(WAN, HOME, random.Random(4)), ahead, path.rtt)
    found = rows(WAN, HOME, seen, path=path)
    assert [key for key, row in found.items() if not row.ok] == []
    assert found[0, "rtt"].measured == pytest.approx(0.054, rel=0.02)
    assert "the path between the machines takes 4 ms of it" in found[0, "rtt"].note
    assert "one way not measured: clocks of two machines, +-200 µs" in found[1, "rtt"].note
    off = rows(WAN, HOME, seen, path=replace(path, rtt=0.0005))
    assert not off[0, "rtt"].ok, "3.5 ms that neither the link nor the path explains"


def test_jitter_that_is_off_is_caught_between_two_machines_too():
    path = Path(0.0, 0.0002, 0.0004, 0.0005, 20)
    calm = WAN.changed(jitter=Time.parse("1ms"))
    seen = by_two_clocks(measurement(calm, HOME, random.Random(5)), 1e4, path.rtt)
    found = rows(WAN, HOME, seen, path=path)
    assert [key for key, row in found.items() if not row.ok] == [(0, "jitter")]


def test_a_link_that_should_be_quicker_than_the_path_is_named():
    path, quick = Path(0.0, 0.0001, 0.0008, 0.0009, 20), LinkShape(delay=Time.parse("0.2ms"))
    seen = by_two_clocks(measurement(quick, quick, random.Random(6)), 50.0, path.rtt)
    row = rows(quick, quick, seen, path=path)[0, "rtt"]
    assert row.ok
    assert "the plan asks for less than the path between the machines takes by itself, 800 µs" in row.note
