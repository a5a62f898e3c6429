"""Finds the addresses of all nodes by their names, and which node this is."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final

from harness.agent.aside import aside
from harness.errors import UnavailableError
from harness.model.address import DEFAULT_IPV6, INTERFACE, Addressing
from harness.model.format import first_few

_SIOCGIFNETMASK: Final = 0x891B
_POLL_SECONDS: Final = 0.1
_TELL_SECONDS: Final = 10.0
_NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_CHECK_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 2.0
_GLANCE_SECONDS: Final = 0.25
_GLANCES: Final = 5
_ABSENT: Final = 2
"""A node is gone when its name has been unknown this many times in a row."""


@dataclass(frozen=True)
class NameAddresses:
    """The addresses of a name; ipv6 is None where the network has no IPv6."""

    ipv4: IPv4Address
    ipv6: IPv6Address | None


class Unanswered(Exception):
    """The name server gave no answer."""


LookUp = Callable[[str], NameAddresses | None]
"""Looks up a name, as ``look_up`` does."""


def look_up(name: str) -> NameAddresses | None:
    """A node's addresses; None while it does not run: Docker's DNS forgets a container that has ended.

    Raises:
        Unanswered: the machine or Docker is busy.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except socket.gaierror as problem:
        if problem.errno in _NO_SUCH_NAME:
            return None
        raise Unanswered(problem.strerror) from None
    fours = sorted(IPv4Address(text) for text in found if ":" not in text)
    sixes = sorted(IPv6Address(text) for text in found if ":" in text)
    if not fours:
        raise Unanswered("the name server returned no IPv4 address")
    return NameAddresses(fours[0], sixes[0] if sixes else None)


def find_all(
    names: Sequence[str],
    patience: float,
    tell: Callable[[str], None],
    *,
    ipv6: bool,
    swarm: bool = False,
    look: LookUp = look_up,
) -> list[NameAddresses]:
    """Wait until every node has an address.

    Args:
        names: of the nodes.
        patience: seconds.
        tell: logs a line.
        ipv6: whether the network has IPv6: then each node must have an IPv6 address too.
        swarm: whether Docker Swarm starts the nodes: then messages say how to ask it why one does not start.
        look: looks up a name.

    Raises:
        UnavailableError: nodes are missing after ``patience`` seconds, or one has ended meanwhile.
    """

    found: dict[str, NameAddresses] = {}
    began = logged = checked = time.monotonic()
    why = "; a manager of the swarm knows why: docker stack ps NAME --no-trunc" if swarm else ""
    while True:
        if time.monotonic() - checked > _CHECK_SECONDS:
            checked = time.monotonic()
            _require_all(found, look)
        for name in names:
            if name not in found and (place := _answer(look, name, None)) and (place.ipv6 or not ipv6):
                found[name] = place
        missing = [name for name in names if name not in found]
        if not missing:
            return [found[name] for name in names]
        now = time.monotonic()
        if now - began > patience:
            raise UnavailableError(
                f"these nodes did not start within {patience:.0f} s (START_TIMEOUT): {first_few(missing)}"
                + (why or "; check that NODES is the number of containers, and that their names resolve")
            )
        if now - logged > _TELL_SECONDS:
            logged = now
            tell(f"waiting for {first_few(missing)} to start ({now - began:.0f} s){why}")
        time.sleep(_POLL_SECONDS)


def _answer(look: LookUp, name: str, unanswered: NameAddresses | None) -> NameAddresses | None:
    """The addresses of a name; ``unanswered`` where the name server gives no answer."""
    try:
        return look(name)
    except Unanswered:
        return unanswered


def _require_all(found: Mapping[str, NameAddresses], look: LookUp) -> None:
    """Raise UnavailableError where one of these nodes has ended since it was found."""
    for name, place in found.items():
        if _answer(look, name, place) is None:
            raise UnavailableError(f"{name} ended before all nodes had started: its log says why")


