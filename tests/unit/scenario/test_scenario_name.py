"""The scenarios that ship, and how a scenario is found by name or path."""

from itertools import islice

import pytest

from harness.errors import InputError
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import shipped_profiles
from harness.scenario import schedule
from harness.scenario.scenario_file import load_scenario
from harness.scenario.scenario_name import scenario_path, shipped_scenarios


@pytest.mark.parametrize("name", shipped_scenarios())
def test_scenarios_that_ship_fit_every_network(monkeypatch, name):
    monkeypatch.setattr(schedule, "_MOST_CHECKED", 0)  # of so many networks, the first changes
    scenario = load_scenario(scenario_path(name))
    assert scenario.description
    for topology, nodes in (("line", 2), ("ring", 5), ("star", 4), ("fully_connected", 3)):
        for profile in ("none", *shipped_profiles()):
            network = PlanOptions(topology=topology, nodes=nodes, profile=profile).plan()
            scenario.check(network)
            for due in islice(scenario.agenda(), 5):
                assert due.kind != "edit" or due.edit(network) != network


def test_names_and_paths_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("flaky-wan", "mine", "sub"):
        (tmp_path / file).write_text("")
    shipped = shipped_scenarios()["flaky-wan"]
    assert scenario_path("flaky-wan") == scenario_path("Flaky_WAN") == shipped
    assert scenario_path("./flaky-wan").absolute() == tmp_path / "flaky-wan"
    assert scenario_path("mine", tmp_path) == tmp_path / "mine"
    assert scenario_path("flaky-wan.yaml", tmp_path) == tmp_path / "flaky-wan.yaml"
    with pytest.raises(InputError, match=r"scenario 'flaky-wam' is unknown; .*'flaky-wan'.* \(a file of your own"):
        scenario_path("flaky-wam")
