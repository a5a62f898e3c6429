"""Which sysctls a node gets."""

import pytest

from harness.backends.netns.wiring import sysctls
from tests.support.plans import network

PLAN = network("line", 3)


@pytest.mark.parametrize("there", [True, False], ids=["with", "without"])
def test_where_ipv6_is_switched_off_its_sysctls_are_left_alone(tmp_path, there):
    (tmp_path / "net" / ("ipv6" if there else "ipv4")).mkdir(parents=True)
    for rank in range(3):
        wanted = sysctls(PLAN.node(rank), str(tmp_path))
        assert wanted["net/ipv4/ip_forward"] == ("1" if rank == 1 else "0")
        assert wanted["net/ipv4/conf/eth0/accept_redirects"] == "0"
        assert any(name.startswith("net/ipv6/") for name in wanted) == there
