"""The agent of one node, from the moment at which its links are shaped: it meets the others and runs the job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.agent import manage_network
from harness.agent.changes import Changes
from harness.agent.control_socket import open_control_port, open_control_socket
from harness.agent.coordinator import Coordinator
from harness.agent.discovery import Place, watch
from harness.agent.edits import Edits, fingerprint
from harness.agent.heartbeats import DAEMON_GONE, NAMELESS, until_daemon_is_gone
from harness.agent.job import GRACE_SECONDS, make_run_folder, make_steps, user_of
from harness.agent.lifecycle import GONE, Lifecycle, Membership
from harness.agent.links import NodeLinks
from harness.agent.log import say
from harness.agent.machine_lines import machine_lines
from harness.agent.machine_path import open_echo
from harness.agent.manage_network import ManageNetwork
from harness.agent.own_job import OwnJob
from harness.agent.protocol import Message
from harness.agent.recording_orders import RecordingOrders
from harness.agent.results import PORT as RESULTS_PORT
from harness.agent.results import Results, send_results
from harness.agent.run_recorder import RunRecorder
from harness.agent.scenario_player import ScenarioPlayer, begun, stamp
from harness.agent.settings import Settings
from harness.agent.survey import Survey
from harness.agent.worker import Worker
from harness.errors import HarnessError, InputError, NodeError
from harness.linux import host
from harness.linux.programs import signal_programs
from harness.model.collectives_hook import RUN_DIR, collectives_environment
from harness.model.format import count
from harness.model.machines import FILE as MACHINES
from harness.model.machines import Machines
from harness.model.torchrun import STEP_FILE, environment

READY: Final = Path("/run/harness/ready")
"""Is there while the node is shaped and all nodes have been: what the health check looks at."""
_LEAVE_SECONDS: Final = 30.0
"""How long a node waits at most for the others at the end."""
_LOST_GRACE: Final = 5.0
"""How long a job has to end by itself where a node is gone, in seconds: its collectives fail at once."""
_LOST_MACHINE_GRACE: Final = 2.0
"""The same where that took seconds to notice: a collective with a machine that is gone waits for ever."""
_HOLD_SECONDS: Final = 60.0


class Agent:
    """One node.

    Args:
        settings: from its environment.
        links: its own, shaped.
        names: host names of all nodes, by rank.
        digest: of the plan as it was made.
        manage: the network by which agents talk; None: the links.
        player: of a scenario.
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
        self._survey = Survey(links.rank, settings.machine, manage, self._spawn) if manage else None
        self._surveyed: Machines | None = None
        self._folder: Path | None = None
        self._results = Results(manage.addresses, lambda: self._folder, user_of()) if manage else None
        edits = Edits()
        self._changes = Changes(links, edits)
        self._phase = "shaped"
        self._job: OwnJob | None = None
        self._recorder: RunRecorder | None = None
        self._recording: asyncio.Task[None] | None = None
        self._orders = RecordingOrders(links, self._spawn)
        self._failed_rank: int | None = None
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._final: int | None = None
        self._held = False
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._membership: Membership
        stops = settings.stops and bool(settings.job)  # without a job, a node that was away is welcome again
        if links.rank == 0:
            run = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            lifecycle = Lifecycle(links.plan.size, stops)
            self._membership = Coordinator(
                lifecycle, digest, edits, self._take, self._address, names, run, say, beats=manage is not None
            )
        else:
            self._membership = Worker(
                links.rank, digest, edits, self._take, self._address, names, stops, say, beats=manage is not None
            )

    async def run(self) -> int:
        """Until the network or its job has ended; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopped, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self._stopped, 128 + signal.SIGINT)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        on_leaving = {"hold": self._left, "pause": lambda: self._signal(signal.SIGCONT)}
        controls: list[asyncio.Server | asyncio.BaseTransport] = [await open_control_socket(self._answer, on_leaving)]
        if self._manage is not None:
            own = self._manage.address(self._links.rank), manage_network.PORT
            controls.append(await open_control_port(self._answer, on_leaving, own, self._manage.addresses))
            controls.append(await open_echo(own, self._manage.addresses))
            if self._results is not None and self._links.rank == 0:
                controls.append(await self._results.open((own[0], RESULTS_PORT)))
            self._spawn(self._watch_daemon())
        self._spawn(self._look_after())
        self._spawn(watch(self._names, self._membership.watches, self._lose, self._follow))
        self._spawn(self._membership.serve())
        try:
            return await self._end
        finally:
            READY.unlink(missing_ok=True)
            if self._player is not None:
                await asyncio.to_thread(self._player.end)
            for control in controls:
                control.close()
            if self._job is not None and self._running is not None:
                self._job.stop()
                await asyncio.wait([self._running], timeout=2 * GRACE_SECONDS)
            if self._recorder is not None and self._end.done() and not self._end.cancelled():
                self._recorder.end(self._end.result(), self._failed_rank)
            self._orders.end()
            for task in self._tasks:
                task.cancel()

    def _address(self, rank: int = 0) -> str:
        """Where its agent is reached."""
        return self._manage.address(rank) if self._manage else str(self._links.plan.addressing.ipv4(rank))

    # --- what other nodes say ------------------------------------------------------------------------------------

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
                self._spawn(self._leave())

    def _go(self, run: str, start: Mapping[str, float]) -> None:
        if self._phase != "shaped":
            return
        self._phase = "ready"
        READY.parent.mkdir(parents=True, exist_ok=True)
        READY.touch()
        if self._links.rank == 0:
            plan = self._links.plan
            say(
                f"{count(plan.size, 'node')} ready: {plan.topology}, profile {plan.profile}, seed {plan.seed},"
                f" {len(plan.edges)} directed edges made by {self._links.engine.name}"
            )
            if self._survey is not None:
                self._spawn(self._survey.run(self._note_machines))
        if self._settings.job:
            self._phase = "running"
            self._running = self._spawn(self._run_job(run, start))
        elif self._player is not None:
            self._player.begin(self._links.rank, start, None, None)

    async def _run_job(self, run: str, start: Mapping[str, float]) -> None:
        if self._phase != "running":  # stopped meanwhile
            return
        links, settings = self._links, self._settings
        base = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        folder = self._folder = make_run_folder(run)
        if folder is not None:
            base[RUN_DIR] = str(folder)
            base |= collectives_environment(base) if settings.collectives else {}
            self._recorder = RunRecorder(folder, links, settings.congestion_control, user_of(), settings.scenario)
            self._recording = self._spawn(self._recorder.run())
        if self._player is not None:
            steps = make_steps(folder) if folder else None
            base |= {STEP_FILE: str(steps)} if steps else {}
            self._player.begin(links.rank, start, folder, steps)
        env = environment(links.plan, links.rank, {**base, "HOME": "/tmp"}, settings.master_port, settings.job)
        self._job = OwnJob(links.rank, settings.job, env, self._membership.away)
        code = await self._job.run()
        self._phase = "done"
        await self._membership.done(code)

    def _note_machines(self, machines: Machines) -> None:
        """Log what is new of the machines, and write what is known of them to the run's folder."""
        for line in machine_lines(machines, self._links.plan, self._surveyed):
            say(line)
        self._surveyed = machines
        if self._folder is not None and self._recorder is not None:
            self._recorder.write(MACHINES, machines.to_json())

    def _stop(self, rank: int, code: int) -> None:
        self._failed_rank = rank
        ours, failed = rank == self._links.rank, code != GONE and not self._end.done()
        if failed and (
            ours or (self._manage is not None and self._links.rank == 0)
        ):  # there, each has a log of its own
            say(f"rank {rank} failed first (exit code {code})")
        if ours and failed:
            return
        if self._job is not None:
            grace = _LOST_MACHINE_GRACE if self._manage else _LOST_GRACE
            self._job.stop(grace if code == GONE else 0.0)
        elif self._settings.job and self._phase != "done":  # not started, and never will be
            self._phase = "done"
            self._spawn(self._membership.done(128 + signal.SIGTERM))

    async def _leave(self) -> None:
        if self._manage is not None and self._links.rank and not self._membership.alone and self._folder is not None:
            self._end_recording()
            await send_results(self._folder, (self._manage.address(0), RESULTS_PORT), user_of(), say)
        leaving = asyncio.ensure_future(self._membership.leave())
        while not (await asyncio.wait([leaving], timeout=_LEAVE_SECONDS))[0]:
            if self._results is None or not self._results.busy:
                leaving.cancel()
                break
        self._say_what_came()
        self._quit(0)

    def _say_what_came(self) -> None:
        if self._results is None or self._links.rank or self._folder is None:
            return
        if summary := self._results.summary(self._links.plan.size, self._membership.gone):
            say(summary)

    def _end_recording(self) -> None:
        if self._recorder is not None and self._recording is not None and self._final is not None:
            self._recording.cancel()
            self._recorder.end(self._final, self._failed_rank)
            self._recorder = None

    def _stopped(self, code: int) -> None:
        """Somebody stops our container."""
        self._quit(code)
        if self._phase == "running":
            self._membership.stopped(code)

    def _quit(self, code: int) -> None:
        """End, with that exit code where the job's is not known."""
        if not self._end.done():
            self._end.set_result(code if self._final is None else self._final)

    def _lose(self, rank: int) -> None:
        if self._final is None:
            self._membership.lose(rank, NAMELESS if self._manage else "")

    async def _watch_daemon(self) -> None:
        await until_daemon_is_gone(self._settings.manage_names[self._links.rank])
        if self._final is None:
            say("this machine's Docker daemon does not answer, so this container ends: see the daemon's log there")
            self._membership.give_up(DAEMON_GONE)
            self._quit(GONE)

    def _follow(self, places: Mapping[int, Place]) -> None:
        if self._settings.plan is None and self._final is None and (message := self._changes.moved(places)):
            self._take(message)
            self._membership.share(message)

    # --- what the command line outside says ------------------------------------------------------------------------

    def _answer(self, message: Message) -> Mapping[str, Any]:
        """Raises HarnessError."""
        match message["do"]:
            case "state":
                return self._state(bool(message.get("plan")), message.get("known"))
            case "time" | "machine" | "machines" if self._survey is not None:
                return self._survey.answer(message)
            case "machines":
                return Machines([]).to_json()
            case "where":
                return self._where(int(message["rank"]))
            case "observe":
                return self._links.observe().to_json()
            case "edits" | "apply":
                reading, news = self._changes.command(message)
                self._membership.share(news, message.get("asked", ()))
                return reading.to_json() if reading else {}
            case "play":
                reading = self._changes.play(message)
                return reading.to_json() if reading else {}
            case "record" | "recorded":
                return self._orders.answer(message)
            case "kill":
                if self._job is not None:
                    self._job.will_be_killed()
                self._signal(signal.SIGKILL)
                return {}
            case "restart":
                if self._job is not None:
                    self._job.restart()
                return {}
            case "pause" | "resume":
                self._signal(signal.SIGSTOP if message["do"] == "pause" else signal.SIGCONT)
                return {}
            case "hold":
                self._held = True
                return {}
            case "begin":  # who made the network knows that all nodes are shaped
                self._go("", begun(stamp()))
                return {}
        raise InputError(f"the agent has no request {message['do']!r}")

    def _state(self, with_plan: bool, known: str | None) -> dict[str, Any]:
        """What a command asks first. The plan is left out where the command sent the fingerprint of this one."""
        state = {"engine": self._links.engine.name, "user": ":".join(map(str, user_of()))}
        plan = self._links.plan.to_json() if with_plan else None
        return state if plan is None or fingerprint(plan) == known else {**state, "plan": plan}

    def _where(self, rank: int) -> dict[str, Any]:
        """The address of that rank's agent on the agents' network. Raises InputError."""
        if self._manage is None or not 0 <= rank < self._links.plan.size:
            raise InputError(f"the agents' network (HARNESS_MANAGE) has no rank {rank}")
        return {"address": self._manage.address(rank)}

    def _left(self) -> None:
        say("the command that made this network has ended")
        self._quit(0)

    def _signal(self, number: signal.Signals) -> None:
        """To all programs of users in this container."""
        signal_programs("/proc", number, lambda folder: os.stat(folder).st_uid != 0)

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
        player = self._player.pid if self._player else None
        ours = {self._links.supervisor, self._job.pid if self._job else None, player}
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in ours:
                    return
                os.waitpid(found.si_pid, os.WNOHANG)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except HarnessError as error:
                say(str(error))
                self._quit(error.exit_code)
            except OSError as problem:
                say(host.explain(problem))
                self._quit(HarnessError.exit_code)
            except Exception:  # a node that is only half there helps nobody
                say(traceback.format_exc())
                self._quit(HarnessError.exit_code)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
