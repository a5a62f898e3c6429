"""Latency matrices as they are published: each reads as the plain matrix of one-way delays that it stands for."""

import pytest

from harness.errors import TopologyError
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Time

PLAIN = "-,10ms,20ms\n12ms,-,30ms\n20ms,34ms,-\n"
FORMS = {
    "headings": "Paris,Oslo,Rome\n" + PLAIN,
    "row labels": "Paris,-,10ms,20ms\nOslo,12ms,-,30ms\nRome,20ms,34ms,-\n",
    "both, a corner": "ms,Paris,Oslo,Rome\nParis,-,10ms,20ms\nOslo,12ms,-,30ms\nRome,20ms,34ms,-\n",
    "both, an empty corner": ",Paris,Oslo,Rome\nParis,,10ms,20ms\nOslo,12ms,,30ms\nRome,20ms,34ms,\n",
    "both, no corner (R)": "Paris,Oslo,Rome\n1,-,10ms,20ms\n2,12ms,-,30ms\n3,20ms,34ms,-\n",
    "numbered from 0": ",0,1,2\n0,0,10ms,20ms\n1,12ms,0,30ms\n2,20ms,34ms,0\n",
    "numbered from 1": "node,1,2,3\n1,0,10ms,20ms\n2,12ms,0,30ms\n3,20ms,34ms,0\n",
    "columns in another order": "to,Oslo,Rome,Paris\nParis,10ms,20ms,-\nOslo,-,30ms,12ms\nRome,34ms,-,20ms\n",
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons, decimal commas": "0;10,0ms;20,0 ms\n12,0ms;0;30ms\n20ms;34ms;0\n",
    "tabs": PLAIN.replace(",", "\t"),
    "a comma at the end": PLAIN.replace("\n", ",\n"),
    "headings, a comma at the end": "Paris,Oslo,Rome,\n" + PLAIN.replace("\n", ",\n"),
    "no-break spaces": PLAIN.replace("ms", "\u00a0ms"),
    "a byte order mark": "\ufeff" + PLAIN,
    "quoted": ",".join(f'"{name}"' for name in ("Paris, FR", "Oslo", "Rome")) + "\n" + PLAIN,
    "src, dst, value": "src,dst,delay\nP,O,10ms\nP,R,20ms\nO,P,12ms\nO,R,30ms\nR,P,20ms\nR,O,34ms\nR,R,0\n",
    "more columns": "from;to;delay;n\nP;O;10ms;7\nP;R;20ms;7\nO;P;12ms;7\nO;R;30ms;7\nR;P;20ms;7\nR;O;34ms;7\n",
    "ranks in any order": "source,dest,x\n2,0,20ms\n0,1,10ms\n0,2,20ms\n1,0,12ms\n1,2,30ms\n2,1,34ms\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="d.csv"):
    with open(name, "w") as file:
        file.write(text)


def delays(spec, nodes=None):
    """Milliseconds by pair."""
    topology = build_topology(spec, nodes)
    both = [((e.a, e.b), e.forward) for e in topology.edges] + [((e.b, e.a), e.backward) for e in topology.edges]
    return {pair: shape.delay.ns / 1e6 for pair, shape in sorted(both)}


EXPECTED = {(0, 1): 10, (0, 2): 20, (1, 0): 12, (1, 2): 30, (2, 0): 20, (2, 1): 34}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    write(FORMS[form])
    assert delays("matrix:delay=d.csv") == EXPECTED


@pytest.mark.parametrize("form", FORMS)
def test_plain_numbers_with_a_unit(form):
    write(FORMS[form].replace("\u00a0ms", "").replace(" ms", "").replace("ms", ""))
    assert delays("matrix:delay=d.csv,unit=ms") == EXPECTED
    assert delays("matrix: unit = ms , delay = d.csv") == EXPECTED


@pytest.mark.parametrize("form", FORMS)
def test_round_trips_are_halved_and_the_name_says_so(form):
    write(FORMS[form])
    assert delays("matrix:rtt=d.csv") == {pair: delay / 2 for pair, delay in EXPECTED.items()}
    assert build_topology("matrix:rtt=d.csv").name == "d (RTT halved)"
    assert build_topology("matrix:delay=d.csv").name == "d"


@pytest.mark.parametrize("word", ["", "-", "–", "N/A", "n/a", "NaN", "inf", "Infinity", "∞", "-1", "null"])
def test_no_link(word):
    write(f"0,10,{word}\n10,0,20\n{word},20,0\n")
    assert delays("matrix:delay=d.csv,unit=ms") == {(0, 1): 10, (1, 0): 10, (1, 2): 20, (2, 1): 20}


def test_a_round_trip_measured_from_one_side():
    write("a,b,c\n-,10,20\n,-,30\n,,-\n")
    assert delays("matrix:rtt=d.csv,unit=ms") == {
        (0, 1): 5,
        (0, 2): 10,
        (1, 0): 5,
        (1, 2): 15,
        (2, 0): 10,
        (2, 1): 15,
    }


def test_more_digits_than_a_nanosecond_is_fine():
    write("0,12.34567891234\n1e1,0\n")
    assert delays("matrix:delay=d.csv,unit=ms") == {(0, 1): 12.345679, (1, 0): 10}


def test_a_path_with_commas():
    write(PLAIN, "pings, 2026.csv")
    assert delays("matrix:delay=pings, 2026.csv") == EXPECTED
    write(PLAIN.replace("ms", "mbit"), "rates,=.csv")
    made = build_topology("matrix:delay=pings, 2026.csv,rate=rates,=.csv")
    assert made.edge(0, 1).forward.rate == Rate(10**7)


def test_rates_with_a_unit_are_brought_into_the_order_of_the_names():
    write("x,Paris,Oslo\nParis,-,10\nOslo,12,-\n")
    write("x,Oslo,Paris\nOslo,-,7.5\nParis,50,-\n", "r.csv")
    edge = build_topology("matrix:delay=d.csv,unit=ms,rate=r.csv,rate_unit=mbit").edge(0, 1)
    assert (edge.forward.rate, edge.backward.rate) == (Rate(50 * 10**6), Rate(7_500_000))
    assert edge.backward.delay == Time(12 * 10**6)
    write("x,Oslo,Bonn\nOslo,-,7.5\nBonn,50,-\n", "r.csv")
    with pytest.raises(TopologyError, match=r"r\.csv names other nodes: 'Bonn' is in one of the two files only"):
        build_topology("matrix:delay=d.csv,unit=ms,rate=r.csv,rate_unit=mbit")


@pytest.mark.parametrize(
    ("text", "spec", "words"),
    [
        (
            "0,20\n20,0",
            "delay=d.csv",
            "d.csv:1: row 0, column 1 (0->1): '20' is not a time: it has no unit",
        ),
        ("0,20\n20,0", "delay=d.csv", "where numbers have no unit, say which: matrix:...,unit=ms"),
        ("0,20\n20,0", "delay=d.csv,unit=parsec", "unit: '8parsec' is not a time: unknown unit 'parsec'"),
        ("0,20\n20,0", "delay=d.csv,units=ms", "unknown key 'units'; did you mean 'unit'?"),
        ("0,20\n20,0", "delay=d.csv,unit=1ms", "unit='1ms' is not a unit: write it without a number, e.g. unit=ms"),
        ("0,20\n20,0", "delay=d.csv,unit=e3us", "unit='e3us' is not a unit"),
        ("0,20\n20,0", "delay=d.csv,unit=ms,unit=s", "write it as matrix:delay="),
        ("0,20\n20,0", "delay=d.csv,rtt=d.csv,unit=ms", "has both delay and rtt; give one"),
        ("0,-5\n20,0", "delay=d.csv,unit=ms", "row 0, column 1 (0->1): '-5ms': a time cannot be negative"),
        ("a,b\nc,0,20\nd,20,0", "delay=d.csv,unit=ms", "must name the same nodes; 'a' is in one of them only"),
        ("a,a\n0,20\n20,0", "delay=d.csv,unit=ms", "two nodes are called 'a'"),
        ("a,b\n0,2x!\n20,0", "delay=d.csv,unit=ms", "d.csv:2: row 0, column 1 (0->1): '2x!' is not a time"),
        ("src,dst,ms\na,b,7\n", "delay=d.csv,unit=ms", "d.csv:2: 'b' to 'a' (1->0): no delay, but 0->1 has one"),
        ("src,dst,ms\na,b,x\n", "rtt=d.csv,unit=ms", "d.csv:2: 'a' to 'b' (0->1): 'x' is not a time"),
        ("src,dst,ms\na,b,1\na,b,2", "rtt=d.csv,unit=ms", "d.csv:3: this pair is given twice (first in line 2)"),
        ("src,dst,ms\na,b\n", "rtt=d.csv,unit=ms", "d.csv:2: write src,dst,value in every line"),
        ("src,dst,ms\n", "rtt=d.csv,unit=ms", "d.csv"),
    ],
)
def test_bad_files(text, spec, words):
    write(text)
    with pytest.raises(TopologyError) as caught:
        build_topology(f"matrix:{spec}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
