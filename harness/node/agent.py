"""What every container runs: shapes its own links, waits for the other nodes, then runs the job.

``harness-node [CMD ARG...]``: with a program it ends when that has ended on all nodes, with the exit code of the rank
that failed first; without one it stays until it is stopped. What the network is like stands in the environment (see
settings.py). It is process 1 of its container, and the only one with privileges.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from harness.engine.capability import choose_engine, in_place_features
from harness.engine.make import make_engine
from harness.errors import HarnessError, InputError, NodeError
from harness.linux import host
from harness.netlink.sockdiag import SockDiag
from harness.node import peers
from harness.node.door import open_door
from harness.node.edits import Edits
from harness.node.hub import Hub
from harness.node.job import Job, make_run_folder, user_of
from harness.node.letters import Letter
from harness.node.links import Links
from harness.node.member import Member
from harness.node.roll import GONE, Roll
from harness.node.settings import Settings
from harness.plan import NetworkPlan
from harness.torchrun import environment

READY: Final = Path("/run/harness/ready")
"""Is there while the node is shaped and all nodes have been: what the health check looks at."""
STARTED_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 2.0
_ABSENT: Final = 2
"""A node whose name is unknown so many times in a row is gone."""
_POLL_SECONDS: Final = 0.25
_LEAVE_SECONDS: Final = 30.0
_LOST_GRACE: Final = 5.0
"""How long a job has to end by itself where a node is gone, in seconds: its collectives fail at once."""
_HOLD_SECONDS: Final = 60.0


def say(text: str) -> None:
    """A line of the log."""
    with contextlib.suppress(OSError):
        os.write(2, f"harness: {text}\n".encode())


class Agent:
    """One node, from the moment at which its links are shaped.

    Args:
        settings: what it was told.
        links: its own, shaped.
        names: host names of all nodes, by rank.
        digest: of the plan, see _digest.
    """

    def __init__(self, settings: Settings, links: Links, names: list[str], digest: str) -> None:
        self._settings, self._links, self._names = settings, links, names
        self._edits = Edits()
        self._phase = "shaped"
        self._job: Job | None = None
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._final: int | None = None
        self._held = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._hub: Hub | None = None
        self._member: Member | None = None
        if links.rank:
            self._member = Member(links.rank, digest, self._edits, self._take, self._where, say)
        else:
            run = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            self._hub = Hub(Roll(links.plan.size, settings.stops), digest, self._edits, self._take, run, say)

    async def run(self) -> int:
        """Until the network or its job has ended; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._quit, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self._quit, 128 + signal.SIGINT)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        door = await open_door(self._answer, self._left)
        self._spawn(self._look_after())
        self._spawn(self._watch_names())
        if self._hub:
            self._spawn(self._hub.serve(self._where()))
            self._hub.here()
        elif self._member:
            self._spawn(self._member.stay())
        try:
            return await self._end
        finally:
            READY.unlink(missing_ok=True)
            door.close()
            if self._job is not None and self._job.pid is not None:
                self._job.stop()
                await self._job.ended()
            await asyncio.sleep(0)  # what was written to other nodes goes out
            for task in self._tasks:
                task.cancel()

    # --- what other nodes say ------------------------------------------------------------------------------------

    def _take(self, letter: Letter) -> None:
        rank = self._links.rank
        match letter["do"]:
            case "edits":
                self._merge(letter["edits"])
            case "addresses":
                self._move(letter["ipv4"], letter["ipv6"])
            case "go":
                self._go(letter["run"])
            case "lost" if letter["rank"] != rank:
                self._lost(letter["rank"])
            case "back" if letter["rank"] != rank:
                say(f"rank {letter['rank']} is back")
            case "stop":
                self._stop(letter["rank"], letter["code"])
            case "end":
                self._finish(int(letter["code"]))

    def _go(self, run: str) -> None:
        if self._phase != "shaped":
            return
        self._phase = "ready"
        READY.parent.mkdir(parents=True, exist_ok=True)
        READY.touch()
        if self._links.rank == 0:
            plan = self._links.plan
            say(
                f"{plan.size} nodes ready: {plan.topology}, profile {plan.profile}, seed {plan.seed},"
                f" {len(plan.edges)} directed edges made by {self._links.engine.name}"
            )
        if self._settings.job:
            self._phase = "running"
            self._spawn(self._run_job(run))

    async def _run_job(self, run: str) -> None:
        links, settings = self._links, self._settings
        base = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        folder = make_run_folder(run)
        if folder is not None:
            base["HARNESS_RUN_DIR"] = str(folder)
        env = environment(links.plan, links.rank, {**base, "HOME": "/tmp"}, settings.master_port)
        self._job = Job(links.rank, settings.job, env, os.getcwd())
        code = await self._job.run()
        self._phase = "done"
        if self._hub:
            self._hub.done(code)
        elif self._member:
            self._member.done(code)
            if not self._member.connected and await asyncio.to_thread(peers.look_up, self._names[0]) is None:
                self._finish(code or GONE)

    def _stop(self, rank: int, code: int) -> None:
        if rank == self._links.rank:
            say(f"rank {rank} failed first (exit code {code})")
        elif self._job is not None:
            self._job.stop(_LOST_GRACE if code == GONE else 0.0)

    def _finish(self, code: int) -> None:
        """The job has ended on all nodes. Rank 0 leaves once all know, and the others when it has left: until then
        they pass on what nodes say to each other."""
        if self._final is None:
            self._final = code
            self._spawn(self._leave())

    async def _leave(self) -> None:
        deadline = time.monotonic() + _LEAVE_SECONDS
        if self._member:
            self._member.share({"do": "bye"})
        while time.monotonic() < deadline:
            if self._hub and not self._hub.waited_for:
                break
            if self._member and await asyncio.to_thread(peers.look_up, self._names[0]) is None:
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._quit(self._final or 0)

    def _quit(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code if self._final is None else self._final)

    # --- changes of the links ------------------------------------------------------------------------------------

    def _merge(self, letters: list[dict[str, Any]]) -> None:
        links = self._links
        before = links.plan.max_segments
        taken = self._edits.merge(letters)
        if not taken:
            return
        links.plan = links.plan.changed(taken)
        if before != links.plan.max_segments or any(links.engine.maker(e.pair) == links.rank for e in taken):
            try:
                links.apply()
            except HarnessError as error:
                say(str(error))

    def _answer(self, letter: Letter) -> Mapping[str, Any]:
        """What the command line outside is told. Raises HarnessError."""
        links = self._links
        match letter["do"]:
            case "state":
                return self._state(bool(letter.get("plan")))
            case "observe":
                return links.observe().to_json()
            case "edits" | "apply":
                taken = self._edits.merge(letter["edits"])
                links.plan = links.plan.changed(taken)
                changes = {"do": "edits", "edits": self._edits.to_json(edge.pair for edge in taken)}
                if self._hub:
                    self._hub.share(changes)
                elif self._member:
                    self._member.share(changes)
                return links.apply(letter["touched"]).to_json() if letter["do"] == "apply" else {}
            case "hold" | "keep":
                self._held = True
                return {}
        raise InputError(f"an agent knows no {letter['do']!r}")

    def _state(self, with_plan: bool) -> dict[str, Any]:
        state: dict[str, Any] = {
            "rank": self._links.rank,
            "phase": self._phase,
            "engine": self._links.engine.name,
            "transient": self._settings.transient,
            "user": ":".join(map(str, user_of())),
            "gone": self._hub.gone if self._hub else [],
            "missing": self._hub.missing if self._hub else [],
        }
        return {**state, "plan": self._links.plan.to_json()} if with_plan else state

    def _left(self) -> None:
        say("the command that made this network has ended")
        self._quit(0)

    # --- nodes that go and come ----------------------------------------------------------------------------------

    def _where(self) -> str:
        return str(self._links.plan.addressing.ipv4(0))

    async def _watch_names(self) -> None:
        """Docker's DNS forgets a container that has ended, and not one that is paused or cut off."""
        watched = range(1, self._links.plan.size) if self._hub else (0,)
        absent: dict[int, int] = {}
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            places = await asyncio.to_thread(lambda: {rank: peers.look_up(self._names[rank]) for rank in watched})
            for rank, place in places.items():
                absent[rank] = 0 if place else absent.get(rank, 0) + 1
                if absent[rank] == _ABSENT:
                    self._lose(rank)
            if self._settings.plan is None and self._final is None:
                self._follow({rank: place for rank, place in places.items() if place})

    def _lose(self, rank: int) -> None:
        if self._final is not None:
            return
        if self._hub:
            self._hub.lose(rank)
        elif self._member:
            self._member.drop()
            self._lost(rank)
            if self._phase == "done":
                self._finish(GONE)
            elif self._settings.stops:
                self._stop(rank, GONE)

    def _lost(self, rank: int) -> None:
        """A node is gone: connections with it end now, instead of after TCP's quarter of an hour."""
        say(f"rank {rank} is gone (its container ended)")
        net = self._links.plan.addressing
        try:
            with SockDiag() as sockets:
                for version in net.versions:
                    sockets.end_connections(net.address(rank, version))
        except OSError as problem:
            say(f"this kernel cannot end connections with it ({host.explain(problem)}): a job may wait for long")

    def _follow(self, places: Mapping[int, peers.Place]) -> None:
        """Take note of nodes that came back with another address."""
        net = self._links.plan.addressing
        fours, sixes = list(net.given4), list(net.given6)
        for rank, place in places.items():
            fours[rank] = place.ipv4
            if sixes and place.ipv6 is not None:
                sixes[rank] = place.ipv6
        if (tuple(fours), tuple(sixes)) != (net.given4, net.given6):
            letter = {"do": "addresses", "ipv4": list(map(str, fours)), "ipv6": list(map(str, sixes))}
            self._take(letter)
            if self._hub:
                self._hub.share(letter)

    def _move(self, ipv4: list[str], ipv6: list[str]) -> None:
        links = self._links
        given4, given6 = tuple(map(IPv4Address, ipv4)), tuple(map(IPv6Address, ipv6))
        moved = [
            rank for rank, (old, new) in enumerate(zip(links.plan.addressing.given4, given4, strict=True)) if old != new
        ]
        if links.rank in moved:  # who asked has an old answer: ours is what we have
            return
        links.plan = replace(links.plan, addressing=replace(links.plan.addressing, given4=given4, given6=given6))
        say(f"rank {', '.join(map(str, moved))} has another address now")
        try:
            links.shape()
        except HarnessError as error:
            say(str(error))

    # --- processes -----------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Raises NodeError where something has ended that the links need."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            self._reap()
            if failed := self._links.failed:
                raise NodeError(self._links.rank, "keep its links", failed)
            if self._settings.transient and not self._held and time.monotonic() - began > _HOLD_SECONDS:
                self._left()

    def _reap(self) -> None:
        """Take note of orphans that ended, which are left to process 1."""
        ours = {self._links.companion, self._job.pid if self._job else None}
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in ours:
                    return
                os.waitpid(found.si_pid, os.WNOHANG)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except HarnessError as error:
                say(str(error))
                self._quit(error.exit_code)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _digest(plan: NetworkPlan, engine: str) -> str:
    """Of all that nodes must agree on; not of addresses, which may have changed since a node asked for them."""
    facts = plan.to_json()
    return hashlib.sha256(json.dumps([facts["edges"], facts["topology"], plan.size, engine]).encode()).hexdigest()


