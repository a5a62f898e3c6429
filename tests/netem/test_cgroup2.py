"""A share of a CPU in cgroup v2, which the User-Mode Linux kernel has: there the tree is ours to change."""

import os
from pathlib import Path

import pytest

from harness.errors import UnavailableError
from harness.linux.cgroup import check_limits
from harness.model.capacity_edit import node_change
from tests.live.test_cpu import burnt, groups
from tests.support.live import network, up

pytestmark = [
    pytest.mark.netem,
    pytest.mark.timing,
    pytest.mark.skipif(os.environ.get("WITH_NETEM") != "uml", reason="the tree of groups is this machine's"),
]
CONTROL = Path("/sys/fs/cgroup/cgroup.subtree_control")


def test_programs_of_a_node_get_their_share_once_the_controller_is_handed_on():
    with pytest.raises(UnavailableError, match=r"enable it: echo \+cpu > /sys/fs/cgroup/cgroup.subtree_control"):
        check_limits()
    CONTROL.write_text("+cpu")
    try:
        assert check_limits() == "cgroup v2"
        with up(node_change("1", {"cpu": "25%"})(network("line", 2))) as net:
            handle = net.backend.handle
            assert len(groups(handle)) == 1
            assert 0.1 < burnt(net, 1) < 0.29
            cpu = net.observe([1])[1].cpu
            assert (cpu.applied.thousandths, cpu.throttled_s > 0) == (250, True)
            net.reshape(node_change("1", {"cpu": "none"}))
            assert net.observe([1])[1].cpu.applied is None
        assert groups(handle) == []
    finally:
        CONTROL.write_text("-cpu")
