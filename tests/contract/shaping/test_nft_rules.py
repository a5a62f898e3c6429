"""The rules that send packets to queues, on the running kernel."""

import contextlib
import errno
import os
import select
import socket
import time
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network

import pytest

from harness.linux.fork import forked
from harness.linux.host import has_ipv6
from harness.linux.syscalls import CLONE_NEWNET, CLONE_NEWUSER, unshare
from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.channel import Request
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV, WHOLE, Nfnetlink, header
from harness.netlink.nlattr import text
from harness.shaping.userspace import nft_features, rules
from harness.shaping.userspace.guard import Guard, links_chain
from harness.shaping.userspace.nfqueue import Nfqueue, accept_marked, verdict
from harness.shaping.userspace.rules import KernelRules, Rule
from tests.support.cli import wait_for
from tests.support.veth import NEAR
from tests.support.veth import cable as new_cable

pytestmark = [
    pytest.mark.nfqueue,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters a namespace as root"),
    pytest.mark.timing,
]

ELSEWHERE = 99
ETHERTYPE = 0x88B5
UDP_BYTES = {4: 20 + 8 + 5, 6: 40 + 8 + 5}


def guard(index, device="eth0"):
    return Guard(index, tuple(map(ip_address, NEAR.values())), device=device)


def held(rules):
    """Without counters."""
    return [(str(rule.source), rule.queue) for rule in rules]


def of(*sources):
    return [Rule(ip_network(source), 100 + number) for number, source in enumerate(sources)]


@pytest.fixture
def cable():
    with new_cable() as made:
        yield made


@pytest.fixture(params=[None, False], ids=["the kernel's way", "nft_compat"])
def netlink(request, monkeypatch, cable):
    if request.param is not None:
        monkeypatch.setattr(nft_features, "_native", [request.param])
    with Nfnetlink() as made:
        yield made


@contextlib.contextmanager
def listener(*numbers):
    queue = Nfqueue()
    try:
        for number in numbers:
            queue.bind(number, max_length=100, copy_bytes=1, segment=False)
        yield queue
    finally:
        queue.close()


def packets_of(queue, seconds=10.0):
    select.select([queue], [], [], seconds)
    return queue.receive()


# What the kernel holds


def test_rules_are_read_back_as_asked(netlink, cable):
    asked = [*of(*cable.sources), Rule(IPv4Network("255.255.255.255"), 65535), Rule(IPv4Network("0.0.0.0"), 0)]
    asked += [Rule(ip_network(prefix), 7) for prefix in ("10.0.0.4/30", "10.0.1.0/24", "fd00::40/122", "fd00:1::/64")]
    assert rules.install(netlink, guard(cable.index), asked) in (rules.NATIVE, rules.COMPAT)
    found = rules.read(netlink, guard(cable.index))
    assert found.rooted
    assert sorted(held(found.rules)) == sorted(held(asked))


def test_to_install_again_replaces_what_was_there(netlink, cable):
    for asked in (of("10.0.0.2", "10.0.0.3"), of("10.0.0.3"), of("10.0.0.3"), []):
        rules.install(netlink, guard(cable.index), asked)
        found = rules.read(netlink, guard(cable.index))
        assert (found.rooted, held(found.rules)) == (True, held(asked))


def test_rules_can_be_added_later_and_keep_the_counters_of_those_before(netlink, cable):
    first, second = of("10.0.0.2", "10.0.0.3")
    rules.install(netlink, guard(cable.index), [first])
    assert not cable.arrives("10.0.0.2")
    rules.add(netlink, [second])
    found = rules.read(netlink, guard(cable.index)).rules
    assert [(rule.source, rule.queue, rule.packets, rule.bytes) for rule in found] == [
        (first.source, 100, 1, UDP_BYTES[4]),
        (second.source, 101, 0, 0),
    ]


