"""Absences are performed: calls of the backend, and lines for the job's launcher."""

import json
from types import SimpleNamespace

import pytest

from harness.errors import NodeError
from harness.model.plan_options import PlanOptions
from harness.networks.away import AwayFile
from harness.scenario.absence import Away, Chosen
from harness.scenario.attendance import Attendance
from harness.scenario.schedule import Due


class Nodes:
    """Keeps the calls."""

    def __init__(self):
        self.asked = []
        self.gone = False

    def __getattr__(self, name):
        def ask(ranks):
            if self.gone:
                raise NodeError(1, name, "it is gone")
            self.asked.append((name.removesuffix("_jobs"), list(ranks)))

        return ask


@pytest.fixture
def net(tmp_path):
    plan = PlanOptions(nodes=4, profile="none", topology="mesh").plan()
    return SimpleNamespace(plan=plan, backend=Nodes(), away=lambda: AwayFile(tmp_path / "n.away"))


def away(cause, *ranks, seed="0", until=None):
    return Away(cause, Chosen(ranks), seed, until)


def begin(one):
    return Due(1.0, "away", 0, "away", away=one)


def back(one):
    return Due(2.0, "back", 0, "back", away=one)


def lines(tmp_path):
    found = map(json.loads, (tmp_path / "n.away").read_text().splitlines())
    return [(line["what"], line["rank"], line.get("of")) for line in found]


def test_a_kill_and_a_return_are_written_before_they_happen(net, tmp_path):
    attendance = Attendance(net)
    one = away("kill", 2, 3, until=21.0)
    net.backend.asked = SimpleNamespace(append=lambda asked: told.append((asked, lines(tmp_path))))
    told = []
    attendance.perform([begin(one)], 1.0)
    attendance.perform([back(one)], 21.0)
    begun = [("kill", 2, None), ("kill", 3, None)]
    ended = [("back", 2, "kill"), ("back", 3, "kill")]
    assert told == [(("kill", [2, 3]), begun), (("restart", [2, 3]), begun + ended)]
    first, *_ = map(json.loads, (tmp_path / "n.away").read_text().splitlines())
    assert first["until"] - first["time"] == pytest.approx(20, abs=1)


def test_a_node_that_two_events_take_away_is_back_when_both_are_over(net, tmp_path):
    attendance = Attendance(net)
    one, other = away("pause", 1, 2, seed="a"), away("pause", 2, seed="b")
    for due in (begin(one), begin(other), back(one), back(other)):
        attendance.perform([due], 1.0)
    assert [asked for asked in net.backend.asked if asked[1]] == [("pause", [1, 2]), ("resume", [1]), ("resume", [2])]
    assert lines(tmp_path)[2:] == [("back", 1, "pause"), ("back", 2, "pause")]


def test_a_second_kill_ends_what_was_started_meanwhile(net):
    attendance = Attendance(net)
    attendance.perform([begin(away("kill", 1, seed="a"))], 1.0)
    attendance.perform([begin(away("kill", 1, seed="b"))], 2.0)
    assert net.backend.asked == [("kill", [1]), ("kill", [1])]


def down(plan):
    return {pair for pair, edge in plan.edges.items() if edge.down}


def edges_of(plan, *ranks):
    return {pair for pair in plan.edges if {*ranks} & {*pair}}


def test_a_node_stays_cut_off_when_another_node_is_back(net):
    attendance, plan = Attendance(net), net.plan
    one, other = away("cut", 1), away("cut", 2)
    plan = attendance.edited(plan, begin(one))
    assert down(plan) == edges_of(plan, 1)
    plan = attendance.edited(plan, begin(other))
    plan = attendance.edited(plan, back(one))
    assert down(plan) == edges_of(plan, 2)
    assert attendance.edited(plan, back(other)) == net.plan
    attendance.perform([begin(one)], 1.0)
    assert net.backend.asked == [], "links are the plan's"


def test_a_link_that_was_down_before_stays_down(net):
    plan = away("cut", 1).cut(net.plan)
    attendance = Attendance(net)
    cut = attendance.edited(plan, begin(away("cut", 2)))
    assert down(attendance.edited(cut, back(away("cut", 2)))) == edges_of(plan, 1)


def test_paused_nodes_are_resumed_when_playing_ends(net, tmp_path):
    attendance = Attendance(net)
    attendance.perform([begin(away("pause", 1)), begin(away("kill", 2))], 1.0)
    assert attendance.pauses
    attendance.end()
    assert net.backend.asked[-1] == ("resume", [1])
    assert lines(tmp_path)[-1] == ("back", 1, "pause")


def test_playing_ends_silently_where_the_network_is_gone(net):
    attendance = Attendance(net)
    attendance.perform([begin(away("pause", 1))], 1.0)
    net.backend.gone = True
    attendance.end()


def test_drawn_ranks_are_named(net):
    drawn = Away("kill", Chosen(), "seed", None)
    due = Due(1.0, "away", 0, "kill any node", away=drawn)
    assert Attendance(net).text(due) == f"kill any node (rank {drawn.ranks(4)[0]})"
    assert Attendance(net).text(begin(away("kill", 3))) == "away"
