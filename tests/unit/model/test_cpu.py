"""Shares of a CPU: as texts, in JSON, and what they change of a plan."""

import json

import pytest

from harness.errors import InputError
from harness.model.capacity import NodeShape
from harness.model.cpu import CpuShare, CpuShares
from harness.model.plan import NetworkPlan
from harness.model.plan_cpus import check_cores
from harness.model.plan_options import PlanOptions
from harness.model.status import CpuStatus, NodeStatus
from tests.support.plans import network

QUARTER = CpuShare(250)


@pytest.mark.parametrize(
    ("text", "thousandths", "shown"),
    [
        ("25%", 250, "25%"),
        ("2.5 %", 25, "2.5%"),
        ("250%", 2500, "250%"),
        ("1%", 10, "1%"),
        ("33.3%", 333, "33.3%"),
        ("100000%", 10**6, "100000%"),
    ],
)
def test_texts(text, thousandths, shown):
    share = CpuShare.parse(text)
    assert (share.thousandths, str(share), CpuShare.parse(shown)) == (thousandths, shown, share)
    assert CpuShare.from_json(json.loads(json.dumps(share.to_json()))) == share


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.25", "'0.25' is not a share of a CPU; write a percentage, e.g. 25% (a quarter of one core) or 250%"),
        ("", "'' is not a share of a CPU"),
        ("250m", "'250m' is not a share of a CPU"),
        ("0%", "'0%' is not between 1% and 100000% of one core"),
        ("0.9%", "not between 1% and"),
        ("-5%", "not between 1% and"),
        ("100001%", "not between 1% and"),
        ("33.33%", "'33.33%' is finer than 0.1%"),
    ],
)
def test_bad_texts(text, words):
    with pytest.raises(InputError) as refused:
        CpuShare.parse(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "every", "ranks"),
    [
        ((), None, {}),
        (("25%",), 250, {}),
        (("all=50%",), 500, {}),
        (("2=25%",), None, {2: 250}),
        (("2=25%", "0-1=50%"), None, {0: 500, 1: 500, 2: 250}),
        (("2=25%, 0-1 = 50%",), None, {0: 500, 1: 500, 2: 250}),
        (("0,2=25%,3=150%",), None, {0: 250, 2: 250, 3: 1500}),
        (("3=none,50%",), 500, {3: None}),
        (("all=none",), None, {}),
    ],
)
def test_shares_of_nodes(texts, every, ranks):
    shares = CpuShares.parse(texts, 4)
    assert shares.every == (every and CpuShare(every))
    assert shares.given == (every is not None or texts == ("all=none",))
    assert shares.ranks == {rank: share and CpuShare(share) for rank, share in ranks.items()}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("2",), "'2' has no share for 2; write e.g. 2=25%, 0-3=50% or all=50%"),
        (("2=",), "'' is not a share of a CPU"),
        (("=25%",), "'' is not a rank; write e.g. 2, or several as 0,2 or 0-3, or all"),
        (("4=25%",), "there is no rank 4; this network has ranks 0 to 3"),
        (("1-4=25%",), "there is no rank 4"),
        (("3-1=25%",), "'3-1' is not a rank"),
        (("1=25%", "0-2=50%"), "'0-2=50%': the share of node 1 is given twice"),
        (("25%", "all=30%"), "'all=30%': the share of all nodes is given twice"),
        (("two=25%",), "'two' is not a rank"),
        (("fast",), "'fast' is not a share of a CPU"),
    ],
)
def test_bad_shares_of_nodes(texts, words):
    with pytest.raises(InputError) as refused:
        PlanOptions(4, cpu=texts).plan()
    assert f"--cpu: {words}" in str(refused.value)


def test_a_plan_with_shares_goes_to_json_and_back_and_limits_no_link():
    plain, plan = PlanOptions(3, profile="none").plan(), PlanOptions(3, profile="none", cpu=("2=25%",)).plan()
    assert plan.nodes == {2: NodeShape(cpu=QUARTER)}
    assert plan.to_json()["node_shapes"] == {"2": {"uplink": None, "downlink": None, "cpu": 0.25}}
    assert NetworkPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert (plan.has_caps, plan.guarded, plan.max_segments) == (False, False, plain.max_segments)
    assert plan.node(2).shape.cpu == QUARTER


def test_plans_of_older_versions_know_no_share():
    assert NodeShape.from_json({"uplink": None, "downlink": None}) == NodeShape()


def test_no_node_gets_more_than_the_machine_has():
    plan = network("ring", 3).with_nodes({1: NodeShape(cpu=CpuShare(2000))})
    check_cores(plan, 2)
    with pytest.raises(InputError, match=r"node 1: 200% of a CPU is more than this machine has \(100%\)"):
        check_cores(plan, 1)


def test_a_status_says_how_it_differs():
    status = NodeStatus({}).with_cpu(CpuStatus(CpuShare(500), 1.5), QUARTER)
    assert status.cap_mismatches == (("cpu", "50% for 25%"),)
    assert NodeStatus.from_json(json.loads(json.dumps(status.to_json()))) == status
    assert NodeStatus({}).with_cpu(CpuStatus(None), None).cap_mismatches == ()
