"""Rules by user id that keep jobs from addresses of the agents: agents are root, jobs are not.

Routing rules refuse with EACCES. The kernel skips them for a socket that is bound to an interface (SO_BINDTODEVICE
needs no privilege; net/ipv4/route.c: ip_route_output_key_hash_rcu), so nf_tables rules drop its packets. Both need
kernel 4.17.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Network
from typing import Final

from harness.linux.host import has_ipv6
from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, Nfnetlink
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request, Rtnetlink

_RTM_NEWRULE, _FR_ACT_PROHIBIT = 32, 8
_FIB_RULE_HDR: Final = struct.Struct("=BBBBBxxBI")
_FRA_DST, _FRA_PRIORITY, _FRA_UID_RANGE, _FRA_IP_PROTO, _FRA_DPORT_RANGE = 1, 6, 20, 22, 24
"""linux/fib_rules.h."""
_BEFORE_MAIN: Final = struct.pack("=I", 100)
_ALL_BUT_ROOT: Final = struct.pack("=II", 1, 2**32 - 2)


def reserve(port: int) -> str:
    """Let only root connect to a TCP port of other nodes, by IPv4; why that failed, or an empty text."""
    ports = struct.pack("=HH", port, port)
    is_tcp = expr.Payload(expr.NETWORK, 9, 1), expr.Compare(bytes([socket.IPPROTO_TCP]))
    to_port = expr.Payload(expr.TRANSPORT, 2, 2), expr.Compare(struct.pack(">H", port))
    tcp_port = attr(_FRA_IP_PROTO, bytes([socket.IPPROTO_TCP])) + attr(_FRA_DPORT_RANGE, ports)
    return _prohibit(0, tcp_port) or _drop(NFPROTO_IPV4, f"harness-port-{port}", (*is_tcp, *to_port))


def reserve_network(subnet: IPv4Network, interface: str) -> str:
    """Let only root send to a subnet and through an interface; why that failed, or an empty text."""
    leaves = expr.Meta(expr.OIF), expr.Compare(struct.pack("=I", socket.if_nametoindex(interface)))
    why = _prohibit(subnet.prefixlen, attr(_FRA_DST, subnet.network_address.packed))
    for family in (NFPROTO_IPV4, NFPROTO_IPV6) if has_ipv6() else (NFPROTO_IPV4,):
        why = why or _drop(family, f"harness-{interface}", leaves)
    return why


def _prohibit(prefix: int, what: bytes) -> str:
    body = _FIB_RULE_HDR.pack(socket.AF_INET, prefix, 0, 0, 0, _FR_ACT_PROHIBIT, 0)
    body += attr(_FRA_PRIORITY, _BEFORE_MAIN) + attr(_FRA_UID_RANGE, _ALL_BUT_ROOT) + what
    with Rtnetlink() as netlink:
        refusals = netlink.batch([Request(_RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body)])
    return refusals[0].text if refusals and refusals[0].errno != errno.EEXIST else ""


def _drop(family: int, table: str, what: tuple[expr.Expression, ...]) -> str:
    """Drop matching packets of all but root, by a table of its own; one that exists already is ours and complete."""
    chain = nft.Chain(table, "jobs", "filter", nft.OUTPUT, nft.RAW, expr.ACCEPT)
    rule = (*what, expr.Meta(expr.SKUID), expr.Compare(bytes(4), differs=True), expr.Drop())
    steps = nft.add_table(family, table), nft.add_chain(family, chain), nft.add_rule(family, table, "jobs", rule)
    try:
        with Nfnetlink() as netlink:
            refusals = netlink.transaction(steps)
    except OSError as problem:
        return f"nf_tables: {problem.strerror}"
    return f"nf_tables: {refusals[0].text}" if refusals and refusals[0].errno != errno.EEXIST else ""
