"""Profiles in files: the shipped ones are mission.md's, every key is read, and bad files get one clear line."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ProfileError
from harness.model.capacity import Capacity
from harness.model.format import format_range
from harness.model.link import UNSHAPED, LinkShape
from harness.model.profile import NONE
from harness.model.profile_file import SHIPPED_ORDER, load_profile, shipped_profiles
from harness.model.queueing import Queue
from harness.model.range import Range
from harness.model.units import Rate, Ratio, Size, Time


def text_range(kind, text):
    low, _, high = text.partition(" - ")
    return Range(kind.parse(low), kind.parse(high or low))


TABLE = {
    "local": ("1GB/s - 10GB/s", "0.1ms - 1ms", "0", "1%"),
    "datacenter": ("100MB/s - 1000MB/s", "0.5ms - 5ms", "0.01%", "5%"),
    "wan": ("10MB/s - 100MB/s", "10ms - 50ms", "0.1%", "10%"),
    "mobile": ("1MB/s - 10MB/s", "50ms - 200ms", "1%", "30%"),
    "poor": ("0.1MB/s - 1MB/s", "200ms - 1000ms", "5%", "50%"),
    "mobile-real": ("1MB/s - 10MB/s", "50ms - 300ms", "1% - 5%", "30% - 50%"),
    "datacenter-real": ("100MB/s - 1000MB/s", "0.1ms - 5ms", "0.001% - 0.1%", "1% - 5%"),
    "cross-continental": ("10MB/s - 100MB/s", "100ms - 500ms", "0.1% - 1%", "10% - 20%"),
}
LINES = {
    "home": ("100mbit", "20mbit", "8ms - 20ms"),
    "home-fibre": ("500mbit", "500mbit", "3ms - 12ms"),
    "satellite-leo": ("87mbit - 200mbit", "12mbit - 20mbit", "20ms - 30ms"),
    "satellite-geo": ("19mbit - 25mbit", "2.5mbit - 3mbit", "280ms - 340ms"),
    "cloud-vm": ("5gbit", "5gbit", "0.1ms - 0.5ms"),
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_load(text):
        Path("my.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_profile("my.yaml")

    return write_and_load


@pytest.mark.parametrize("name", TABLE)
def test_shipped_profiles_are_those_of_the_table(name):
    rate, delay, loss, jitter = TABLE[name]
    profile = load_profile(name)
    assert profile.rate == text_range(Rate, rate)
    assert profile.delay == text_range(Time, delay)
    assert profile.loss == text_range(Ratio, loss)
    assert profile.jitter == text_range(Ratio, jitter)
    assert profile.description
    assert profile.name == name
    assert load_profile(name.replace("-", "_").upper()) == profile
    assert profile.describe()["rate"] == format_range(profile.rate.low, profile.rate.high)


def test_shipped_order():
    assert shipped_profiles() == [*TABLE, *LINES] == list(SHIPPED_ORDER)


@pytest.mark.parametrize("name", LINES)
def test_shipped_lines_are_shared_and_their_edges_have_no_rate(name):
    downlink, uplink, delay = LINES[name]
    profile = load_profile(name)
    assert profile.downlink.rate == text_range(Rate, downlink)
    assert profile.uplink.rate == text_range(Rate, uplink)
    assert profile.delay == text_range(Time, delay)
    assert (profile.rate, profile.jitter) == (None, None)
    assert profile.description


@pytest.mark.parametrize("name", LINES)
def test_every_value_of_a_shipped_line_has_its_source(name):
    """Above it or beside it: who measured it or sells it, or the word estimate."""
    beside = ""
    for line in load_profile(name).source.read_text().splitlines():
        key, _, comment = line.partition("#")
        beside = beside + comment if not key else comment or beside
        if key and not key.startswith("description"):
            assert re.search("estimate|Estimate|Ofcom|Ookla|Michel|AWS|arXiv", beside), line


def test_none_is_unshaped():
    assert load_profile("none") is NONE
    assert NONE.sample(1, 0, 1) == UNSHAPED
    assert NONE.describe() == {}
    assert NONE.source is None


def test_a_scalar_is_exact(load):
    profile = load("rate: 1000001bit\ndelay: 1234567ns\njitter: 10%\nloss: 0.0000001234567%\n")
    assert profile.sample(0, 0, 1) == LinkShape(
        rate=Rate(1_000_001),
        delay=Time(1_234_567),
        jitter=Time(123_457),
        loss=Ratio(Fraction(1_234_567, 10**15)),
    )


def test_every_key(load):
    profile = load(
        "description: all\nrate: [1MB/s, 2MB/s]\ndelay: [10ms, 20ms]\njitter: [1ms, 5ms]\ndistribution: pareto\n"
        "gilbert_elliott: {p: [1%, 2%], r: 25%, loss_bad: 80%, loss_good: 0}\nduplicate: 0.1%\ncorrupt: [0, 0.1%]\n"
        "reorder: 1%\nlimit: [100, 200]\nburst: 16KiB\nqueue: 50ms\n"
    )
    shape = profile.sample(7, 2, 1)
    assert 100 <= shape.limit <= 200
    assert shape.burst == Size(16384)
    assert (shape.queue, shape.buffer) == (None, Time(50_000_000))  # the form of before there were disciplines
    assert shape.distribution == "pareto"
    assert Fraction(1, 100) <= shape.gilbert_elliott.p.value <= Fraction(2, 100)
    assert shape.gilbert_elliott.loss_bad == Ratio(Fraction(4, 5))
    assert profile.describe() == {
        "rate": "8 – 16 Mbit/s",
        "delay": "10 – 20 ms",
        "jitter": "1 – 5 ms",
        "distribution": "pareto",
        "gilbert_elliott": "p 1 – 2 %, r 25 %, loss_bad 80 %, loss_good 0 %",
        "duplicate": "0.1 %",
        "corrupt": "0 – 0.1 %",
        "reorder": "1 %",
        "limit": "100 – 200",
        "burst": "16 KiB",
        "buffer": "50 ms",
    }
    told = json.loads(json.dumps(profile.to_json()))
    assert told["rate_bit_s"] == [8_000_000, 16_000_000]
    assert told["jitter_s"] == [0.001, 0.005]
    assert told["jitter_share"] is None
    assert told["limit_packets"] == [100, 200]
    assert told["gilbert_elliott"]["p"] == [0.01, 0.02]


def test_loss_with_correlation(load):
    assert load("loss: 1%\nloss_correlation: [10%, 25%]").sample(0, 0, 1).loss_chain.mean_loss == pytest.approx(0.01)


def test_zero_needs_no_unit_and_anchors_work(load):
    assert load("delay: 0\nloss: 0\njitter: 0").sample(0, 0, 1) == UNSHAPED
    assert load("delay: [0, 10ms]\njitter: [0, 10%]").describe()["jitter"] == "0 – 10 %"
    assert load("delay: &d 5ms\njitter: *d").sample(0, 0, 1).jitter == Time(5_000_000)


def test_caps_as_rates_ranges_and_mappings(load):
    profile = load(
        "queue: codel\nbuffer: 50ms\noverhead: 18\nuplink: [10mbit, 40mbit]\n"
        "downlink: {rate: 100mbit, queue: {kind: fq_codel, ecn: no}, buffer: [64KiB, 128KiB], overhead: -14}\n"
    )
    shape = profile.sample_node(0, 2)
    assert Rate(10_000_000) <= shape.uplink.rate <= Rate(40_000_000)
    assert replace(shape.uplink, rate=Rate(8)) == Capacity(Rate(8), Queue.of("codel"), Time(50_000_000), 18)
    assert Size(65536) <= shape.downlink.buffer <= Size(131072)
    assert replace(shape.downlink, buffer=None) == Capacity(Rate(10**8), Queue.of("fq_codel", ecn=False), None, -14)
    assert profile.sample(0, 0, 1) == LinkShape()
    assert profile.describe()["downlink"] == "100 Mbit/s, queue fq_codel,ecn=no, buffer 64 – 128 KiB, overhead -14"
    assert profile.to_json()["uplink"] == {
        "rate_bit_s": [10_000_000, 40_000_000],
        "queue": None,
        "buffer": None,
        "overhead_bytes": None,
    }


def test_a_cap_can_have_the_plain_queue_beside_a_profile_s_other(load):
    assert load("queue: codel\nuplink: {rate: 1mbit, queue: none}").sample_node(0, 0).uplink == Capacity(Rate(10**6))


BAD = [
    ("uplink: [40mbit, 10mbit]", "uplink: the range"),
    ("uplink: {rate: 5mbit, queue: {kind: codel, min: 5KiB}}", "uplink.queue: queue codel has no parameter 'min'"),
    ("uplink: {rate: 5mbit, burst: 5KiB}", "uplink: unknown key 'burst'"),
    ("uplink: {rate: 5mbit, overhead: many}", "uplink.overhead: 'many' is not a number of bytes"),
    ("queue: {kind: codel, ecn: perhaps}", "queue: queue codel: ecn: 'perhaps' is neither yes nor no"),
    ("queue: {target: 5ms}", "queue: kind is missing"),
    ("delay: 50", "my.yaml:1: delay: '50' is not a time: it has no unit; write e.g. 80ms, 1.5s or 250us"),
    ("\n\n\ndelay: [50ms, 50]", "my.yaml:4: delay[1]: '50' is not a time: it has no unit"),
    ("delay:\n- 50ms\n- 50", "my.yaml:3: delay[1]: '50' is not a time"),
    ('delay: "50"', "'50' is not a time"),
    ("delay: true", "the truth value true where a time, e.g. 80ms, 1.5s or 250us, is expected"),
    ("delay:", "delay: nothing where a time"),
    ("delay: ~", "nothing where a time"),
    ("delay: {low: 1ms}", "a mapping where a time"),
    ("delay: [[1ms, 2ms], 3ms]", "delay[0]: a list where a time"),
    ("delay: [1ms, true]", "delay[1]: the truth value true"),
    ("delay: []", "[low, high]; this list has 0"),
    ("delay: [1ms, 2ms, 3ms]", "[low, high]; this list has 3"),
    ("delay: [80ms, 20ms]", "delay: the range 80ms - 20ms is the wrong way round"),
    ("delay: -5ms", "a time cannot be negative"),
    ("delay: 300s", "over 275s"),
    ("delay: !!python/name:os.system 5ms", "where a time"),
    ("delya: 5ms", "my.yaml:1: unknown key 'delya'; did you mean 'delay'?"),
    ("bandwidth: 5MB/s", "did you mean 'rate'?"),
    ("colour: red", "unknown key 'colour'; known: description, rate"),
    ("rate: 10bps", "bytes to tc and bits to most people"),
    ("rate: 10MB", "rate: '10MB' is not a rate: unknown unit 'MB'"),
    ("rate: 0mbit", "at least 8 bit/s"),
    ("loss: 101%", "not between 0% and 100%"),
    ("loss: 0.5", "write a percentage"),
    ("loss: -1%", "not between 0% and 100%"),
    ("jitter: [1ms, 10%]\ndelay: 20ms", "write two times or two shares"),
    ("jitter: 5ms", "jitter 5ms is over the delay 0ms"),
    ("jitter: [5ms, 20ms]\ndelay: [10ms, 50ms]", "my.yaml:1: jitter: jitter 20ms is over the delay 10ms"),
    ("delay: [1s, 200s]\njitter: 50%", "over 275s"),
    ("distribution: norml", "distribution: 'norml' is unknown; did you mean 'normal'?"),
    ("distribution: [uniform, normal]", "a list where one of uniform, normal, pareto, paretonormal is expected"),
    ("limit: 1.5", "'1.5' where a number of packets"),
    ("limit: 0", "not between 1 and 2147483647"),
    ("limit: 99999999999", "not between 1 and 2147483647"),
    ("limit: 1KB", "where a number of packets"),
    ("rate: 1MB/s\nburst: 1500", "'1500' is not a size: it has no unit"),
    ("rate: 1MB/s\nburst: 0", "lets no packet pass"),
    ("burst: 1600B", "burst needs a rate"),
    ("rate: [1kbit, 1mbit]\nburst: [1600B, 64KiB]", "my.yaml:2: burst: burst 64KiB takes over 274s at 1kbit"),
    ("delay: 1ms\nqueue: codel", "my.yaml:2: queue: queue needs a rate"),
    ("reorder: 1%\ndelay: [0, 5ms]", "reorder needs a delay"),
    ("loss_correlation: 25%", "needs loss"),
    ("loss: [0, 1%]\nloss_correlation: 25%", "needs loss"),
    ("loss: 1%\ngilbert_elliott: {p: 1%, r: 10%}", "give loss or gilbert_elliott, not both"),
    ("gilbert_elliott: 1%", "gilbert_elliott: '1%' is not a chain; write p=1%,r=20%"),
    ("gilbert_elliott: 1%,r=5%", "is not a chain"),
    ("gilbert_elliott: [1%, 2%]", "a list where a mapping is expected"),
    ("gilbert_elliott:", "nothing where a chain, e.g."),
    ("packet-loss: 1%", "unknown key 'packet-loss'; did you mean 'loss'?"),
    ("gemodel: 1%", "did you mean 'gilbert_elliott'?"),
    ("loss-correlation: 25%", "did you mean 'loss_correlation'?"),
    ("jitter_correlation: 25%", "unknown key 'jitter_correlation'; delays of successive packets are independent here"),
    ("slot: 5ms", "links here send packets one by one"),
    ("ecn: true", "write e.g. queue: codel,ecn=yes"),
    ("delay: none", "delay: 'none' is not a time"),
    ("rate: [none, 1mbit]", "rate[0]: 'none' is not a rate"),
    ("gilbert_elliott: {p: 1%}", "r missing"),
    ("gilbert_elliott: {p: 1%, r: 5%, h: 1%}", "unknown key 'h'"),
    ("gilbert_elliott:\n  p: 1%\n  r: 5", "my.yaml:3: gilbert_elliott.r: '5' is not a ratio"),
    ("gilbert_elliott: {p: [0, 1%], r: [0, 1%]}", "p and r are both 0%"),
    ("description: [a]", "description: a list where a line of text is expected"),
    ("hello", "'hello' where a mapping is expected"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_files(load, text, words):
    with pytest.raises(ProfileError) as caught:
        load(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("my.yaml")
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_loads_or_is_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    told = ""
    try:
        load_profile(str(path))
    except ProfileError as error:
        told = str(error)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wam", "did you mean 'wan'?"),
        ("", "known: none, local"),
        ("zeppelin", "profile 'zeppelin' is unknown; known: none, local"),
        ("./missing.yaml", "there is no such file"),
        ("missing.yml", "there is no such file"),
    ],
)
def test_profiles_that_are_not_there(name, words):
    with pytest.raises(ProfileError) as caught:
        load_profile(name)
    assert words in str(caught.value)


def test_a_chain_may_be_written_as_on_the_command_line(tmp_path):
    file = tmp_path / "my.yaml"
    shapes = set()
    for text in (
        "{p: 1%, r: 20%, loss_bad: 90%}",
        "1%,20%,90%",
        "p=1%, r=20%, loss_bad=90%",
        "r=20%,loss_bad=90%,p=1%",
    ):
        file.write_text(f"gilbert_elliott: {text}\n")
        shapes.add(load_profile(str(file)).sample(0, 0, 1))
    assert [str(shape.gilbert_elliott) for shape in shapes] == ["p=1%,r=20%,loss_bad=90%,loss_good=0%"]


def test_what_takes_a_field_away_in_link_set_does_so_in_a_file(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("rate: none\nlimit: auto\nburst: none\nqueue: none\ngilbert_elliott: none\n")
    assert load_profile(str(file)).sample(0, 0, 1) == UNSHAPED
