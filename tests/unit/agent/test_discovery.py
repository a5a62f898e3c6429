"""Waiting for the other nodes by their names."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from harness.agent import discovery
from harness.agent.discovery import NameAddresses, Unanswered, find_all
from harness.errors import UnavailableError

NAMES = ["n-1", "n-2", "n-3"]


def place(number):
    return NameAddresses(IPv4Address(f"10.0.0.{number}"), IPv6Address(f"fd00::{number}"))


class Dns:
    """Answers that change with every lookup: a list per name, whose last one stays."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "-"): list(given) for name, given in answers.items()}

    def __call__(self, name):
        given = self.answers[name]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if answer is Unanswered:
            raise Unanswered("try again")
        return answer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(discovery, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(discovery, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(discovery, "_TELL_SECONDS", 0.1)


def test_all_are_found_in_the_order_of_their_ranks_however_they_come():
    dns = Dns(n_1=[None, None, place(4)], n_2=[place(2)], n_3=[None, Unanswered, place(3)])
    assert find_all(NAMES, 5, print, ipv6=True, look=dns) == [place(4), place(2), place(3)]


def test_who_is_missing_is_told_while_we_wait_and_at_the_end():
    told = []
    with pytest.raises(
        UnavailableError, match=r"did not start within 0 s \(START_TIMEOUT\): n-2; check that NODES is the number of"
    ):
        find_all(NAMES, 0.3, told.append, ipv6=True, look=Dns(n_1=[place(1)], n_2=[None], n_3=[place(3)]))
    assert told[0] == "waiting for n-2 to start (0 s)"


def test_in_a_swarm_who_knows_why_a_node_is_missing_is_told():
    told = []
    with pytest.raises(UnavailableError, match=r"n-2; a manager of the swarm knows why: docker stack ps NAME"):
        find_all(NAMES[1:2], 0.3, told.append, ipv6=False, swarm=True, look=Dns(n_2=[None]))
    assert "docker stack ps NAME --no-trunc" in told[0]


def test_a_node_that_ends_while_we_wait_for_others_is_told_at_once():
    dns = Dns(n_1=[place(1), None], n_2=[None], n_3=[place(3)])
    with pytest.raises(UnavailableError, match="n-1 ended before all nodes had started"):
        find_all(NAMES, 30, print, ipv6=True, look=dns)


def test_a_name_server_that_says_nothing_for_a_while_ends_nobody():
    dns = Dns(n_1=[place(1), *[Unanswered] * 20, place(1)], n_2=[*[None] * 20, place(2)], n_3=[place(3)])
    assert find_all(NAMES, 5, print, ipv6=True, look=dns) == [place(1), place(2), place(3)]


def test_half_an_answer_is_waited_out_where_the_network_has_ipv6():
    half = NameAddresses(IPv4Address("10.0.0.2"), None)
    dns = Dns(n_1=[place(1)], n_2=[half, half, place(2)], n_3=[place(3)])
    assert find_all(NAMES, 5, print, ipv6=True, look=dns) == [place(1), place(2), place(3)]
    assert find_all(["n-2"], 5, print, ipv6=False, look=Dns(n_2=[half])) == [half]


def test_a_name_that_leads_somewhere_is_found():
    assert discovery.look_up("localhost").ipv4.is_loopback


@pytest.fixture
def interface(monkeypatch):
    """Our interface has a /24, and a name server elsewhere."""
    monkeypatch.setattr(discovery, "_ipv4_mask", lambda: 0xFFFFFF00)
    monkeypatch.setattr(discovery, "ipv6_prefix", lambda: 64)
    servers = []
    monkeypatch.setattr(discovery, "_name_servers", lambda: servers)
    return servers


def pods(*fours):
    return [NameAddresses(IPv4Address(four), None) for four in fours]


def test_nodes_in_one_subnet_have_that_of_our_interface(interface):
    net = discovery.addressing_of([place(1), place(2)])
    assert (str(net.ipv4_net), str(net.ipv6_net)) == ("10.0.0.0/24", "fd00::/64")


def test_nodes_in_several_subnets_have_the_smallest_that_holds_them_all(interface):
    net = discovery.addressing_of(pods("10.244.0.5", "10.244.3.9"))
    assert (str(net.ipv4_net), net.ipv4(1), net.versions) == ("10.244.0.0/22", IPv4Address("10.244.3.9"), (4,))
    apart = [NameAddresses(IPv4Address("10.0.0.1"), IPv6Address(f"fd00:0:0:{part}::1")) for part in (1, 2)]
    assert str(discovery.addressing_of(apart).ipv6_net) == "fd00::/62"


def test_a_name_server_among_the_nodes_is_told_before_it_cannot_be_reached(interface):
    interface.append(IPv4Address("10.96.0.10"))
    assert discovery.addressing_of(pods("10.244.0.5", "10.244.3.9"))
    with pytest.raises(UnavailableError, match=r"the name server 10.96.0.10 is in 10.0.0.0/8, the smallest subnet"):
        discovery.addressing_of(pods("10.244.0.5", "10.8.0.9"))


def test_name_servers_are_those_of_resolv_conf(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search x\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\noptions ndots:5\n")
    assert discovery._name_servers(file) == [IPv4Address("10.96.0.10"), IPv6Address("fe80::1")]
    assert discovery._name_servers(tmp_path / "none") == []
