"""The player on a network that makes changes slowly."""

import time
from types import SimpleNamespace

import pytest

from harness.model.plan_options import PlanOptions
from harness.model.units import Rate
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario
from tests.support.fakes import FakeEngine


class SlowNetwork:
    """Makes a change in SECONDS, and keeps every plan that it has had."""

    SECONDS = 0.06

    backend = SimpleNamespace(engine=FakeEngine(), resume_jobs=lambda ranks: None)

    def __init__(self):
        self.plan = PlanOptions(nodes=3, profile="none").plan()
        self.plans = []

    def away(self):
        return None

    def reshape(self, edit, _):
        time.sleep(self.SECONDS)
        self.plan = edit(self.plan)
        self.plans.append(self.plan)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("slow")
    (tmp_path / "t.csv").write_text(
        "time_ms,rate_mbit,delay_ms\n" + "".join(f"{10 * n},{n + 1},{7 if n == 1 else ''}\n" for n in range(100))
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        "events:\n  - {at: 0, trace: {edge: 0-1, file: t.csv}}\n  - {at: 500ms, for: 15ms, down: {edge: 1-2}}\n"
    )
    network, told = SlowNetwork(), []
    began = time.monotonic()
    Player(network, load_scenario(path), told.append).play()
    return network, told, time.monotonic() - began


def test_a_trace_catches_up_where_a_change_takes_longer_than_its_steps(played):
    network, told, seconds = played
    assert seconds < 2  # one after the other they would take 6 s
    assert len(network.plans) < 50
    shape = network.plan.edges[0, 1].shape
    assert (shape.rate, str(shape.delay)) == (Rate(100_000_000), "7ms")
    assert sum(len(one.events) for one in told) == 102
    assert all(one.acknowledged - one.at < 1 for one in told)


def test_only_values_of_traces_are_skipped(played):
    network, _, _ = played
    downs = [plan.edges[1, 2].down for plan in network.plans]
    assert True in downs
    assert downs[-1] is False


@pytest.mark.parametrize("order", [(100, 200), (200, 100)])
def test_events_at_steps_that_are_reached_at_once_happen_in_the_order_of_the_steps(tmp_path, monkeypatch, order):
    monkeypatch.setattr(SlowNetwork, "SECONDS", 0)
    path = tmp_path / "s.yaml"
    events = [f"  - {{at: step {step}, set: {{edge: 0-1, delay: {step}ms}}}}\n" for step in order]
    path.write_text("events:\n" + "".join(events))
    network = SlowNetwork()
    Player(network, load_scenario(path), lambda _: None, SimpleNamespace(look=lambda: 250)).play()
    assert str(network.plan.edges[0, 1].shape.delay) == "200ms"
