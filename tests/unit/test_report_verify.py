"""What the table of verdicts says."""

import io

import pytest
from rich.console import Console

from harness.report.verify import verify_table
from harness.verdict import Verdict


def text_of(*, color=False, **fields):
    row = Verdict(0, 1, "rtt", 0.01, 0.01, **{"measured": 0.0101, "low": 0.0095, "high": 0.0105, "ok": True, **fields})
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=color, color_system="standard" if color else None).print(
        verify_table([row], "title")
    )
    return out.getvalue()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "ok  "),
        ({"note": "this machine adds 1 ms [itself]"}, "ok this machine adds 1 ms [itself]"),
        ({"ok": False, "note": "too slow"}, "OFF too slow"),
        ({"machine_bound": True, "note": "no finer"}, "machine-bound no finer"),
        ({"measured": None, "note": "too slow to tell"}, "not measured too slow to tell"),
        ({"measured": None, "ok": False, "note": "no packet came back"}, "OFF no packet came back"),
    ],
)
def test_every_verdict_comes_with_its_note(fields, said):
    assert said in text_of(**fields)


def test_the_note_of_a_row_that_is_ok_is_dim():
    assert "\x1b[2mremark" in text_of(color=True, note="remark")
