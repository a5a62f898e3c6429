"""The agent of one node, once its links are shaped: it meets the other agents and runs the job."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.agent import manage_network
from harness.agent.changes import Changes
from harness.agent.control_socket import open_control_port, open_control_socket
from harness.agent.coordinator import Coordinator
from harness.agent.discovery import NameAddresses, watch
from harness.agent.edits import Edits
from harness.agent.heartbeats import DAEMON_GONE, NAMELESS, until_daemon_is_gone
from harness.agent.job import GRACE_SECONDS, user_of
from harness.agent.lifecycle import GONE, Lifecycle, Membership
from harness.agent.links import NodeLinks
from harness.agent.log import say
from harness.agent.machine_lines import machine_lines
from harness.agent.machine_path import open_echo
from harness.agent.manage_network import ManageNetwork
from harness.agent.node_job import NodeJob
from harness.agent.protocol import Message
from harness.agent.recording_orders import RecordingOrders
from harness.agent.requests import Requests, signal_users
from harness.agent.results import PORT as RESULTS_PORT
from harness.agent.results import Results, send_results
from harness.agent.scenario_player import ScenarioPlayer, begun, stamp
from harness.agent.settings import Settings
from harness.agent.survey import Survey
from harness.agent.tasks import Tasks, reap_orphans
from harness.agent.worker import Worker
from harness.errors import NodeError
from harness.model.format import count
from harness.model.machines import FILE as MACHINES
from harness.model.machines import Machines

READY: Final = Path("/run/harness/ready")
"""The health check looks for this file: it exists while this node is shaped, from when all nodes have been."""
_LEAVE_SECONDS: Final = 30.0
"""How long a node waits for the others at the end, at most."""
_LOST_GRACE: Final = 5.0
"""Seconds for a job to end by itself after a node is gone: its collectives fail at once."""
_LOST_MACHINE_GRACE: Final = 2.0
"""The same after a machine is gone, which took seconds to notice: a collective with it would wait for ever."""
_HOLD_SECONDS: Final = 60.0
"""How long a transient node waits for the command that made it to send ``hold``."""


class Agent:
    """One node.

    Args:
        settings: from its environment.
        links: of this node, shaped.
        names: host names of all nodes, by rank.
        digest: of the plan as it was made.
        manage: the agents' own network; None: agents talk over the links.
        player: of the scenario, if there is one.
    """

    def __init__(
        self,
        settings: Settings,
        links: NodeLinks,
        names: Sequence[str],
        digest: str,
        manage: ManageNetwork | None = None,
        player: ScenarioPlayer | None = None,
    ) -> None:
        self._settings, self._links, self._names, self._player = settings, links, names, player
        self._manage = manage
        self._phase = "shaped"
        self._failed_rank: int | None = None
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._final: int | None = None
        """The exit code of the job on all nodes, once it is known."""
        self._running: asyncio.Task[None] | None = None
        self._tasks = Tasks(self._quit)
        edits = Edits()
        self._changes = Changes(links, edits)
        self._membership = self._make_membership(edits, digest)
        self._job = NodeJob(settings, links, player, self._membership.away, self._tasks.spawn)
        self._orders = RecordingOrders(links, self._tasks.spawn)
        self._survey = Survey(links.rank, settings.machine, manage, self._tasks.spawn) if manage else None
        self._surveyed: Machines | None = None
        self._results = Results(manage.addresses, lambda: self._job.folder, user_of()) if manage else None
        self._requests = Requests(
            links, self._changes, self._membership, self._orders, self._job, self._begin, manage, self._survey
        )

    def _make_membership(self, edits: Edits, digest: str) -> Membership:
        rank, names, beats = self._links.rank, self._names, self._manage is not None
        stops = self._settings.stops and bool(self._settings.job)  # without a job, nodes that were away may come back
        if rank:
            return Worker(rank, digest, edits, self._take, self._address, names, stops, say, beats=beats)
        run = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        lifecycle = Lifecycle(self._links.plan.size, stops)
        return Coordinator(lifecycle, digest, edits, self._take, self._address, names, run, say, beats=beats)

    async def run(self) -> int:
        """Run until the network or its job has ended; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopped, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self._stopped, 128 + signal.SIGINT)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        controls = await self._open_controls()
        self._tasks.spawn(self._look_after())
        self._tasks.spawn(watch(self._names, self._membership.watches, self._lose, self._follow))
        self._tasks.spawn(self._membership.serve())
        try:
            return await self._end
        finally:
            READY.unlink(missing_ok=True)
            if self._player is not None:
                await asyncio.to_thread(self._player.end)
            for control in controls:
                control.close()
            if self._job.program is not None and self._running is not None:
                self._job.program.stop()
                await asyncio.wait([self._running], timeout=2 * GRACE_SECONDS)
            if self._end.done() and not self._end.cancelled():
                self._job.end_record(self._end.result(), self._failed_rank)
            self._orders.end()
            self._tasks.cancel()

    async def _open_controls(self) -> list[asyncio.Server | asyncio.BaseTransport]:
        answer = self._requests.answer
        on_leaving: Mapping[str, Callable[[], None]] = {
            "hold": self._left,
            "pause": lambda: signal_users(signal.SIGCONT),
        }
        controls: list[asyncio.Server | asyncio.BaseTransport] = [await open_control_socket(answer, on_leaving)]
        if self._manage is not None:
            own = self._address(self._links.rank), manage_network.PORT
            controls.append(await open_control_port(answer, on_leaving, own, self._manage.addresses))
            controls.append(await open_echo(own, self._manage.addresses))
            if self._results is not None and self._links.rank == 0:
                controls.append(await self._results.open((own[0], RESULTS_PORT)))
            self._tasks.spawn(self._watch_daemon())
        return controls

    def _address(self, rank: int = 0) -> str:
        """The address of a rank's agent."""
        return self._manage.address(rank) if self._manage else str(self._links.plan.addressing.ipv4(rank))

    # --- messages of other nodes -----------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        rank = self._links.rank
        match message["do"]:
            case "edits":
                self._changes.merge(message)
            case "addresses":
                self._changes.move(message["ipv4"], message["ipv6"])
            case "go":
                self._go(message["run"], begun(message["start"]))
            case "lost" if message["rank"] != rank:
                say(f"rank {message['rank']} is gone: {message.get('why', 'its container has ended')}")
                self._changes.cut(message["rank"])
            case "back" if message["rank"] != rank:
                say(f"rank {message['rank']} is back")
            case "stop":
                self._stop(message["rank"], message["code"])
            case "end" if self._final is None:
                self._final = int(message["code"])
                self._tasks.spawn(self._leave())

    def _begin(self) -> None:
        """The command that made the network says that all nodes are shaped."""
        self._go("", begun(stamp()))

    def _go(self, run: str, start: Mapping[str, float]) -> None:
        """All nodes are shaped: the job starts, if there is one."""
        if self._phase != "shaped":
            return
        self._phase = "ready"
        READY.parent.mkdir(parents=True, exist_ok=True)
        READY.touch()
        if self._links.rank == 0:
            plan = self._links.plan
            say(
                f"{count(plan.size, 'node')} ready: {plan.topology}, profile {plan.profile}, seed {plan.seed},"
                f" {len(plan.edges)} directed edges, engine {self._links.engine.name}"
            )
            if self._survey is not None:
                self._tasks.spawn(self._survey.run(self._note_machines))
        if self._settings.job:
            self._phase = "running"
            self._running = self._tasks.spawn(self._run_job(run, start))
        elif self._player is not None:
            self._player.begin(self._links.rank, start, None, None)

    async def _run_job(self, run: str, start: Mapping[str, float]) -> None:
        if self._phase != "running":  # it was stopped before it could start
            return
        code = await self._job.run(run, start)
        self._phase = "done"
        await self._membership.done(code)

    def _note_machines(self, machines: Machines) -> None:
        """Log what is new about the machines, and write what is known of them to the run folder."""
        for line in machine_lines(machines, self._links.plan, self._surveyed):
            say(line)
        self._surveyed = machines
        self._job.write(MACHINES, machines.to_json())

    def _stop(self, rank: int, code: int) -> None:
        """A rank has failed first, or is gone: stop the job here."""
        self._failed_rank = rank
        ours, failed = rank == self._links.rank, code != GONE and not self._end.done()
        sees_others = self._manage is not None and self._links.rank == 0  # containers of several machines log apart
        if failed and (ours or sees_others):
            say(f"rank {rank} failed first (exit code {code})")
        if ours and failed:
            return
        if self._job.program is not None:
            grace = _LOST_MACHINE_GRACE if self._manage else _LOST_GRACE
            self._job.program.stop(grace if code == GONE else 0.0)
        elif self._settings.job and self._phase != "done":  # it has not started, and will not
            self._phase = "done"
            self._tasks.spawn(self._membership.done(128 + signal.SIGTERM))

    # --- the end ---------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Bring results to rank 0 where machines differ, and end when no other node needs this one."""
        folder, code = self._job.folder, self._final
        if self._manage and self._links.rank and not self._membership.alone and folder is not None and code is not None:
            self._job.end_record(code, self._failed_rank)
            await send_results(folder, (self._address(0), RESULTS_PORT), user_of(), say)
        leaving = asyncio.ensure_future(self._membership.leave())
        while not (await asyncio.wait([leaving], timeout=_LEAVE_SECONDS))[0]:
            if self._results is None or not self._results.busy:
                leaving.cancel()
                break
        if self._results is not None and self._links.rank == 0 and folder is not None:
            self._results.log_summary(self._links.plan.size, self._membership.gone)
        self._quit(0)

    def _stopped(self, code: int) -> None:
        """A signal stops this container."""
        self._quit(code)
        if self._phase == "running":
            self._membership.stopped(code)

    def _left(self) -> None:
        say("the command that made this network has ended")
        self._quit(0)

    def _quit(self, code: int) -> None:
        """End with this exit code, or with the job's if that is known."""
        if not self._end.done():
            self._end.set_result(code if self._final is None else self._final)

    # --- what this node watches ------------------------------------------------------------------------------------

    def _lose(self, rank: int) -> None:
        self._membership.lose(rank, NAMELESS if self._manage else "")

    def _follow(self, places: Mapping[int, NameAddresses]) -> None:
        if self._settings.plan is None and self._final is None and (message := self._changes.moved(places)):
            self._take(message)
            self._membership.share(message)

    async def _watch_daemon(self) -> None:
        await until_daemon_is_gone(self._settings.manage_names[self._links.rank])
        if self._final is None:
            say("this machine's Docker daemon does not answer, so this container ends: see the daemon's log there")
            self._membership.give_up(DAEMON_GONE)
            self._quit(GONE)

    async def _look_after(self) -> None:
        """Raises NodeError when a process that the links need has ended."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            self._reap()
            if failed := self._links.failed:
                raise NodeError(self._links.rank, "keep its links", failed)
            if self._settings.transient and not self._requests.held and time.monotonic() - began > _HOLD_SECONDS:
                self._left()

    def _reap(self) -> None:
        program = self._job.program
        player = self._player.pid if self._player else None
        reap_orphans({self._links.supervisor, program.pid if program else None, player})
