"""The changes of a scenario that are left."""

from harness.scenario.scenario_file import load_scenario


def test_the_changes_left_are_the_next_of_each_event_that_ends(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "until: 90s\nevents:\n"
        "  - {at: 5s, down: {edge: 0-1}}\n"
        "  - {at: 4s, for: 20s, set: {edge: 0-1, loss: 1%}}\n"
        "  - {every: 1s, up: {edge: 0-1}}\n"
        "  - {at: 60s, ramp: {edge: 0-1, rate: [10mbit, 1mbit], over: 40s, step: 20s}}\n"
        "  - {at: 100s, heal: all}\n"
    )
    scenario = load_scenario(path)
    assert [(due.event, due.at) for due in scenario.left(5.0)] == [(1, 24), (3, 60)]
    assert [(due.event, due.at) for due in scenario.left(-1.0)] == [(0, 5), (1, 4), (3, 60)]
    assert [(due.event, due.at) for due in scenario.left(60.0)] == [(3, 80)]
    assert not list(scenario.left(80.0))


def test_regular_times_end_at_until(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "events: [{every: 700ms, until: 2100ms, heal: all}, {at: 0, every: 100ms, until: 800ms, heal: all}]"
    )
    (first, again) = load_scenario(path).events
    assert list(first.timing.times("0")) == [0.7, 1.4]
    assert list(again.timing.times("0")) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
