"""Scenario files: the changes that they give, and errors."""

import pytest

from harness.errors import InputError
from harness.model.capacity import Capacity
from harness.model.plan_options import PlanOptions
from harness.model.units import Rate, Time
from harness.scenario.scenario_file import load_scenario


@pytest.fixture
def load(tmp_path):
    def write_and_load(*events, head=""):
        path = tmp_path / "s.yaml"
        path.write_text(head + "events:\n" + "".join(f"  - {event}\n" for event in events))
        return load_scenario(path)

    return write_and_load


def plan(**options):
    return PlanOptions(**{"nodes": 3, "profile": "none", **options}).plan()


def agenda(scenario):
    return [(round(due.at, 6), due.kind, due.text) for due in scenario.agenda()]


def after(scenario, network):
    """The plan after all edits."""
    for due in scenario.agenda():
        if due.kind == "edit":
            network = due.edit(network)
    return network


def test_events_come_in_the_order_of_their_times(load):
    scenario = load(
        "{at: 4s, set: {edge: 0-1, delay: 80ms}}",
        "{every: 2s, for: 500ms, until: 5s, down: {edge: 1-2}}",
        "{at: 0, set: {edge: all, rate: 1mbit}}",
    )
    assert scenario.ends
    assert agenda(scenario) == [
        (0, "edit", "set all rate 1mbit"),
        (2, "edit", "down 1-2"),
        (2.5, "undo", "down 1-2: over"),
        (4, "edit", "set 0-1 delay 80ms"),
        (4, "edit", "down 1-2"),
        (4.5, "undo", "down 1-2: over"),
    ]


def test_each_action_makes_its_change(load):
    network = after(
        load(
            "{at: 1s, set: {edge: 0-1, delay: 80ms, one_way: true}}",
            "{at: 1s, profile: {edge: 1-2, name: wan}}",
            "{at: 2s, node: {ranks: 2, uplink: 5mbit, queue: codel, cpu: 25%}}",
            "{at: 2s, trunk: {regions: r0-r1, rate: 9mbit}}",
            "{at: 3s, partition: '0|1,2'}",
        ),
        plan(topology="regions:2"),
    )
    assert (network.edges[0, 1].shape.delay, network.edges[1, 0].shape.delay) == (Time(80_000_000), Time(0))
    assert network.edges[1, 2].origin == "wan"
    assert network.node_shape(2).uplink.rate == Rate(5_000_000)
    assert network.trunk_capacities["r1", "r0"].rate == Rate(9_000_000)
    assert {pair for pair, edge in network.edges.items() if edge.down} == {(0, 1), (1, 0), (0, 2), (2, 0)}


def test_a_ramp_is_a_straight_line(load):
    found = agenda(load("{at: 1s, ramp: {edge: 0-1, rate: [100mbit, 50mbit], loss: [0%, 1%], over: 1s, step: 500ms}}"))
    assert found == [
        (1, "edit", "ramp 0-1: rate 100Mbit loss 0%"),
        (1.5, "edit", "ramp 0-1: rate 75Mbit loss 0.5%"),
        (2, "edit", "ramp 0-1: rate 50Mbit loss 1%"),
    ]


def test_a_trace_repeats_at_its_speed(load, tmp_path):
    (tmp_path / "t.csv").write_text("time_s,rate_mbit\n10,5\n11,6\n")
    scenario = load("{at: 1s, for: 2500ms, trace: {edge: 0-1, file: t.csv, loop: true, speed: 2}}")
    assert scenario.ends
    assert agenda(scenario) == [
        (1, "edit", "trace 0-1 t.csv: rate 5Mbit"),
        (1.5, "edit", "trace 0-1 t.csv: rate 6Mbit"),
        (2, "edit", "trace 0-1 t.csv: rate 5Mbit"),
        (2.5, "edit", "trace 0-1 t.csv: rate 6Mbit"),
        (3, "edit", "trace 0-1 t.csv: rate 5Mbit"),
        (3.5, "undo", "trace 0-1 t.csv: over"),
    ]
    assert not load("{at: 1s, trace: {edge: 0-1, file: t.csv, loop: true}}").ends


def test_a_trace_begins_later_scaled_and_drives_a_node(load, tmp_path):
    (tmp_path / "t.csv").write_text("time_s,rate_mbit\n10,5\n11,6\n12,7\n")
    scenario = load(
        "{at: 1s, trace: {node: 2, side: uplink, file: t.csv, offset: 1500ms, scale: 0.5, speed: 2}}",
        "{at: 9s, trace: {node: 1, side: downlink, file: t.csv, offset: 2s}}",
    )
    assert agenda(scenario) == [
        (1, "edit", "trace node 2 uplink t.csv: rate 3Mbit"),
        (1.25, "edit", "trace node 2 uplink t.csv: rate 3.5Mbit"),
        (9, "edit", "trace node 1 downlink t.csv: rate 7Mbit"),
    ]
    network = after(scenario, plan())
    assert [(network.node_shape(rank).uplink, network.node_shape(rank).downlink) for rank in (1, 2)] == [
        (None, Capacity(Rate(7_000_000))),
        (Capacity(Rate(3_500_000)), None),
    ]


def test_random_times_follow_from_the_seed(load):
    event = "{mtbf: 10s, for: 1s, down: {edge: 0-1}}"
    first, same, other = (load(event, head=f"seed: {seed}\nuntil: 5m\n") for seed in (1, 1, 2))
    assert agenda(first) == agenda(same) != agenda(other)
    starts = [due.at for due in first.agenda() if due.kind == "edit"]
    ends = [due.at for due in first.agenda() if due.kind == "undo"]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    many = load(event, head="seed: 3\nuntil: 20000m\n")
    assert sum(due.kind == "edit" for due in many.agenda()) == pytest.approx(20_000 * 60 / 11, rel=0.03)


