"""``harness verify`` reports its progress, and prints a line for each reason to exit with 1."""

import time
from dataclasses import replace

from harness.cli import output
from harness.cli.verify import _problems, _progress
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.verify.verdict import Verdict
from tests.support.plans import network, shape

OK = Verdict("loss", 0.0, 0.0, 0.0, ok=True, src=0, dst=1)
PLAN = network("line", 3, shape(rate="500bit"))


def problems(*rows, plan=PLAN):
    return list(_problems(rows, plan, ipv6=False))


def test_nothing_is_said_of_what_is_ok():
    assert problems(OK, replace(OK, measured=None, why_not="too slow")) == []


def test_rows_that_are_off_are_counted():
    assert problems(OK, replace(OK, ok=False), replace(OK, ok=False)) == ["2 of 3 are off"]


def test_changed_links_are_no_rows_that_are_off():
    (said,) = problems(OK.changed_meanwhile(), replace(OK, quantity="rate").changed_meanwhile(), replace(OK, src=2))
    assert said == "not verified, because another command changed the links meanwhile: 0->1"


def test_what_is_too_slow_is_named_with_the_seconds_that_are_enough():
    slow = replace(OK.left_out(), ok=False)
    (said,) = problems(slow, replace(slow, src=1, dst=0), replace(slow, src=1, dst=2))
    assert said.startswith("nothing was measured on 0->1, 1->0, 1->2: too slow for this time; take --seconds ")
    assert float(said.rsplit(maxsplit=1)[1]) >= 200


def test_seconds_that_are_enough_are_enough_for_what_the_edge_shares():
    plan = network("line", 3).with_nodes({0: NodeShape(uplink=Capacity(Rate(500)))})
    (said,) = problems(replace(OK.left_out(), ok=False), plan=plan)
    assert float(said.rsplit(maxsplit=1)[1]) >= 200


def test_progress_is_reported_in_lines_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(output, "_SILENT_SECONDS", 0.001)
    monkeypatch.setattr(output, "_BETWEEN_SECONDS", 0.001)
    told, deadline = "", time.monotonic() + 20
    with _progress() as progress:
        progress(1, 6, "0-1 echo")
        while "0-1" not in told and time.monotonic() < deadline:
            time.sleep(0.001)
            told += capsys.readouterr().err
    assert told.endswith("harness: 1 of 6: 0-1 echo\n")
