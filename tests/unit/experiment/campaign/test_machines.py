"""Which machines of a cluster can take a run, and when a run is given up."""

import pytest

from harness.errors import HarnessError, UnavailableError
from harness.experiment.campaign.machines import MOST_LOST, History, Machine, alive, check_cores

A, B = Machine("id-a", "a", "host-a", 4.0), Machine("id-b", "b", "host-b", 2.0)


def node(**facts):
    usual = {"NodeID": "1", "Alive": True, "NodeManagerHostname": "vm", "NodeManagerAddress": "10.0.0.1"}
    return {**usual, "NodeName": "10.0.0.1", "Resources": {"CPU": 8.0}, **facts}


def test_a_machine_is_called_as_it_was_named_or_after_its_host():
    assert Machine.of(node()) == Machine("1", "vm", "vm", 8.0)
    assert Machine.of(node(NodeName="big")).name == "big"


def test_dead_machines_and_a_head_without_cores_take_nothing():
    assert alive([node(Alive=False), node(Resources={"memory": 1.0})]) == []
    assert [one.cores for one in alive([node()])] == [8.0]


def test_how_many_runs_a_machine_does_at_a_time():
    assert [A.runs(cores) for cores in (1, 2, 3, 5)] == [4, 2, 1, 0]


def test_a_run_that_would_wait_for_ever_is_refused_with_the_remedy():
    check_cores([A, B], {"x": 4.0})
    with pytest.raises(
        UnavailableError, match=r"no machine has 5 cores for y, one per node; the largest, a, has 4.*--cores 4"
    ):
        check_cores([A, B], {"x": 2.0, "y": 5.0})
    with pytest.raises(UnavailableError, match="no machine of the cluster has a core"):
        check_cores([], {"x": 1.0})


def test_a_run_goes_on_as_long_as_a_machine_may_do_it():
    history = History({"id-b": ("b", "cannot: no nf_tables")}, ["b"])
    history.check("x", 4, [A, B])
    with pytest.raises(UnavailableError, match="x: no machine is left that can do it: b cannot: no nf_tables; lost: b"):
        history.check("x", 4, [B])
    with pytest.raises(UnavailableError, match="all are gone"):
        History().check("x", 4, [B])  # too small


def test_a_run_that_loses_machine_after_machine_is_given_up():
    History(lost=["a"] * (MOST_LOST - 1)).check("x", 1, [A])
    with pytest.raises(HarnessError, match=r"x: 3 machines lost while they did it \(a, a, b\)"):
        History(lost=["a", "a", "b"]).check("x", 1, [A])
