"""The process that plays a scenario: the time at which it began, and errors before it begins."""

import time

import pytest

from harness.agent.scenario_player import ScenarioPlayer, begun, stamp
from harness.errors import InputError


def test_time_0_is_the_coordinators_on_one_machine_and_now_on_another():
    stamped = stamp()
    assert begun(stamped) == {"monotonic": stamped["monotonic"], "epoch": stamped["epoch"]}
    other = begun({**stamped, "boot": "another", "monotonic": 5.0})
    assert stamped["monotonic"] <= other["monotonic"] <= time.monotonic()
    assert other["epoch"] == stamped["epoch"], "the stamps of its changes are the same everywhere"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "SCENARIO: scenario 'mine' is unknown"),
        ("events: [{at: 1s, down: {edge: 0-5}}]", r"SCENARIO: mine:1: events\[0\].down: there is no rank 5"),
        (
            "events: [{at: 1s, traffic: {from: 0, to: 1, rate: 1mbit}}]",
            r"SCENARIO: mine:1: .*SCENARIO cannot start loads",
        ),
    ],
)
def test_what_is_wrong_with_it_is_known_before_it_begins(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in {"NODES": "4", "PROFILE": "none", "HARNESS_NAMES": "node-{}", "SCENARIO": "mine"}.items():
        monkeypatch.setenv(name, value)
    if text:
        (tmp_path / "mine").write_text(text)
    with pytest.raises(InputError, match=said):
        ScenarioPlayer()


def test_it_waits_for_its_beginning_and_ends_when_asked(tmp_path, monkeypatch):
    """Its second event needs what the first one sets."""
    monkeypatch.chdir(tmp_path)
    events = "events: [{at: 1s, set: {edge: all, rate: 9mbit}}, {at: 2s, set: {edge: all, burst: 64KiB}}]"
    (tmp_path / "mine.yaml").write_text(events)
    for name, value in {"NODES": "2", "PROFILE": "none", "HARNESS_NAMES": "node-{}", "SCENARIO": "mine.yaml"}.items():
        monkeypatch.setenv(name, value)
    player = ScenarioPlayer()
    assert player.pid
    player.end()
    assert player.pid is None
