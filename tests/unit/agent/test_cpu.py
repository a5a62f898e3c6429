"""A container's share of a CPU is read, compared and awaited."""

import pytest

from harness.agent.cpu import await_share, with_cpu
from harness.errors import UnavailableError
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus, NodeStatus

QUARTER, HALF = CpuShare(250), CpuShare(500)
HOW = "docker update --cpu-period 20000 --cpu-quota 5000 net-node-2"


def test_a_node_without_a_share_waits_for_nothing():
    await_share(None, "net-node-2", 0, pytest.fail, lambda: pytest.fail("asked"))


def test_it_says_once_how_to_be_given_it_and_goes_on_then():
    answers, said = [None, CpuStatus(None), CpuStatus(HALF), CpuStatus(QUARTER)], []
    await_share(QUARTER, "net-node-2", 60, said.append, lambda: answers.pop(0))
    assert answers == []
    assert said == [
        f"a container cannot limit itself to 25% of a CPU core; waiting until somebody runs: {HOW}",
    ]


def test_where_nobody_does_it_the_node_ends():
    with pytest.raises(UnavailableError, match=f"container net-node-2 is not limited to 25% of a CPU core; run: {HOW}"):
        await_share(QUARTER, "net-node-2", -1, lambda _: None, lambda: CpuStatus(None))


@pytest.mark.parametrize(
    ("requested", "held", "cpu", "wrong"),
    [
        (None, None, None, ()),
        (None, CpuStatus(None), None, ()),
        (None, CpuStatus(HALF), CpuStatus(HALF), ()),
        (QUARTER, None, None, ()),
        (QUARTER, CpuStatus(QUARTER), CpuStatus(QUARTER), ()),
        (QUARTER, CpuStatus(None), CpuStatus(None), (("cpu", "no limit for 25%"),)),
    ],
)
def test_only_what_was_asked_for_can_differ(requested, held, cpu, wrong):
    status = with_cpu(NodeStatus({}), requested, held)
    assert (status.cpu, status.cap_mismatches) == (cpu, wrong)
