"""An edge that is off is measured twice; a row is off only where it is off both times."""

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.model.capacity import Capacity, NodeShape
from harness.model.cpu import CpuShare
from harness.model.plan_edit import set_down
from harness.model.units import Rate
from harness.verify import verification
from harness.verify.caps import CapPlace
from harness.verify.verdict import Verdict
from harness.verify.verdict.capacity import CapVerdict
from harness.verify.verification import is_changed
from tests.support.plans import network

LIMIT = Capacity(Rate(5_000_000))
RATE = Verdict("rate", 1e6, 1e6, 0.95e6, ok=True, src=0, dst=1)
LOSS = Verdict("loss", 0.01, 0.01, 0.011, ok=True, src=0, dst=1)
OFF_RATE = replace(RATE, measured=0.5e6, ok=False)
OFF_LOSS = replace(LOSS, measured=0.1, ok=False)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([OFF_RATE, LOSS], [RATE, LOSS], [RATE, LOSS]),
        ([OFF_RATE, LOSS], [RATE, OFF_LOSS], [RATE, LOSS]),  # each was ok once
        ([OFF_RATE, LOSS], [OFF_RATE, OFF_LOSS], [OFF_RATE, LOSS]),
        ([OFF_RATE], [RATE, OFF_LOSS], [RATE, OFF_LOSS]),  # was not measured before
        ([OFF_RATE, LOSS], [RATE, replace(OFF_LOSS, applied=0.5)], [RATE, replace(OFF_LOSS, applied=0.5)]),
    ],
)
def test_a_row_is_off_where_it_is_off_both_times(monkeypatch, first, second, expected):
    asked, rows, said = [], [first, second], []

    def measure(network, pairs, progress, **how):
        asked.append(set(pairs))
        return {(0, 1): rows.pop(0)} | ({(1, 2): [replace(RATE, src=1, dst=2)]} if len(asked) == 1 else {})

    monkeypatch.setattr(verification, "measure", measure)
    found = verification.verify(None, [(0, 1), (1, 2)], None, said.extend, seconds=5, parallel=8)
    assert found == [*expected, replace(RATE, src=1, dst=2)]
    assert asked == [{(0, 1), (1, 2)}, {(0, 1)}]
    assert said == [row for row in first if not row.ok]


def test_a_capacity_that_is_off_is_measured_again_without_its_edges(monkeypatch):
    place, asked = CapPlace("uplink", 2), []
    good = CapVerdict("uplink", 1e6, 1e6, 1e6, ok=True, cap=place)
    rows = [{place: [replace(good, measured=2e6, ok=False)], (0, 1): [RATE]}, {place: [good]}]

    def measure(network, pairs, progress, *, places=None, **how):
        asked.append((set(pairs), places))
        return rows.pop(0)

    monkeypatch.setattr(verification, "measure", measure)
    found = verification.verify(None, [(0, 1)], None, lambda off: None, seconds=5, parallel=8)
    assert found == [RATE, good]
    assert asked == [({(0, 1)}, None), (set(), {place})]


def test_what_is_ok_is_measured_once(monkeypatch):
    monkeypatch.setattr(verification, "measure", lambda *_, **__: {(0, 1): [RATE, LOSS]})
    assert verification.verify(None, [(0, 1)], None, pytest.fail, seconds=5, parallel=8) == [RATE, LOSS]


def test_a_link_that_was_changed_meanwhile_is_measured_again(monkeypatch):
    changed, rows, said = RATE.changed_meanwhile(), [[RATE.changed_meanwhile()], [RATE]], []
    monkeypatch.setattr(verification, "measure", lambda *_, **__: {(0, 1): rows.pop(0)})
    assert verification.verify(None, [(0, 1)], None, said.extend, seconds=5, parallel=8) == [RATE]
    assert said == [changed]
    assert not changed.ok


def test_a_link_that_is_too_slow_is_not_measured_again(monkeypatch):
    slow = replace(RATE.left_out(), ok=False)
    monkeypatch.setattr(verification, "measure", lambda *_, **__: {(0, 1): [slow]})
    assert verification.verify(None, [(0, 1)], None, pytest.fail, seconds=5, parallel=8) == [slow]


def test_seconds_that_are_none_are_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(verification, "measure", pytest.fail)
    with pytest.raises(InputError, match="--seconds inf"):
        verification.verify(None, [(0, 1)], None, pytest.fail, seconds=float("inf"), parallel=8)


def test_what_another_command_changed():
    old = replace(network("line", 3), regions={"eu": (0, 1), "us": (2,)}, trunk_capacities={("eu", "us"): LIMIT})
    old = old.with_nodes({0: NodeShape(uplink=LIMIT, cpu=CpuShare(250))})
    trunk, uplink, cpu = CapPlace("trunk", regions=("eu", "us")), CapPlace("uplink", 0), CapPlace("cpu", 0)
    down = set_down(old, [(1, 2)], True)
    assert not any(is_changed(place, old, old) for place in ((0, 1), (1, 2), trunk, uplink, cpu))
    assert [is_changed(place, old, down) for place in ((0, 1), (1, 2), trunk, uplink)] == [False, True, True, False]
    faster = old.with_nodes({0: NodeShape(uplink=Capacity(Rate(9_000_000)))})
    assert [is_changed(place, old, faster) for place in ((0, 1), trunk, uplink, cpu)] == [False, False, True, True]
    assert is_changed(uplink, old, old.with_nodes({0: NodeShape()}))
