"""Addresses of the nodes."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PlanError
from harness.model.address import MAX_NODES, Addressing


def test_the_first_node_has_the_first_host():
    addressing = Addressing()
    assert addressing.ipv4(0) == IPv4Address("10.77.0.1")
    assert addressing.ipv4(300) == IPv4Address("10.77.1.45")
    assert addressing.ipv6(0) == IPv6Address("fd77::1")
    assert addressing.ipv6(300) == IPv6Address("fd77::12d")


def test_the_link_local_address_is_the_one_that_the_kernel_derives_from_the_mac_address():
    assert Addressing.parse("198.18.212.0/24").link_local(0) == IPv6Address("fe80::42:c6ff:fe12:d401")


def test_subnets_of_the_users():
    assert Addressing.parse() == Addressing()
    addressing = Addressing.parse("192.168.7.0/24", "fd00:1::/112")
    assert addressing.ipv4(4) == IPv4Address("192.168.7.5")
    assert addressing.ipv6(4) == IPv6Address("fd00:1::5")
    assert Addressing.parse(ipv6="fd00:1::/112").ipv4_net == Addressing().ipv4_net


@pytest.mark.parametrize(
    ("ipv4", "ipv6"),
    [
        ("10.0.0.1/24", None),
        ("10.0.0.0/33", None),
        ("fd77::/64", None),
        ("nonsense", None),
        (None, "10.0.0.0/8"),
        (None, "fd77::1/64"),
        (None, "x"),
        ("0.0.0.0/0", None),
        ("0.0.0.0/1", None),
        ("64.0.0.0/2", None),
        ("128.0.0.0/1", None),
        ("127.0.0.0/24", None),
        ("240.0.0.0/8", None),
        (None, "::/0"),
        (None, "::/64"),
        (None, "8000::/1"),
        (None, "fe80::/64"),
    ],
)
def test_what_is_no_subnet_is_one_clear_error(ipv4, ipv6):
    with pytest.raises(PlanError, match=r"^subnet: .*; write e\.g\. 10\.77\.0\.0/16 or fd77::/64$"):
        Addressing.parse(ipv4, ipv6)


@given(st.integers(8, 32), st.integers(96, 128), st.integers(1, 5000))
def test_what_fits_has_addresses_of_its_own_inside_the_subnets(v4, v6, nodes):
    addressing = Addressing.parse(f"10.0.0.0/{v4}", f"fd00::/{v6}")
    room = min(2 ** (32 - v4) - 2, 2 ** (128 - v6) - 2, MAX_NODES)
    if nodes > room:
        with pytest.raises(PlanError, match=f"{nodes} nodes do not fit"):
            addressing.require(nodes)
        return
    addressing.require(nodes)
    last = addressing.ipv4(nodes - 1)
    assert last in addressing.ipv4_net
    assert addressing.ipv4_net.network_address < addressing.ipv4(0) <= last < addressing.ipv4_net.broadcast_address
    assert addressing.ipv6(nodes - 1) in addressing.ipv6_net


@pytest.mark.parametrize(
    ("subnet", "nodes", "words"),
    [
        ("10.0.0.0/30", 3, "fit: 10.0.0.0/30 has room for 2; give a larger --subnet"),
        ("10.0.0.0/32", 1, "fit: 10.0.0.0/32 has room for 0; give a larger --subnet"),
        ("10.0.0.0/8", 4095, "fit: 10.0.0.0/8 has room for 4094 (the most this tool makes)"),
    ],
)
def test_what_does_not_fit_says_how_many_do(subnet, nodes, words):
    with pytest.raises(PlanError) as caught:
        Addressing.parse(subnet).require(nodes)
    assert words in str(caught.value)