def test_traffic_lasts(load):
    scenario = load("{at: 1s, for: 2s, traffic: {from: 0, to: 2, rate: 30mbit, on: 1s, off: 2s}}")
    assert [(at, kind) for at, kind, _ in agenda(scenario)] == [(1, "load"), (3, "unload")]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("node: 2", "trace: give side: uplink or downlink"),
        ("node: 2, side: up", "trace.side: give side: uplink or downlink"),
        ("node: 2, side: uplink, edge: 0-1", "edge does not go with node"),
        ("node: 2, side: uplink, one_way: true", "one_way does not go with node"),
        ("node: 2, side: uplink, file: full.csv", "file: a node has a rate, and no delay or loss: those are of edges"),
        ("edge: 0-1, side: uplink", "side is a node's"),
        ("edge: 0-1, speed: -1", "'-1' is no speed; write a number up to 1000, e.g. 2"),
        ("edge: 0-1, scale: 1e999999999", "'1e999999999' is no scale"),
        ("edge: 0-1, scale: nan", "'nan' is no scale"),
        ("edge: 0-1, file: delays.csv, scale: 2", "scale multiplies rates, and this trace has none"),
        ("edge: 0-1, offset: 2s", "trace.offset: offset 2 s is past the end of the trace, which lasts 2 s"),
        ("edge: 0-1, offset: 10us", "'10us' is under 1 ms"),
    ],
)
def test_wrong_traces_are_refused(load, tmp_path, keys, words):
    (tmp_path / "t.csv").write_text("time_s,rate_mbit\n0,5\n1,6\n")
    (tmp_path / "delays.csv").write_text("time_s,delay_ms\n0,5\n")
    (tmp_path / "full.csv").write_text("time_s,rate_mbit,delay_ms,loss_percent\n0,5,1,0\n")
    with pytest.raises(InputError, match=words) as error:
        load(f"{{at: 1s, trace: {{{keys}{'' if 'file' in keys else ', file: t.csv'}}}}}")
    assert str(error.value).count("s.yaml") == 1


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("{at: 1s, set: {edge: 0-1, dealy: 80ms}}", r"s.yaml:2: events\[0\].set: unknown key 'dealy'; .*delay"),
        ("{at: 1s, set: {edge: 0-1, delay: 80}}", "s.yaml:2: .*'80' is not a time"),
        ("{at: 1s, set: {delay: 80ms}}", "edge is missing"),
        ("{set: {edge: 0-1, delay: 80ms}}", "does not say when: give at, every or mtbf"),
        ("{at: 1s}", "says nothing that happens; give one of set, profile"),
        ("{at: 1s, heal: all, down: {edge: 0-1}}", "has down and heal; give one"),
        ("{every: 1s, for: 2s, down: {edge: 0-1}}", "for 2s is not shorter than every 1s"),
        ("{every: 1s, mtbf: 2s, down: {edge: 0-1}}", "give every or mtbf, not both"),
        ("{at: 9s, until: 2s, down: {edge: 0-1}}", "not before until 2s"),
        ("{at: soon, down: {edge: 0-1}}", "at: 'soon' is not a time"),
        ("{at: 1s, ramp: {edge: 0-1, over: 2s}}", "nothing to change: give one of rate"),
        ("{at: 1s, ramp: {edge: 0-1, rate: [1mbit, 5s], over: 2s}}", "'5s' is not a rate"),
        ("{at: 1s, trace: {edge: 0-1, file: nowhere.csv}}", "trace.file: .*nowhere.csv: there is no such file"),
        ("{at: 1s, node: {ranks: 1, uplink: fast}}", "uplink: 'fast' is not a rate"),
        (
            "{at: 1s, node: {ranks: 1, cpu: 0.25}}",
            "node: --cpu: '0.25' is not a share of a CPU; write a percentage, e.g. 25%",
        ),
        ("{at: 1s, node: {ranks: 1, uplink: 1mbit, queue: codle}}", "queue 'codle' is unknown; .*codel"),
        ("{at: 1s, traffic: {from: 0, to: 1}}", "events.*traffic"),
        ("{at: 1s, heal: some}", "write heal: all"),
        ("{every: 0ms, heal: all}", "every: '0ms' is under 1 ms, the finest step of a scenario"),
        ("{mtbf: 1us, heal: all}", "mtbf: '1us' is under 1 ms"),
        ("{at: 1s, for: 0.0001s, heal: all}", "for: '0.0001s' is under 1 ms"),
        ("{at: 1s, ramp: {edge: 0-1, rate: [1mbit, 2mbit], over: 0ms}}", "over: '0ms' is under 1 ms"),
        ("{at: 1s, ramp: {edge: 0-1, rate: [1mbit, 2mbit], over: 10h, step: 1ms}}", "36000000 steps are more than"),
    ],
)
def test_wrong_input_is_refused(load, event, words):
    with pytest.raises(InputError, match=words):
        load(event)


def test_an_event_that_does_not_fit_the_network_is_refused(load):
    scenario = load("{at: 1s, set: {edge: 0-1, delay: 1ms}}", "{at: 9s, down: {edge: 0-7}}")
    with pytest.raises(InputError, match=r"s.yaml:3: events\[1\].down: there is no rank 7"):
        scenario.check(plan())
    with pytest.raises(InputError, match=r"partition: .*rank 9"):
        load("{at: 1s, partition: '0|9'}").check(plan())
