"""Spot preemptions: stays and absences against measurements, and seeds."""

import statistics
from itertools import groupby, islice

import pytest

from harness.errors import InputError
from harness.model.plan_options import PlanOptions
from harness.scenario.absence import Chosen
from harness.scenario.models.spot_preemption import draw
from harness.scenario.scenario_file import load_scenario


def lives(size, strikes=3000):
    """How long nodes stayed and were away, and the share of those there that each preemption took."""
    back, since = dict.fromkeys(range(1, size), 0.0), dict.fromkeys(range(1, size), 0.0)
    stays, absences, shares = [], [], []
    groups = enumerate(islice(draw("1"), 2 * strikes))
    for at, together in groupby(groups, key=lambda numbered: numbered[1].at):
        there, taken = {rank for rank in back if back[rank] <= at}, set()
        for number, group in together:
            for rank in Chosen(share=group.share).drawn(size, f"1:{number}"):
                if back[rank] <= at:
                    stays.append(at - back[rank])
                    absences.append(back[rank] - since[rank])
                    since[rank] = at
                    taken.add(rank)
                back[rank] = max(back[rank], at + group.lasts)
        shares += [len(taken) / len(there)] if there else []
    return stays, [one for one in absences if one], shares


@pytest.mark.parametrize("size", [4, 8, 16])
def test_nodes_stay_and_are_away_as_measured(size):
    stays, absences, shares = lives(size)
    assert statistics.fmean(stays) == pytest.approx(9080, rel=0.15)
    assert statistics.fmean(absences) == pytest.approx(3010, rel=0.15)
    assert statistics.median(absences) == pytest.approx(1536, rel=0.15)
    assert statistics.fmean(shares) == pytest.approx(0.6, rel=0.15)


def test_times_ascend_and_follow_from_the_seed():
    first, same, other = (list(islice(draw(seed), 200)) for seed in ("1", "1", "2"))
    assert first == same != other
    assert [one.at for one in first] == sorted(one.at for one in first)


@pytest.fixture
def load(tmp_path):
    def write_and_load(keys):
        path = tmp_path / "s.yaml"
        path.write_text(f"seed: 4\nevents:\n  - {{at: 1s, availability: {{{keys}}}}}\n")
        return load_scenario(path)

    return write_and_load


def test_spot_preemption_takes_nodes_and_gives_them_back(load):
    scenario = load("model: spot-preemption, speed: 60, by: cut")
    assert not scenario.ends
    dues = list(islice(scenario.agenda(), 40))
    assert [due.at for due in dues] == sorted(due.at for due in dues)
    first = next(draw("4"))
    assert (dues[0].at, dues[0].kind, dues[0].text) == (pytest.approx(1 + first.at / 60), "away", "cut spot-preemption")
    assert dues[0].away.until == pytest.approx(1 + (first.at + first.lasts) / 60)
    assert all(0 not in due.away.ranks(8) for due in dues)
    assert load("model: spot-preemption, speed: 60, by: cut, seed: 4") == scenario
    with pytest.raises(InputError, match="no node but rank 0"):
        scenario.check(PlanOptions(nodes=1, profile="none").plan())


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("by: kill", "give file: a CSV file with time_s,event,node, or model: spot-preemption"),
        ("model: spot-preemption, file: a.csv", "give file: a CSV file"),
        ("model: spot", "availability.model: model 'spot' is unknown; known: spot-preemption"),
        ("model: spot-preemption, loop: true", "loop does not go with model"),
        ("file: a.csv, speed: 2", "speed does not go with file"),
        ("model: spot-preemption, speed: 0", "'0' is no speed"),
        ("model: spot-preemption, by: fire", "'fire' is none of"),
    ],
)
def test_wrong_input_is_refused(load, keys, words):
    with pytest.raises(InputError, match=words):
        load(keys)