def test_what_passes_is_sent_to_a_queue_in_one_step(netlink, cable):
    (source,) = (rule.source for rule in of("10.0.0.2"))
    rules.install(netlink, guard(cable.index), [Rule(source, None)])
    wait_for(lambda: cable.arrives("10.0.0.2"))
    (passing,) = rules.read(netlink, guard(cable.index)).rules
    assert (passing.queue, passing.packets) == (None, 1)
    rules.add(netlink, [Rule(source, 100)], [passing])
    found = rules.read(netlink, guard(cable.index))
    assert (found.rooted, held(found.rules)) == (True, [("10.0.0.2/32", 100)])
    assert not cable.arrives("10.0.0.2")


def test_nothing_is_told_of_where_nothing_was_installed(netlink, cable):
    assert rules.read(netlink, guard(cable.index)) == KernelRules(False, ())


def test_removed_rules_are_gone_and_may_be_removed_again(netlink, cable):
    rules.install(netlink, guard(cable.index), of(*cable.sources))
    for _ in range(2):
        rules.remove(netlink)
        assert rules.read(netlink, guard(cable.index)) == KernelRules(False, ())
    wait_for(lambda: all(cable.arrives(source) for source in cable.sources))


def test_rules_of_another_interface_are_not_ours(netlink, cable):
    rules.install(netlink, guard(ELSEWHERE), of("10.0.0.2"))
    assert not rules.read(netlink, guard(cable.index)).rooted
    assert rules.read(netlink, guard(ELSEWHERE)).rooted


def delete_rules(family, chain):
    return Request(nft._NEWRULE + 2, 0, header(family) + text(1, rules.TABLE) + text(2, chain))


def changes():
    chain = rules.TABLE, rules.CHAIN
    wanted = links_chain(guard(2), 4)
    yield "a flushed chain", [delete_rules(NFPROTO_IPV4, rules.CHAIN)]
    yield "a deleted table", [nft.delete_table(NFPROTO_IPV4, rules.TABLE)]
    yield "a rule of others", [nft.add_rule(NFPROTO_IPV4, *chain, [expr.Counter(), expr.Accept()])]
    yield "an accept rule too many", [nft.add_rule(NFPROTO_IPV4, *chain, wanted.rules[0])]
    yield (
        "another hook",
        [
            nft.delete_table(NFPROTO_IPV4, rules.TABLE),
            nft.add_table(NFPROTO_IPV4, rules.TABLE),
            nft.add_chain(NFPROTO_IPV4, replace(wanted.chain, priority=nft.RAW + 1)),
            *(nft.add_rule(NFPROTO_IPV4, *chain, rule) for rule in wanted.rules),
        ],
    )
    yield "a flushed chain of the node's own", [delete_rules(NFPROTO_IPV4, "own")]
    yield "headers that nobody marks", [delete_rules(NFPROTO_IPV4, "marks")]
    yield "frames that nobody looks at", [nft.delete_table(NFPROTO_NETDEV, rules.TABLE)]
    if has_ipv6():
        yield "a flushed chain of IPv6", [delete_rules(NFPROTO_IPV6, rules.CHAIN)]
        yield "a deleted table of IPv6", [nft.delete_table(NFPROTO_IPV6, rules.TABLE)]


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in changes()])
def test_damage_is_seen_and_mended(netlink, cable, change):
    asked = of(*cable.sources)
    rules.install(netlink, guard(cable.index), asked)
    assert netlink.transaction(change) == []
    assert not rules.read(netlink, guard(cable.index)).rooted
    rules.install(netlink, guard(cable.index), asked)
    found = rules.read(netlink, guard(cable.index))
    assert (found.rooted, held(found.rules)) == (True, held(asked))


# What the kernel does to packets


def test_without_a_listener_packets_are_dropped_and_counted(netlink, cable):
    *queued, unknown = cable.sources
    wait_for(lambda: all(cable.arrives(source) for source in cable.sources))
    rules.install(netlink, guard(cable.index), of(*queued))
    for source in queued:
        assert not cable.arrives(source)
        assert not cable.arrives(source)
    assert not cable.arrives(unknown), "what no rule is about is dropped too, and neighbours are found all the same"
    for rule in rules.read(netlink, guard(cable.index)).rules:
        assert (rule.packets, rule.bytes) == (2, 2 * UDP_BYTES[rule.source.version])


