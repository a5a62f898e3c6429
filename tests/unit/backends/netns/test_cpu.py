"""What becomes of a node's group of programs when its plan is applied or read back, in a folder of plain files."""

import pytest

from harness.backends.base import Task
from harness.backends.netns.cpu import NodeCpus
from harness.backends.netns.namespaces import Keeper
from harness.errors import NodeError
from harness.linux.cgroup import CpuGroup
from harness.model.capacity import NodeShape
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus, NodeStatus
from tests.support.plans import network

KEEPER = Keeper(123, 456, False, 3, (4, 5), (2, 3))
QUARTER, HALF = CpuShare(250), CpuShare(500)
NOTHING = NodeStatus({})


@pytest.fixture
def group(tmp_path):
    """Of node 1, limited to a quarter of a core."""
    made = CpuGroup(tmp_path / "harness-123-456-1", 1)
    made.make()
    (made.path / "cpu.stat").write_text("throttled_time 0\n")
    made.limit(QUARTER)
    return made


def done(parent, share, action="apply"):
    plan = network("line", 2).with_nodes({1: NodeShape(cpu=share)})
    return NodeCpus(str(parent)).with_status(KEEPER, Task(action, plan.node(1), resized=True), NOTHING)


def test_only_another_share_is_written(group, tmp_path, monkeypatch):
    """Each time that one is, the kernel gives programs a new quota: a trace would give them more than their share."""
    written = []
    monkeypatch.setattr(
        CpuGroup, "limit", lambda self, share, limit=CpuGroup.limit: [written.append(share), limit(self, share)]
    )
    for share in (QUARTER, QUARTER, HALF, HALF, None, None):
        assert done(tmp_path, share).cpu == CpuStatus(share)
    assert written == [HALF, None]


def test_reading_back_changes_nothing(group, tmp_path):
    assert done(tmp_path, HALF, "observe").cap_mismatches == (("cpu", "25% for 50%"),)
    assert group.read().applied == QUARTER


def test_a_node_without_a_share_has_no_group(tmp_path):
    for action in ("apply", "observe"):
        assert done(tmp_path, None, action) is NOTHING
    assert done(tmp_path, QUARTER, "observe") is NOTHING
    assert not list(tmp_path.iterdir())


def test_what_the_kernel_refuses_names_the_node(tmp_path):
    failed = done(tmp_path / "gone", QUARTER)
    assert isinstance(failed, NodeError)
    assert str(failed).startswith("node 1: limit its CPU: ")