def prepare(settings: Settings) -> tuple[Links, list[str]]:
    """Find the other nodes, plan, and shape this node's links. Raises HarnessError."""
    size = settings.plan.size if settings.plan else settings.options.nodes or 1
    names = [settings.names.format(rank + 1) for rank in range(size)]
    plan = settings.plan
    if plan is None:
        settings.options.plan()  # what makes no sense is told before anybody is waited for
        plan = settings.options.plan(peers.addressing_of(peers.find_all(names, STARTED_SECONDS, say)))
    rank = peers.own_rank(plan.addressing, size)
    engine, told = choose_engine(settings.engine, in_place_features())
    if told and rank == 0:
        say(told)
    links = Links(plan, rank, make_engine(engine), settings.congestion_control)
    if rank == 0:
        for text in links.engine.beyond(plan.edges.values()):
            say(text)
    links.start()
    links.shape()
    return links, names


async def _serve(settings: Settings, links: Links, names: list[str], digest: str) -> int:
    return await Agent(settings, links, names, digest).run()


def main() -> int:
    """Run; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))  # process 1 has no default actions
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    READY.unlink(missing_ok=True)
    try:
        settings = Settings.read(os.environ, sys.argv[1:])
        links, names = prepare(settings)
        return asyncio.run(_serve(settings, links, names, _digest(links.plan, links.engine.name)))
    except HarnessError as error:
        say(str(error))
        return error.exit_code
    except OSError as problem:
        say(host.explain(problem))
        return HarnessError.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