def test_a_listener_that_ends_turns_links_off(netlink, cable):
    rules.install(netlink, guard(cable.index), of("10.0.0.2"))
    with listener(100) as queue:
        near = cable.send("10.0.0.2")
        assert len(packets_of(queue)) == 1
    with near, pytest.raises(TimeoutError):
        near.recv(100)
    assert not cable.arrives("10.0.0.2")


def test_neighbours_are_found_though_their_packets_are_dropped(netlink, cable):
    """The first datagram needs ARP or neighbour discovery in both directions; that it is counted proves them done."""
    rules.install(netlink, guard(cable.index), of(*cable.sources))
    for source in cable.sources:
        assert not cable.arrives(source)
    assert [rule.packets for rule in rules.read(netlink, guard(cable.index)).rules] == [1] * len(cable.sources)


def test_a_packet_waits_in_the_queue_of_its_source(netlink, cable):
    asked = of(*cable.sources)
    rules.install(netlink, guard(cable.index), asked)
    with listener(*(rule.queue for rule in asked)) as queue:
        for rule in asked:
            with cable.send(str(rule.source.network_address)) as near:
                ((number, waiting, _, length, _),) = packets_of(queue)
                assert (number, length) == (rule.queue, UDP_BYTES[rule.source.version])
                with pytest.raises(TimeoutError):
                    near.recv(100)
                queue.verdict(number, waiting, True)
                assert near.recv(100) == b"hello"


@pytest.mark.parametrize("traffic_class", [0x02, 0x01, 0xB9])
def test_a_packet_let_go_with_a_mark_says_that_it_met_congestion(netlink, cable, traffic_class):
    """The two bits of ECN change, those of DSCP stay, and the kernel still believes the checksums."""
    asked = of(*cable.sources)
    rules.install(netlink, guard(cable.index), asked)
    with listener(*(rule.queue for rule in asked)) as queue:
        for rule in asked:
            for marked in (True, False):
                with cable.send(str(rule.source.network_address), traffic_class=traffic_class) as near:
                    ((number, waiting, *_),) = packets_of(queue)
                    queue.send(accept_marked(number, waiting) if marked else verdict(number, waiting, True))
                    text, ancillary, _, _ = near.recvmsg(100, 100)
                assert text == b"hello"
                assert ancillary[0][2][0] == traffic_class | (3 if marked else 0)


def test_packets_that_come_by_another_interface_pass(netlink, cable):
    rules.install(netlink, guard(ELSEWHERE), of(*cable.sources))
    wait_for(lambda: all(cable.arrives(source) for source in cable.sources))


@pytest.mark.parametrize("hook", [nft.EGRESS, nft.INGRESS])
def test_frames_are_dropped_as_they_leave_or_where_the_kernel_cannot_as_they_come(cable, hook, monkeypatch):
    monkeypatch.setattr(nft_features, "_frames", [hook])
    with Nfnetlink() as netlink, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as near:
        near.settimeout(0.3)
        near.bind(("eth0", ETHERTYPE))
        assert cable.sends_frame(ETHERTYPE)
        assert len(near.recv(100)) == 60
        if hook == nft.EGRESS:
            with cable.at_the_far_end(), Nfnetlink() as other:
                rules.install(other, guard(cable.index), [])
        else:
            rules.install(netlink, guard(cable.index), [Rule(IPv4Network("10.0.0.2"), None)])
            assert rules.read(netlink, guard(cable.index)).rooted
            wait_for(lambda: cable.arrives("10.0.0.2"))
        with contextlib.suppress(OSError):  # the sender is told where it leaves
            cable.sends_frame(ETHERTYPE)
        with pytest.raises(TimeoutError):
            near.recv(100)


def test_where_the_kernel_shows_no_frames_there_is_no_chain_for_them(netlink, cable, monkeypatch):
    monkeypatch.setattr(nft_features, "_frames", [None])
    rules.install(netlink, guard(cable.index), of("10.0.0.2"))
    assert rules.read(netlink, guard(cable.index)).rooted
    assert not rules.sees_frames(netlink)
    assert list(netlink.dump(*nft.tables_request(NFPROTO_NETDEV))) == []


