"""What an event changes is checked against what the events before it have changed."""

import pytest

from harness.errors import ShapeError
from harness.model.plan_options import PlanOptions
from harness.scenario import schedule
from harness.scenario.scenario_file import load_scenario

PLAN = PlanOptions(nodes=3, profile="wan").plan()


@pytest.fixture
def scenario(tmp_path):
    def made(*events):
        path = tmp_path / "s.yaml"
        path.write_text("events:\n" + "".join(f"  - {event}\n" for event in events))
        return load_scenario(path)

    return made


def test_an_event_that_contradicts_an_earlier_one_is_refused_before_playing(scenario):
    removed = "{at: 10s, set: {edge: 0-1, rate: none}}"
    with pytest.raises(
        ShapeError,
        match=r"s.yaml:2: events\[0\].set: edge 0->1 \(delay .*\): burst needs a rate; at 20 s, after earlier"
        r" events, the link has these values: set what it needs in this event, too",
    ):
        scenario("{at: 20s, set: {edge: 0-1, burst: 64KiB}}", removed).check(PLAN)
    scenario("{at: 20s, set: {edge: 0-1, burst: 64KiB, rate: 9mbit}}", removed).check(PLAN)


def test_an_event_may_need_what_an_earlier_one_sets(scenario):
    delay, jitter = "{at: 1s, set: {edge: 0-1, delay: 2s}}", "set: {edge: 0-1, jitter: 1s}"
    scenario(delay, f"{{at: 2s, {jitter}}}").check(PLAN)
    with pytest.raises(ShapeError, match=r"events\[1\].set: edge 0->1 \(.*\): jitter 1s is over the delay .* left$"):
        scenario(delay, f"{{at: 0, {jitter}}}").check(PLAN)


def test_an_event_that_comes_again_is_checked_each_time(scenario):
    with pytest.raises(ShapeError, match=r"events\[0\].set: at 2 s: edge 0->1 \(.*\): burst needs a rate"):
        scenario(
            "{every: 1s, set: {edge: 0-1, burst: 64KiB}}", "{at: 1s, set: {edge: 0-1, rate: none, burst: none}}"
        ).check(PLAN)


def test_what_an_event_goes_back_to_may_not_contradict_another_event(scenario):
    long, other = "{at: 5s, for: 10s, set: {edge: 0-1, delay: 2s}}", "set: {edge: 0-1, jitter: 1s}"
    with pytest.raises(
        ShapeError,
        match=r"s.yaml:2: events\[0\].set: at 15 s, when it ends: edge 0->1 \(.*\): jitter 1s is over the delay .*;"
        " another event has changed the link meanwhile: end that one earlier",
    ):
        scenario(long, f"{{at: 6s, {other}}}").check(PLAN)
    scenario(long, f"{{at: 6s, for: 2s, {other}}}").check(PLAN)


def test_an_event_that_is_over_leaves_no_contradiction(scenario):
    scenario(
        "{at: 1s, for: 2s, set: {edge: all, rate: none}}",
        "{at: 4s, set: {edge: 0-1, burst: 64KiB}}",
        "{at: 5s, for: 2s, cut: {node: 1}}",
        "{every: 1s, traffic: {from: 0, to: 1, rate: 1mbit}, for: 500ms}",
    ).check(PLAN)


@pytest.mark.parametrize(
    "unknown", ["{at: step 5, set: {edge: all, rate: 9mbit}}", "{at: 15s, trace: {edge: 0-1, up: t}}"]
)
def test_where_the_order_or_the_engine_decides_it_is_left_to_the_player(scenario, tmp_path, unknown):
    (tmp_path / "t").write_text("1\n2\n3\n")
    script = scenario("{at: 10s, set: {edge: 0-1, rate: none}}", "{at: 20s, set: {edge: 0-1, burst: 64KiB}}", unknown)
    script.check(PLAN)


def test_a_scenario_without_end_is_checked_for_a_while(scenario):
    scenario(
        "{every: 10ms, set: {edge: all, delay: 20ms, jitter: 0}}", "{at: 0, trace: {edge: 0-1, model: starlink}}"
    ).check(PLAN)


def test_events_that_happen_once_are_all_checked_in_order(scenario, monkeypatch):
    """As those of a recorded run."""
    monkeypatch.setattr(schedule, "_MOST_CHECKED", 0)
    slower = [f"{{at: {number}s, set: {{edge: 0-1, delay: {number}0ms}}}}" for number in range(30, 51)]
    scenario(*slower, "{at: 60s, set: {edge: 0-1, jitter: 400ms}}").check(PLAN)
