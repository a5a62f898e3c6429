"""A run's record as a scenario: played on the network that the run began with, it ends as the run did."""

import json
from dataclasses import replace

from harness.model.capacity_edit import node_change, trunk_change
from harness.model.delivery import Delivery
from harness.model.link_edit import ShapeEdit
from harness.model.plan_edit import reshaped, set_down, shape_change
from harness.model.plan_options import PlanOptions
from harness.networks.plan_change import PlanChange
from harness.run_files import RunFolder
from harness.scenario.absence import Away, Chosen
from harness.scenario.from_record import scenario_text
from harness.scenario.scenario_file import load_scenario

START = PlanOptions(nodes=4, topology="regions:2", profile="wan", seed=3).plan()
EDITS = (
    shape_change("0-1", {"delay": "81234567ns", "jitter": "0"}),
    shape_change("all", {"loss": "0.3%"}),
    shape_change("1-2", {"rate": "7mbit", "queue": "codel,ecn=no", "buffer": "64KiB"}, one_way=True),
    shape_change("0-3", {"gilbert_elliott": "1%,20%,90%"}),
    lambda plan: set_down(plan, [(1, 2), (2, 1), (0, 3)], True),
    node_change("2", {"uplink": "5mbit", "queue": "red", "buffer": "100ms"}),
    trunk_change("r0-r1", {"rate": "9mbit", "overhead": "24"}, one_way=True),
    node_change("2", {"uplink": "none", "downlink": "3mbit", "cpu": "25%"}),
    node_change("1,2", {"cpu": "150%"}),
    node_change("2", {"cpu": "none"}),
    lambda plan: set_down(plan, [(1, 2)], False),
    shape_change("1-2", {"queue": "none", "buffer": "auto", "rate": "none"}, one_way=True),
    shape_change("all", {}, profile="mobile", seed=9),
)
LOAD = {"began": 1003.5, "id": 1, "src": 0, "dst": 2, "flows": 0, "congestion_control": "", "on": 1.0, "off": 2.0}


def changed():
    """The plans, and the lines of changes.jsonl."""
    plan, lines = START, []
    for number, edit in enumerate(EDITS):
        new = edit(plan)
        lines.append(PlanChange(plan, new).record(1000 + number, 1000.02 + number))
        plan = new
    return plan, lines


def test_a_replay_leads_to_the_same_network(tmp_path):
    end, lines = changed()
    path = tmp_path / "again.yaml"
    path.write_text(scenario_text(1000.0, lines, ()))
    scenario = load_scenario(path)
    plan = START
    for due in scenario.agenda():
        plan = due.edit(plan)
    assert {pair: (edge.shape, edge.down) for pair, edge in plan.edges.items()} == {
        pair: (edge.shape, edge.down) for pair, edge in end.edges.items()
    }
    assert (plan.nodes, plan.trunk_capacities) == (end.nodes, end.trunk_capacities)
    assert sorted({due.at for due in scenario.agenda()}) == list(map(float, range(len(EDITS))))


def test_a_trace_is_found_in_the_runs_folder(tmp_path):
    trace = Delivery.of("lte.up", bytes([1, 0, 2])).played({"scale": "2", "loop": "no"})
    change = PlanChange(START, reshaped(START, [(0, 1)], ShapeEdit({"delivery": trace})))
    change.write(RunFolder(tmp_path), 1004, 1004.01)
    (line,) = map(json.loads, (tmp_path / "changes.jsonl").read_text().splitlines())
    path = tmp_path / "again.yaml"
    path.write_text(scenario_text(1000.0, [line], (), folder=tmp_path))
    (due,) = load_scenario(path).agenda()
    found = due.edit(START).edges[0, 1].shape.delivery
    assert found == replace(trace, file=trace.record_name)


def test_both_directions_are_one_event(tmp_path):
    new = shape_change("0-1", {"delay": "80ms", "jitter": "0"})(replace(START))
    text = scenario_text(1000.0, [PlanChange(START, new).record(1004, 1004.01)], ())
    assert text.splitlines()[2:] == ['  - {at: 4.000s, set: {edge: "0-1", delay: "80ms", jitter: "0ms"}}']


def test_nodes_that_were_away(tmp_path):
    cut = Away("cut", Chosen((2,)), "", None).cut(START)
    both = shape_change("0-1", {"delay": "80ms", "jitter": "0"})(START)
    lines = [
        PlanChange(START, cut).record(1004.01, 1004.02),
        PlanChange(cut, both).record(1006.01, 1006.02),
        PlanChange(both, set_down(both, [(0, 2)], True)).record(1007, 1007.02),
    ]
    away = [
        {"time": 1001.0, "rank": 3, "what": "kill", "until": 1021.0},
        {"time": 1002.0, "rank": 1, "what": "pause", "until": None},
        {"time": 1004.0, "rank": 2, "what": "cut", "until": 1006.0, "at": 3.75},
        {"time": 1006.0, "rank": 2, "what": "back", "until": None, "of": "cut", "at": 5.75},
        {"time": 1006.5, "rank": 0, "what": "failed", "until": None},
        {"time": 1008.0, "rank": 1, "what": "back", "until": None, "of": "pause"},
        {"time": 1009.0, "rank": 1, "what": "kill", "until": None},
    ]
    text = scenario_text(1000.0, lines, (), away)
    assert text.splitlines()[2:] == [
        "  - {at: 1.000s, for: 20.000s, kill: {node: 3}}",
        "  - {at: 2.000s, for: 6.000s, pause: {node: 1}}",
        "  - {at: 3.750s, for: 2.000s, cut: {node: 2}}",
        '  - {at: 6.010s, set: {edge: "0-1", delay: "80ms", jitter: "0ms"}}',
        '  - {at: 7.000s, down: {edge: "0-2", one_way: true}}',
        "  - {at: 9.000s, kill: {node: 1}}",
    ]
    path = tmp_path / "again.yaml"
    path.write_text(text)
    load_scenario(path).check(START)


def test_cross_traffic(tmp_path):
    begun = {"kind": "start", "time": 1003.6, "rate_bit_s": 30_000_000, **LOAD}
    path = tmp_path / "again.yaml"
    path.write_text(scenario_text(1000.0, (), [begun, {**begun, "kind": "stop", "time": 1005.5}]))
    scenario = load_scenario(path)
    assert [(due.at, due.kind) for due in scenario.agenda()] == [(3.5, "load"), (5.5, "unload")]
    assert scenario.events[0].action.spec.describe() == "UDP at 30 Mbit/s, 1 s on, 2 s off"
    path.write_text(scenario_text(1000.0, (), [{**begun, "rate_bit_s": None, "flows": 4, "on": 0, "off": 0}]))
    assert load_scenario(path).events[0].action.spec.flows == 4


def test_changes_of_a_scenario_have_the_times_at_which_they_were_due():
    new = shape_change("0-1", {"delay": "80ms"})(replace(START))
    change = PlanChange(START, new)
    lines = [change.record(1004.25, 1004.26, 4.0), change.record(1006.05, 1006.1, 6.0), change.record(1007.55, 1007.6)]
    text = scenario_text(1000.0, lines, ())
    assert [line.split(",")[0] for line in text.splitlines()[2:]] == [
        "  - {at: 4.000s",
        "  - {at: 6.000s",
        "  - {at: 7.500s",
    ]