def test_the_first_of_two_rules_of_one_source_acts(netlink, cable):
    rules.install(netlink, guard(cable.index), [Rule(IPv4Network("10.0.0.2"), 1), Rule(IPv4Network("10.0.0.2"), 2)])
    assert not cable.arrives("10.0.0.2")
    assert [(rule.queue, rule.packets) for rule in rules.read(netlink, guard(cable.index)).rules] == [(1, 1), (2, 0)]


# Errors, other users, time


def test_what_the_kernel_refuses_is_told_in_words_and_undone(netlink, cable):
    rules.install(netlink, guard(cable.index), of("10.0.0.2"))
    assert netlink.transaction([nft.delete_table(NFPROTO_IPV4, rules.TABLE)]) == []
    with pytest.raises(OSError, match=r"^\[Errno 2\] send packets of 10.0.0.3/32 to queue 7: No such file") as error:
        rules.add(netlink, [Rule(IPv4Network("10.0.0.3"), 7), Rule(IPv4Network("10.0.0.4"), 8)])
    assert error.value.errno == errno.ENOENT
    assert rules.read(netlink, guard(cable.index)).rules == ()


def test_a_transaction_is_whole_or_not_at_all(netlink):
    good, bad = nft.add_table(NFPROTO_IPV4, "good"), nft.delete_table(NFPROTO_IPV4, "none")
    refusals = netlink.transaction([good, bad, bad])
    assert [(refusal.index, refusal.errno) for refusal in refusals] == [(1, errno.ENOENT), (2, errno.ENOENT)]
    assert list(netlink.dump(*nft.tables_request(NFPROTO_IPV4))) == []
    assert netlink.transaction([good]) == []
    assert [nft.read_table(body) for body in netlink.dump(*nft.tables_request(NFPROTO_IPV4))] == ["good"]


def test_a_subsystem_that_is_not_there_refuses_the_whole(netlink):
    (refusal,) = netlink.transaction([Request(200 << 8, 0, header(NFPROTO_IPV4))])
    assert refusal.index == WHOLE
    assert netlink.transaction([nft.add_table(NFPROTO_IPV4, "next")]) == [], "old answers do not confuse it"


def test_an_ordinary_user_has_rules_in_a_namespace_of_its_own():
    def work():
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        with Nfnetlink() as netlink:
            rules.install(netlink, guard(1, "lo"), of("10.0.0.2"))
            return rules.read(netlink, guard(1, "lo"))

    found = forked(work)
    assert (found.rooted, held(found.rules)) == (True, held(of("10.0.0.2")))


def test_without_the_right_the_answer_says_so(cable):
    def work():
        unshare(CLONE_NEWUSER)
        with Nfnetlink() as netlink:
            try:
                rules.install(netlink, guard(1, "lo"), of("10.0.0.2"))
            except OSError as problem:
                return problem.errno, problem.strerror
        return None

    code, told = forked(work)
    assert code == errno.EPERM
    assert told == "read nf_tables: Operation not permitted"


def test_a_node_of_a_large_mesh_takes_little_time(cable):
    asked = [Rule(ip_network(f"{net}{number}"), number) for net in ("10.0.1.", "fd00::1:") for number in range(1, 64)]
    asked = [rule for rule in asked if has_ipv6() or rule.source.version == 4]
    took = []
    with Nfnetlink() as netlink:
        for _ in range(5):
            start = time.process_time()
            rules.install(netlink, guard(cable.index), asked)
            found = rules.read(netlink, guard(cable.index))
            took.append(time.process_time() - start)
        assert (found.rooted, held(found.rules)) == (True, held(asked))
    assert min(took) < 0.1, "10 ms on the build machines"


def test_what_others_have_at_the_same_hook_is_not_touched(netlink, cable):
    assert netlink.transaction([nft.add_table(NFPROTO_IPV4, "others")]) == []
    rules.install(netlink, guard(cable.index), of("10.0.0.2"))
    rules.remove(netlink)
    assert [nft.read_table(body) for body in netlink.dump(*nft.tables_request(NFPROTO_IPV4))] == ["others"]