def addressing_of(places: Sequence[NameAddresses]) -> Addressing:
    """The plan's addressing: the nodes' own addresses, in the subnets of our interface.

    Where nodes are in other subnets too, like pods on several machines, the subnets are widened until they hold all.

    Raises:
        UnavailableError: they would hold the name server too, and no node could reach it any more.
    """
    fours = tuple(place.ipv4 for place in places)
    sixes = tuple(place.ipv6 for place in places if place.ipv6 is not None)
    if len(sixes) < len(places):
        sixes = ()
    ipv4_net = IPv4Network((int(fours[0]), _ipv4_mask().bit_count()), strict=False)
    while not all(address in ipv4_net for address in fours):
        ipv4_net = ipv4_net.supernet()
    ipv6_net = IPv6Network((int(sixes[0]), ipv6_prefix() or 64), strict=False) if sixes else DEFAULT_IPV6
    while not all(address in ipv6_net for address in sixes):
        ipv6_net = ipv6_net.supernet()
    for net in (ipv4_net, ipv6_net):
        if inside := [server for server in _name_servers() if server.version == net.version and server in net]:
            raise UnavailableError(
                f"the name server {inside[0]} is in {net}, the smallest subnet that holds all nodes, where only"
                " nodes can be reached: give the nodes a subnet of their own"
            )
    return Addressing(ipv4_net, ipv6_net, fours, sixes)


def _name_servers(file: Path = Path("/etc/resolv.conf")) -> list[IPv4Address | IPv6Address]:
    words = [line.split() for line in file.read_text().splitlines()] if file.is_file() else []
    named = [line[1].partition("%")[0] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [ip_address(text) for text in named]


def is_ours(address: IPv4Address) -> bool:
    """Whether that is an address of this container."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
        return True


def own_rank(addressing: Addressing, size: int) -> int:
    """The rank of this node: the one whose address is ours. Raises UnavailableError."""
    for rank in range(size):
        if is_ours(addressing.ipv4(rank)):
            return rank
    raise UnavailableError(
        f"none of the {size} nodes has an address of this container: check NODES and the nodes' names"
    )


def _ipv4_mask() -> int:
    request = struct.pack("16s24x", INTERFACE.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFNETMASK, request)
        except OSError as problem:
            raise UnavailableError(
                f"{INTERFACE} has no IPv4 address ({problem.strerror}): nodes need one bridge network of their own"
            ) from None
    return int.from_bytes(answer[20:24], "big")


def ipv6_prefix() -> int | None:
    """The length of our interface's IPv6 prefix; None where it has no global address."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:  # no IPv6 on this machine
        return None
    for _, _, prefix, scope, _, name in map(str.split, lines):
        if name == INTERFACE and scope == "00":
            return int(prefix, 16)
    return None


def places(names: Sequence[str], ranks: Iterable[int]) -> dict[int, NameAddresses | None]:
    """The addresses of nodes now; None for a node that is gone. Nodes without an answer are left out."""
    found = {}
    for rank in ranks:
        with contextlib.suppress(Unanswered):
            found[rank] = look_up(names[rank])
    return found


async def watch(
    names: Sequence[str],
    ranks: Sequence[int],
    lose: Callable[[int], None],
    follow: Callable[[Mapping[int, NameAddresses]], None],
) -> None:
    """Look up nodes every two seconds, until cancelled.

    Args:
        names: host names of all nodes, by rank.
        ranks: of the nodes to look up.
        lose: called when one is gone.
        follow: called with the addresses of those that are there.
    """
    absent: dict[int, int] = {}
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        found = await aside(lambda: places(names, ranks))
        for rank, place in found.items():
            absent[rank] = 0 if place else absent.get(rank, 0) + 1
            if absent[rank] == _ABSENT:
                lose(rank)
        follow({rank: place for rank, place in found.items() if place})


async def just_gone(names: Sequence[str], ranks: Sequence[int]) -> list[int]:
    """The nodes that have just ended.

    A collective fails within milliseconds of a kill, but Docker forgets a name only when it has removed the container:
    so this looks for about a second.
    """
    for _ in range(_GLANCES):
        found = await aside(lambda: places(names, ranks))
        if gone := [rank for rank, place in found.items() if place is None]:
            return gone
        await asyncio.sleep(_GLANCE_SECONDS)
    return []


async def until_gone(names: Sequence[str], rank: int) -> None:
    """Wait until a node's container has ended."""
    while (await aside(lambda: places(names, (rank,)))).get(rank, True) is not None:
        await asyncio.sleep(_GLANCE_SECONDS)
