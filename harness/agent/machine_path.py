"""Measures the path between two machines, beside the links: round trip, clock offset, and the largest packet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Collection, Mapping
from ipaddress import IPv4Address
from statistics import median
from typing import Any, Final

from harness.agent.clocks import ClockExchange, clock_ahead
from harness.agent.protocol import LONGEST, Message, send
from harness.model.machines import Path

PINGS: Final = 20
_PAUSE: Final = 0.02
_PATIENCE: Final = 10.0
_TRIES: Final = 3
_WAIT: Final = 0.5
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3
"""linux/in.h: set DF, and ignore the path MTU that the kernel has cached."""
_HEADERS: Final = 28
"""Bytes of IPv4 and UDP."""


@contextlib.asynccontextmanager
async def _conversation(where: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to another agent. Raises OSError, TimeoutError."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(*where, limit=LONGEST), _PATIENCE)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: Message) -> dict[str, Any]:
    send(writer, message)
    answer = json.loads(await asyncio.wait_for(reader.readline(), _PATIENCE) or b"{}")
    if not isinstance(answer, dict) or "error" in answer or not answer:
        raise OSError(f"no answer to {message['do']}: {answer}")
    return answer


async def ask(where: tuple[str, int], message: Message) -> dict[str, Any]:
    """Ask another agent. Raises OSError, TimeoutError, ValueError."""
    async with _conversation(where) as (reader, writer):
        return await _asked(reader, writer, message)


async def _exchanges(where: tuple[str, int]) -> list[ClockExchange]:
    found = []
    async with _conversation(where) as (reader, writer):
        for _ in range(PINGS):
            began, sent = time.monotonic(), time.time()  # this order: a stall in between adds to the trip
            answer = await _asked(reader, writer, {"do": "time"})
            arrived = sent + time.monotonic() - began  # right even if our clock is set meanwhile
            found.append(ClockExchange(sent, float(answer["received"]), float(answer["answered"]), arrived))
            await asyncio.sleep(_PAUSE)
    return found


async def measure_path(own: str, where: tuple[str, int], mtu: Mapping[str, int]) -> Path:
    """Measure the path to another agent.

    Args:
        own: our address.
        where: its address, and its port for TCP and UDP.
        mtu: bytes of the packets to try, by the name of the network.

    Raises:
        OSError, TimeoutError, ValueError: it does not answer.
    """
    found = await _exchanges(where)
    ahead, uncertainty = clock_ahead(found)
    trips = [exchange.round_trip for exchange in found]
    passing = {size: await _passes(own, where, size) for size in set(mtu.values())}
    passes = {network: passing[size] for network, size in mtu.items()}
    return Path(ahead, uncertainty, max(0.0, min(trips)), median(trips), len(trips), passes)


def _unfragmented(address: str, port: int) -> socket.socket:
    """A socket for UDP packets that no router may fragment."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
    made.bind((address, port))
    return made


async def _passes(own: str, where: tuple[str, int], size: int) -> bool:
    """Whether an IP packet of that size comes back."""
    loop = asyncio.get_running_loop()
    with _unfragmented(own, 0) as packets:
        packets.connect(where)
        for _ in range(_TRIES):
            with contextlib.suppress(OSError, TimeoutError):
                await loop.sock_sendall(packets, bytes(size - _HEADERS))
                if len(await asyncio.wait_for(loop.sock_recv(packets, size), _WAIT)) == size - _HEADERS:
                    return True
    return False


class _Echo(asyncio.DatagramProtocol):
    def __init__(self, visitors: Collection[IPv4Address]) -> None:
        self._visitors = visitors
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None and IPv4Address(addr[0]) in self._visitors:
            self._transport.sendto(data, addr)


async def open_echo(where: tuple[str, int], visitors: Collection[IPv4Address]) -> asyncio.BaseTransport:
    """Send back what other agents send. Raises OSError."""
    others = frozenset(visitors) - {IPv4Address(where[0])}  # jobs in this container have our own address
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Echo(others), sock=_unfragmented(*where))
    return transport
