"""The engines' contract on links in user space, and what only those can refuse."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import NodeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.queueing import Queue
from harness.model.units import Rate, Time
from harness.netlink.nfnetlink import Nfnetlink
from harness.shaping.userspace import control
from harness.shaping.userspace.control import Refused
from harness.shaping.userspace.engine import UserspaceEngine
from harness.shaping.userspace.nfqueue import Nfqueue
from harness.shaping.userspace.node_queues import QUEUE_BASE
from harness.shaping.userspace.rules import remove
from tests.support.cli import processes, wait_for
from tests.support.namespace_node import NamespaceNode, RealEngineSuite, returning
from tests.support.plans import network, shape

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces]
SUPERVISOR = "from harness.shaping.userspace.supervisor import Supervisor; Supervisor({0: None}, 64).run(0)"

ELSEWHERE = "from harness.linux.syscalls import CLONE_NEWNET, unshare; unshare(CLONE_NEWNET); "


class UserspaceNode(NamespaceNode):
    """With the processes that make its links."""

    def __init__(self):
        super().__init__(UserspaceEngine())
        self.supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdin=subprocess.PIPE)


@pytest.fixture
def make():
    nodes = []

    def build(plan):
        nodes.append(UserspaceNode())
        return nodes[-1]

    with returning():
        yield build
        for node in nodes:
            node.supervisor.stdin.close()
            assert node.supervisor.wait(10) == 0


class TestUserspaceEngine(RealEngineSuite):
    pass


def test_a_queue_that_is_taken_is_told_by_edge(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    other = Nfqueue()
    other.bind(QUEUE_BASE + 1, max_length=10, copy_bytes=1, segment=False)
    with pytest.raises(NodeError, match=r"node 0: make edge 1->0 .*NFQUEUE 18433 is taken by another process"):
        node.apply(plan)
    other.close()
    assert not node.apply(plan).mismatches


def test_rules_that_were_removed_are_told_and_made_again(make):
    plan = network("ring", 3, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    with Nfnetlink() as netlink:
        remove(netlink)
    reading = node.observe(plan)
    assert {pair for pair, _ in reading.mismatches} == {(1, 0), (2, 0)}
    assert ((1, 0), "no filter sends packets of 10.77.0.2/32 there") in reading.mismatches
    assert ((1, 0), "the rules that queue its packets are damaged") in reading.mismatches
    assert not node.apply(plan).mismatches


def test_no_process_is_one_clear_error(make, monkeypatch):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    node.supervisor.stdin.close()
    assert node.supervisor.wait(10) == 0
    monkeypatch.setattr("harness.shaping.userspace.control._START_SECONDS", 0.3)
    with pytest.raises(NodeError, match="the shaper daemon is not running: no packet passes"):
        node.observe(plan)


def test_nonsense_does_not_end_the_process(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    for request in ({"do": "set"}, {"do": "set", "branches": [1]}, {}, {"do": "dance"}, []):
        with contextlib.suppress(Refused):
            control.ask(request)
    assert not node.observe(plan).mismatches
    assert node.observe(plan).notes == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_an_answer_of_another_user_is_not_believed(make, monkeypatch):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    node.supervisor.stdin.close()
    node.supervisor.wait(10)
    squat = "import os, time\nfrom harness.shaping.userspace import control_address\nos.setuid(65534)\n"
    squat += "listener = control_address.listen()\nprint(1, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", squat], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(NodeError, match="belongs to user 65534; only that user may ask it"):
            node.observe(plan)
        other.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_nobody_takes_the_daemons_address_while_it_is_started_again(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    squat = "import os\nfrom harness.shaping.userspace import control_address\nos.setuid(65534)\nwhile True:\n"
    squat += " try: control_address.listen()\n except OSError: continue\n print('taken', flush=True)"
    with subprocess.Popen([sys.executable, "-c", squat], stdout=subprocess.PIPE) as other:
        for _ in range(3):
            (daemon,) = children(node.supervisor.pid)
            os.kill(daemon, 9)
            assert not node.observe(plan).mismatches
        other.kill()
        assert other.stdout.read() == b""


def test_no_process_is_left_by_a_supervisor_that_ends_at_once(make):
    node = make(network("line", 2))
    for wait in (0, 0.01, 0.03, 0.1):
        supervisor = subprocess.Popen([sys.executable, "-c", ELSEWHERE + SUPERVISOR], stdin=subprocess.PIPE)
        wait_for(lambda supervisor=supervisor: children(supervisor.pid))
        time.sleep(wait)
        left = children(supervisor.pid)
        supervisor.kill()
        supervisor.wait()
        supervisor.stdin.close()
        wait_for(lambda left=left: not any(pid in processes("userspace/daemon.py") for pid in left))
    assert node.supervisor.poll() is None


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def caps_of(reading):
    assert not reading.cap_mismatches
    return {name: status.applied for name, status in reading.caps.items()}


def test_a_downlink_and_a_trunk_are_made_changed_and_taken_away_in_place(make):
    """Beside a shaped edge and an unshaped one, which goes through a link queue as long as it shares them."""
    ten, codel = Capacity(Rate(10**7)), Capacity(Rate(10**6), Queue.of("codel"), Time(50 * 10**6), overhead=24)
    bare = network("star", 3, e02=shape(delay="20ms"))
    plan = replace(bare, regions={"a": (0,), "b": (1, 2)})
    node = make(plan)
    for downlink, trunk in ((ten, None), (codel, ten), (codel, codel), (None, ten), (None, None), (ten, ten)):
        trunks = {("b", "a"): trunk} if trunk else {}
        asked = replace(plan, trunk_capacities=trunks).with_nodes({0: NodeShape(downlink=downlink)})
        reading = node.apply(asked)
        assert not reading.mismatches
        expected = {"trunk b->a": trunk, "downlink": downlink}
        assert caps_of(reading) == {name: capacity for name, capacity in expected.items() if capacity}
        assert node.apply(asked) == reading == node.observe(asked)


def test_a_daemon_that_is_started_again_has_the_capacities(make):
    plan = network("star", 3, shape(delay="1ms")).with_nodes({0: NodeShape(downlink=Capacity(Rate(10**7)))})
    node = make(plan)
    before = caps_of(node.apply(plan))
    pid = node.supervisor.pid
    (daemon,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(daemon), signal.SIGKILL)
    wait_for(lambda: any("SIGKILL" in note for note in node.observe(plan).notes))
    assert caps_of(node.observe(plan)) == before


def test_a_missing_downlink_is_told(make):
    plan = network("star", 3, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    wanted = plan.with_nodes({0: NodeShape(downlink=Capacity(Rate(10**7)))})
    assert node.observe(wanted).cap_mismatches == (("downlink", "nothing limits it"),)
