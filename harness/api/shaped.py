"""A shaped network as Python programs and tests use it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Never, Self

from harness.api.arguments import StrPath, whole, written
from harness.api.failures import warn
from harness.api.jobs import NetworkJobs
from harness.errors import InputError
from harness.networks.network import Network

if TYPE_CHECKING:
    from harness.api.capture import PacketCapture
    from harness.api.play import Play
    from harness.api.record import NetworkRecord
    from harness.scenario.step_file import JobSteps
    from harness.traffic.manager import CrossTraffic

SCENARIO: Final = "a scenario, e.g. 'flaky-wan', or a file"


class ShapedNetwork(NetworkJobs):
    """A network that is up: from ``harness.network(...)`` or the fixture ``shaped_network``."""

    def __init__(self, network: Network, record: NetworkRecord | None = None, steps: JobSteps | None = None) -> None:
        super().__init__(network, record, steps)
        self._traffic: list[CrossTraffic] = []
        self._captures: list[PacketCapture] = []
        self._gone = False
        """Whether the network was removed; ``_up`` is False already while it is being removed."""

    def __repr__(self) -> str:
        state = "" if self._up else ", down"
        return f"<ShapedNetwork {self.name}: {self.size} nodes, {self.plan.topology}, {self.plan.profile}{state}>"

    @property
    def run_folder(self) -> Path | None:
        """The folder of the record; None: nothing is recorded."""
        return self._record.folder if self._record else None

    def __reduce__(self) -> Never:
        raise TypeError(
            "a ShapedNetwork cannot be sent to its own nodes: pass what they need of it (an address, the plan)"
        )

    def traffic(
        self,
        ends: str,
        *,
        rate: str | None = None,
        on: str | None = None,
        off: str | None = None,
        flows: int | None = None,
        congestion_control: str | None = None,
        seconds: float | None = None,
        both: bool = False,
    ) -> CrossTraffic:
        """Start cross traffic, which ends by its ``stop()``, with its ``with`` block or with the network.

        Args:
            ends: ``"A-B"``: from node A to node B, which need not be neighbours.
            rate: of UDP on the wire, e.g. ``"30mbit"``; None: TCP.
            on: how long each burst of UDP lasts, e.g. ``"2s"``; None: it never pauses.
            off: the pause after each burst.
            flows: number of TCP connections, each as fast as it can be.
            congestion_control: of the TCP connections; None: the network's.
            seconds: after which it ends by itself; None: it does not.
            both: whether B sends the same to A.

        Raises:
            InputError: an argument is wrong, or a link on the path is down.
            HarnessError: the traffic cannot start.
        """
        from harness.traffic.manager import CrossTraffic
        from harness.traffic.spec import parse_spec

        spec = parse_spec(
            ends, rate=rate, flows=flows, congestion_control=congestion_control, on=on, off=off, seconds=seconds
        )
        with self._lock:
            started = CrossTraffic(self._require(), [spec, spec.reverse] if both else [spec])
            self._traffic.append(started)
        return started

    def capture(self, edges: str, path: StrPath, *, one_way: bool = False, snaplen: int = 128) -> PacketCapture:
        """Record packets as they enter and leave links; ends by ``stop()``, with its ``with`` block or the network.

        Args:
            edges: ``"0-1"``, ``"0-1,1-2"`` or ``"all"``.
            path: the pcapng file, which is replaced.
            one_way: only from A to B.
            snaplen: bytes to keep of each packet, from the IP header on; 0: all.

        Raises:
            InputError: an argument is wrong, or the file cannot be written.
            UnavailableError: this kernel cannot capture.
        """
        from harness.api.capture import PacketCapture
        from harness.capture.session import check
        from harness.model.plan_edit import parse_pairs

        check(whole("snaplen", snaplen, 128), None, None)
        with self._lock:
            network = self._require()
            pairs = parse_pairs(edges, network.plan, one_way=one_way)
            started = PacketCapture(network, pairs, Path(written("path", path, "a file")), snaplen)
            self._captures.append(started)
        return started

    def play(self, scenario: StrPath, *, seed: int | None = None) -> Play:
        """Start a scenario (docs/scenarios.md), which changes the network while jobs run.

        Args:
            scenario: the name of a scenario that ships, or a file.
            seed: of random times and values; None: the file's own.

        Raises:
            InputError: the file is wrong, or does not fit this network; nothing was changed.
            HarnessError: the player cannot start.
        """
        from harness.api.play import Play
        from harness.scenario.scenario_file import load_scenario
        from harness.scenario.scenario_name import scenario_path

        file = scenario_path(written("scenario", scenario, SCENARIO))
        drawn = None if seed is None else whole("seed", seed, 1)
        script = load_scenario(file, drawn)
        script.check(self.plan)
        if script.by_steps and self._steps is None:
            raise InputError(
                f"{file}: events follow the job's steps: give the scenario to harness.network(scenario=...), so that"
                " containers get the file that steps are written to"
            )
        with self._lock:
            steps = self._steps.path if self._steps else None
            started = Play(self._require().name, file, steps, drawn)
            self._plays.append(started)
        return started

    def down(self) -> None:
        """Stop all jobs and remove the network. May be called again: does nothing once it is down.

        Raises:
            RankError: a function failed, and ``result()`` was never called.
            HarnessError: a scenario failed, and ``wait()`` was never called.
        """
        self._end()
        with self._lock:
            self._calls = calls = [call for call in self._calls if call.unreported]
        for call in calls:
            call.result()
        for play in self._plays:
            if play.unreported:
                play.wait()

    def _end(self, error: BaseException | None = None) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove)
            if self._record:
                stack.callback(self._record.end, error)
            self._up = False
            for load in self._traffic:
                stack.callback(load.stop)
            for play in self._plays:
                stack.callback(_end_play, play)
            for capture in self._captures:
                stack.callback(capture.end)
            with self._lock:
                jobs = tuple(self._jobs)
            for job in jobs:
                stack.callback(job.stop)

    def _remove(self) -> None:
        with self._lock:
            if not self._gone:
                self._network.down()
                self._gone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down() if error is None else self._end(error)


def _end_play(play: Play) -> None:
    for text in play.end():
        warn(text)
