"""Agents on several machines measure the paths between these, here over loopback addresses."""

import asyncio
import contextlib
import time
import types
from ipaddress import IPv4Address, IPv4Network

import pytest

from harness.agent import machine_path, survey
from harness.agent.control_socket import open_control_port
from harness.agent.machine_path import measure_path, open_echo
from harness.agent.manage_network import PORT, ManageNetwork
from harness.agent.survey import Survey
from harness.model.machines import Machines

ADDRESSES = tuple(IPv4Address(f"127.0.0.{rank + 1}") for rank in range(4))
MANAGE = ManageNetwork(ADDRESSES, "lo", IPv4Network("127.0.0.0/8"))
MTU = {"links": 1400, "manage": 1450}


@contextlib.asynccontextmanager
async def agent(rank, machine, ahead=0.0):
    """An agent on a machine whose clock is that far ahead."""
    made = Survey(rank, machine, MANAGE, asyncio.ensure_future)

    def answer(message):
        found = made.answer(message)
        stamps = {name: found[name] + ahead for name in ("received", "answered") if name in found}
        return {**found, **stamps}

    where = str(ADDRESSES[rank]), PORT
    server = await open_control_port(answer, {}, where, ADDRESSES)
    echo = await open_echo(where, ADDRESSES)
    try:
        yield made
    finally:
        server.close()
        echo.close()


@pytest.fixture(autouse=True)
def interfaces(monkeypatch):
    monkeypatch.setattr(survey, "_mtu", lambda interface: MTU["manage" if interface == "lo" else "links"])
    monkeypatch.setattr(survey, "_POLL_SECONDS", 0.05)


async def surveyed(of_rank0, rounds=1):
    heard = []
    running = asyncio.ensure_future(of_rank0.run(heard.append))
    while len(heard) < rounds:
        await asyncio.sleep(0.01)
        if running.done():
            running.result()
    running.cancel()
    return heard[-1]


def test_rank_0_learns_who_is_where_how_far_clocks_are_apart_and_what_is_between_all_machines():
    async def scene():
        async with (
            agent(0, "a") as first,
            agent(1, "b", ahead=7200.0),
            agent(2, "a"),
            agent(3, "c", ahead=-0.5),
        ):
            found = await asyncio.wait_for(surveyed(first), 20)
            assert found.of_rank == ["a", "b", "a", "c"]
            assert set(found.paths) == {("a", "b"), ("a", "c"), ("b", "c")}, "the lowest rank of a machine measures"
            for pair, ahead in (((0, 1), 7200.0), ((2, 3), -0.5)):
                path = found.path(*pair)
                assert abs(path.ahead - ahead) <= path.uncertainty < 0.1
                assert 0 < path.rtt <= path.rtt_median < 0.1
                assert path.pings == 20
                assert path.passes == {"links": True, "manage": True}
            assert found.mtu == dict.fromkeys(range(4), MTU)
            assert Machines.from_json(first.answer({"do": "machines"})) == found

    asyncio.run(scene())


def test_a_clock_that_is_set_back_meanwhile_makes_no_clock_wrong(monkeypatch):
    """An answer that seems to come before its request would count as the quickest."""
    reads, real = [], time.time

    def set_back():
        reads.append(1)
        return real() - (3600.0 if len(reads) > 11 else 0.0)

    monkeypatch.setattr(machine_path.time, "time", set_back)

    async def scene():
        async with agent(1, "b"):
            monkeypatch.setattr(survey, "time", types.SimpleNamespace(time=real))
            return await measure_path("127.0.0.1", ("127.0.0.2", PORT), MTU)

    path = asyncio.run(scene())
    assert min(abs(path.ahead), abs(path.ahead - 3600.0)) <= path.uncertainty < 0.1
    assert path.rtt > 0


def test_a_machine_that_stalls_while_it_reads_its_clock_makes_no_clock_wrong(monkeypatch):
    """The trip must not seem shorter than it was: half of it is the uncertainty."""
    real = time.time

    def stall():
        read = real()
        time.sleep(0.003)
        return read

    monkeypatch.setattr(machine_path.time, "time", stall)

    async def scene():
        async with agent(1, "b"):
            monkeypatch.setattr(survey, "time", types.SimpleNamespace(time=real))
            return await measure_path("127.0.0.1", ("127.0.0.2", PORT), MTU)

    path = asyncio.run(scene())
    assert abs(path.ahead) <= path.uncertainty < 0.1


def test_an_agent_that_is_away_is_asked_again_a_minute_later(monkeypatch):
    monkeypatch.setattr(survey, "EVERY_SECONDS", 0.05)

    async def scene():
        async with agent(0, "a") as first:
            found = await asyncio.wait_for(surveyed(first), 20)
            assert found.of_rank == ["a", "", "", ""]
            assert found.path(0, 1) is None
            async with agent(1, "b"):
                found = await asyncio.wait_for(surveyed(first), 20)
                assert found.path(0, 1) is not None
            assert (await asyncio.wait_for(surveyed(first), 20)).path(0, 1) is not None, "what was known stays"

    asyncio.run(scene())


def test_a_packet_that_is_too_large_for_the_path_does_not_pass():
    async def scene():
        async with agent(1, "b"):
            return await measure_path("127.0.0.1", ("127.0.0.2", PORT), {"links": 1450, "manage": 65_536})

    assert asyncio.run(scene()).passes == {"links": True, "manage": False}


def test_strangers_get_no_echo():
    async def scene():
        echo = await open_echo(("127.0.0.2", PORT), [IPv4Address("127.0.0.9")])
        async with agent(0, "a"):
            server = await open_control_port(
                lambda _: {"received": 0.0, "answered": 0.0}, {}, ("127.0.0.2", PORT), ADDRESSES
            )
            found = await measure_path("127.0.0.1", ("127.0.0.2", PORT), {"links": 1000})
            server.close()
        echo.close()
        return found

    assert asyncio.run(scene()).passes == {"links": False}
