"""Absences in scenario files: which nodes are drawn, and when they are back."""

import math

import pytest

from harness.errors import InputError
from harness.model.plan_options import PlanOptions
from harness.scenario.absence import Absence, AwayAction, Chosen
from harness.scenario.availability_file import read_availability
from harness.scenario.scenario_file import load_scenario

AVAILABILITY = "time_s,event,node\n5,remove,2\n7,add,3\n8.5,remove,1\n9,add,2\n12,remove,2\n12,add,1\n"


@pytest.fixture
def load(tmp_path):
    def write_and_load(*events, head=""):
        path = tmp_path / "s.yaml"
        path.write_text(head + "events:\n" + "".join(f"  - {event}\n" for event in events))
        return load_scenario(path)

    return write_and_load


def plan(nodes=4):
    return PlanOptions(nodes=nodes, profile="none", topology="mesh").plan()


def agenda(scenario, size=4):
    return [
        (round(due.at, 6), due.kind, due.away.cause, due.away.ranks(size), due.away.until)
        for due in scenario.agenda()
        if due.away
    ]


def test_nodes_are_away_for_a_while_or_for_good(load):
    scenario = load(
        "{at: 4s, kill: {node: 2}, back: 20s}",
        "{at: 5s, for: 1s, pause: {node: [3, 1]}}",
        "{at: 6s, cut: {node: 1}}",
        "{at: 9s, kill: {node: 0}, for: 2s}",
    )
    assert agenda(scenario) == [
        (4, "away", "kill", (2,), 24),
        (5, "away", "pause", (1, 3), 6),
        (6, "back", "pause", (1, 3), 6),
        (6, "away", "cut", (1,), None),
        (9, "away", "kill", (0,), 11),
        (11, "back", "kill", (0,), 11),
        (24, "back", "kill", (2,), 24),
    ]
    assert [due.text for due in scenario.agenda()][:3] == ["kill node 2", "pause nodes 1, 3", "pause nodes 1, 3: back"]
    scenario.check(plan())


@pytest.mark.parametrize(
    ("event", "kills"),
    [
        ("{at: 1s, kill: {node: [2, 0]}}", True),
        ("{at: 1s, pause: {node: 0}}", False),
        ("{at: 1s, kill: {node: any}}", False),
        ("{at: 1s, availability: {file: a.csv}}", True),
    ],
)
def test_a_scenario_says_whether_it_kills_rank_0(load, tmp_path, event, kills):
    (tmp_path / "a.csv").write_text("time_s,event,node\n1,remove,0\n")
    assert load(event).kills(0) is kills


def test_a_rank_that_is_back_after_the_end_is_not_expected(load):
    (only,) = agenda(load("{at: 4s, kill: {node: 2}, back: 20s}", head="until: 10s\n"))
    assert only == (4, "away", "kill", (2,), None)


def test_drawn_ranks_follow_from_the_seed_and_are_never_rank_0(load):
    event = "{every: 10s, until: 1000s, kill: {node: any}, back: 5s}"
    first, same, other = (agenda(load(event, head=f"seed: {seed}\n")) for seed in (1, 1, 2))
    assert first == same != other
    begun = [ranks for _, kind, _, ranks, _ in first if kind == "away"]
    assert {rank for ranks in begun for rank in ranks} == {1, 2, 3}
    assert all(len(ranks) == 1 for ranks in begun)
    backs = [ranks for _, kind, _, ranks, _ in first if kind == "back"]
    assert backs == begun


@pytest.mark.parametrize(("share", "count"), [("20%", 2), ("1%", 1), ("100%", 9)])
def test_a_share_of_all_nodes_is_drawn_at_least_one_and_never_rank_0(load, share, count):
    ((_, _, _, ranks, _),) = agenda(load(f"{{at: 1s, kill: {{share: {share}}}}}"), 10)
    assert len(set(ranks)) == count
    assert 0 not in ranks


def test_each_occurrence_at_a_step_draws_by_its_step(load):
    scenario = load("{every: 50 steps, kill: {node: any}, back: 5s}")
    at = {step: next(scenario.occurrence(0, 3.0, nth=step)).away.ranks(100) for step in (50, 100, 150)}
    later = {step: next(scenario.occurrence(0, 9.0, nth=step)).away.ranks(100) for step in (50, 100, 150)}
    assert at == later
    assert len(set(at.values())) > 1


def test_availability_comes_from_a_file(load, tmp_path):
    (tmp_path / "a.csv").write_text(AVAILABILITY)
    scenario = load("{at: 100s, availability: {file: a.csv}}")
    assert agenda(scenario) == [
        (100, "away", "kill", (3,), 107),
        (105, "away", "kill", (2,), 109),
        (107, "back", "kill", (3,), 107),
        (108.5, "away", "kill", (1,), 112),
        (109, "back", "kill", (2,), 109),
        (112, "back", "kill", (1,), 112),
        (112, "away", "kill", (2,), None),
    ]
    assert scenario.ends
    cut = load("{at: 0, for: 8s, availability: {file: a.csv, by: cut}}")
    assert [(at, kind, ranks) for at, kind, _, ranks, _ in agenda(cut)] == [
        (0, "away", (3,)),
        (5, "away", (2,)),
        (7, "back", (3,)),
        (8, "back", (2,)),
    ]


