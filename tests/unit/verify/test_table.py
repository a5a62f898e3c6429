"""What the table of verdicts says."""

from dataclasses import replace

import pytest

from harness.verify.caps import CapPlace
from harness.verify.table import in_words, verify_table
from harness.verify.verdict import Verdict
from harness.verify.verdict.capacity import CapVerdict


def text_of(**fields):
    row = Verdict(
        "rtt", 0.01, 0.01, **{"measured": 0.0101, "low": 0.0095, "high": 0.0105, "ok": True, **fields}, src=0, dst=1
    )
    return "\n".join(verify_table([row], "title").lines(None)) + "\n"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, " ok\n"),
        ({"note": "this machine adds 1 ms [itself]"}, "ok this machine adds 1 ms [itself]"),
        ({"ok": False, "note": "too slow"}, "OFF too slow"),
        ({"machine_bound": True, "note": "no finer"}, "machine-bound no finer"),
        ({"measured": None, "note": "too slow to tell"}, "not measured too slow to tell"),
        ({"measured": None, "ok": False, "note": "no packet came back"}, "OFF no packet came back"),
        ({"measured": None, "ok": False, "note": "use more time", "why_not": "too slow"}, "not measured use more time"),
        ({"measured": None, "ok": False, "note": "it was", "why_not": "changed"}, "changed it was"),
    ],
)
def test_every_verdict_comes_with_its_note(fields, said):
    assert said in text_of(**fields)


def test_machine_bound_is_explained_once_below_the_table():
    explained = "machine-bound: this machine is too slow or too busy to tell whether the link is right"
    assert explained in text_of(machine_bound=True)
    assert "too busy" not in text_of()


def test_a_narrow_terminal_gets_one_line_a_row_with_the_verdicts_reason():
    """Where requested and applied are the same; a table of blocks would have eight lines for each row."""
    note = "this machine itself adds 3.34 ms, so it cannot detect a difference under 7.33 ms"
    rate = Verdict("rate", 767e6, 767e6, 767e6, low=699e6, high=796e6, ok=True, src=0, dst=1)
    bound = replace(rate, quantity="rtt", requested=0.0483, applied=0.0483, machine_bound=True, note=note)
    bound = replace(bound, measured=0.0491, low=0.0467, high=0.0556)
    lines = verify_table([bound, rate], "title").lines(80)
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["edge", "quantity", "requested", "measured", "accepted", "verdict"]
    assert "no room for: applied; --json has all" in lines
    differs = "\n".join(verify_table([bound, replace(rate, applied=766e6)], "title").lines(80))
    assert "applied" in differs.split()


def test_a_row_in_words():
    row = Verdict("rate", 1e6, 1e6, 0.5e6, low=0.92e6, high=1.03e6, src=0, dst=1)
    assert in_words(row) == "0->1 rate 500 kbit/s (920 kbit/s – 1.03 Mbit/s)"
    assert in_words(Verdict("rtt", 0.01, 0.01, src=2, dst=0)) == "2->0 rtt –"


def test_a_capacity_is_named_by_its_node_or_its_regions():
    row = CapVerdict("uplink", 1e6, 1e6, 1e6, ok=True, note="fair", cap=CapPlace("uplink", 2))
    assert in_words(row) == "node 2 uplink 1 Mbit/s"
    trunk = replace(row, quantity="trunk", cap=CapPlace("trunk", regions=("eu", "us")))
    told = "\n".join(verify_table([row, trunk], "title").lines(None))
    assert "node 2  uplink" in told
    assert "eu->us  trunk" in told


def test_a_row_that_is_off_has_the_digits_that_show_why():
    row = Verdict("rtt", 0.024, 0.024, 0.024134, low=0.0235, high=0.024131, src=0, dst=1)
    assert in_words(row) == "0->1 rtt 24.134 ms (23.5 – 24.131 ms)"