def test_availability_repeats(load, tmp_path):
    (tmp_path / "a.csv").write_text("\ufefftime_ms;node;event\r\n1000,5;2;remove\r\n\r\n# later\r\n3000;2;add\r\n")
    scenario = load("{at: 0, availability: {file: a.csv, loop: true, by: pause}}", head="until: 7s\n")
    assert [(at, kind) for at, kind, *_ in agenda(scenario)] == [
        (1.0005, "away"),
        (3, "back"),
        (4.0005, "away"),
        (6, "back"),
    ]


def test_absences_may_be_endless():
    def endless():
        at = 0.0
        while True:
            yield Absence(at, Chosen((1,)), 1.5, "kill node 1")
            at += 2.0

    class Endless:
        def __iter__(self):
            return endless()

    action = AwayAction("spot", "kill", Endless(), math.inf)
    action.check(plan())
    changes = action.changes(10.0, 15.0, "seed")
    assert [(at, begins) for at, begins, _, _ in changes] == [
        (10, True),
        (11.5, False),
        (12, True),
        (13.5, False),
        (14, True),
        (15, False),
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("{at: 1s, kill: {}}", "kill: give node: a rank, several as [2, 3], or any; or share"),
        ("{at: 1s, kill: {node: 1, share: 20%}}", "give node: a rank"),
        ("{at: 1s, kill: {node: [1, 1]}}", "kill.node: give each rank once"),
        ("{at: 1s, kill: {node: []}}", "kill.node: give each rank once"),
        ("{at: 1s, kill: {node: some}}", "'some' where a rank, a list of ranks, or any is expected"),
        ("{at: 1s, kill: {share: 0%}}", "kill.share: a share is over 0"),
        ("{at: 1s, kill: {share: 120%}}", "kill.share"),
        ("{at: 1s, kill: {node: 1}, for: 1s, back: 2s}", "for and back say the same"),
        ("{at: 1s, down: {edge: 0-1}, back: 2s}", "back is for nodes that are away (kill, pause, cut, availability)"),
        ("{at: 1s, availability: {file: a.csv, by: crash}}", "'crash' is none of kill, pause, cut"),
        ("{at: 1s, availability: {}}", "give file: a CSV file"),
        ("{every: 60s, availability: {file: a.csv}}", "availability begins once"),
        ("{at: 1s, kill: {node: 1, edge: 0-1}}", "unknown key 'edge'"),
    ],
)
def test_wrong_input_is_refused_with_its_place(load, tmp_path, event, words):
    (tmp_path / "a.csv").write_text(AVAILABILITY)
    with pytest.raises(InputError) as error:
        load(event)
    assert "s.yaml:2: " in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time_s,event,node\n", "has a heading and at least one line"),
        ("time_s,what,node\n1,add,2\n", ":1: the heading is time_s,what,node; write time_s,event,node"),
        ("time_s,event,node\n1,add\n", ":2: 2 cells under a heading of 3"),
        ("time_s,event,node\nsoon,add,2\n", ":2: 'soon' is not a number"),
        ("time_s,event,node\nnan,add,2\n", ":2: 'nan' is not a number"),
        ("time_s,event,node\n-1,add,2\n", ":2: '-1' is negative"),
        ("time_s,event,node\n2,remove,2\n1,add,2\n", ":3: time 1 is before that of the line above"),
        ("time_s,event,node\n2,remove,two\n", ":2: 'two' is not a node; write its rank"),
        ("time_s,event,node\n2,kill,2\n", ":2: 'kill' is neither add nor remove"),
        ("time_s,event,node\n2,remove,2\n3,remove,2\n", ":3: node 2 is away already"),
        ("time_s,event,node\n2,remove,2\n3,add,2\n4,add,2\n", ":4: node 2 is there already"),
    ],
)
def test_an_availability_file_that_makes_no_sense_is_refused(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_availability(tmp_path / "a.csv", "kill")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("event", "nodes", "words"),
    [
        ("{at: 1s, kill: {node: 4}}", 4, "there is no rank 4; this network has ranks 0 to 3"),
        ("{at: 1s, kill: {node: any}}", 1, "there is no node but rank 0"),
        ("{at: 1s, availability: {file: a.csv}}", 2, "there is no rank 3"),
    ],
)
def test_unknown_nodes_are_refused_before_anything_begins(load, tmp_path, event, nodes, words):
    (tmp_path / "a.csv").write_text(AVAILABILITY)
    with pytest.raises(InputError, match=r"s\.yaml:2: ") as error:
        load(event).check(PlanOptions(nodes=nodes, profile="none").plan())
    assert words in str(error.value)
