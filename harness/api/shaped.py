"""A shaped network as Python programs and tests use it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Never, Self, TypeVar

from harness.api.arguments import StrPath, variables, whole, whole_numbers, words, written
from harness.api.call import Call
from harness.api.failures import warn
from harness.api.nodes import NetworkNodes
from harness.api.output import RankOutput, show
from harness.api.payload import pack, search_path
from harness.api.program import Ended, NodeProgram
from harness.api.remote import CALL_ARGV
from harness.errors import InputError
from harness.model.torchrun import MASTER_PORT, STEP_FILE
from harness.networks.backends import NETNS
from harness.networks.network import Network
from harness.networks.rank_process import Stream
from harness.networks.until import ALL, FIRST, Until, parse_until

if TYPE_CHECKING:
    from harness.api.capture import PacketCapture
    from harness.api.play import Play
    from harness.api.record import NetworkRecord
    from harness.scenario.step_file import JobSteps
    from harness.traffic.manager import CrossTraffic

T = TypeVar("T")
SCENARIO: Final = "a scenario, e.g. 'flaky-wan', or a file"


class ShapedNetwork(NetworkNodes):
    """A network that is up: from ``harness.network(...)`` or the fixture ``shaped_network``."""

    def __init__(self, network: Network, record: NetworkRecord | None = None, steps: JobSteps | None = None) -> None:
        super().__init__(network)
        self._record, self._steps = record, steps
        self._jobs: list[NodeProgram] = []
        """Those that have not ended; this and the other list are changed under the lock."""
        self._calls: list[Call[Any]] = []
        """Those whose failure may have to be raised at the end."""
        self._traffic: list[CrossTraffic] = []
        self._plays: list[Play] = []
        self._captures: list[PacketCapture] = []
        self._gone = False
        """Whether it is removed, and not only about to be."""

    def __repr__(self) -> str:
        state = "" if self._up else ", down"
        return f"<ShapedNetwork {self.name}: {self.size} nodes, {self.plan.topology}, {self.plan.profile}{state}>"

    @property
    def run_folder(self) -> Path | None:
        """Where what runs on it is recorded; None: nowhere."""
        return self._record.folder if self._record else None

    def __reduce__(self) -> Never:
        raise TypeError(
            "a ShapedNetwork cannot be sent to its own nodes: pass what they need of it (an address, the plan)"
        )

    def run(
        self,
        function: Callable[..., T],
        /,
        *arguments: Any,
        timeout: float | None = None,
        ranks: Sequence[int] | None = None,
        env: Mapping[str, StrPath] | None = None,
        **keywords: Any,
    ) -> list[T]:
        """Call a function on every node, with torchrun's variables in its environment, and wait for what it returns.

        It may be a closure or a function of a test module: it travels by value. What it prints is printed here, with
        the rank in front.

        Args:
            function: to be called.
            arguments: its own.
            timeout: seconds; then all are stopped.
            ranks: where; None: everywhere.
            env: variables beside those that a node has.
            keywords: the function's own.

        Raises:
            RankError: the rank that failed first; the others were stopped.
            TimeoutError: names the ranks that still run.
            InputError: the function or an argument cannot be pickled.
        """
        job, call = self._call(function, arguments, keywords, ranks, env)
        try:
            job.begin()
            return call.result(timeout)
        except BaseException:
            job.stop()
            raise

    def start(
        self,
        function: Callable[..., T],
        /,
        *arguments: Any,
        ranks: Sequence[int] | None = None,
        env: Mapping[str, StrPath] | None = None,
        **keywords: Any,
    ) -> Call[T]:
        """The same without waiting: reshape the links while it runs, then ask for its ``result()``.

        What still runs when the network ends is stopped. Where several run at once, each has a MASTER_PORT of its own.
        """
        job, call = self._call(function, arguments, keywords, ranks, env)
        try:
            job.begin()
            with self._lock:
                self._require()  # it may have ended since
                self._calls = [one for one in self._calls if one.unreported] + [call]
        except BaseException:
            job.stop()
            raise
        return call

    def _call(
        self,
        function: Callable[..., T],
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        ranks: Sequence[int] | None,
        env: Mapping[str, StrPath] | None,
    ) -> tuple[NodeProgram, Call[T]]:
        """Which have not begun."""
        chosen, given = self._chosen(ranks), variables(env)
        path = search_path() if self.runtime == NETNS else None
        marker = secrets.token_hex(16)
        payload = pack(function, arguments, keywords, marker=marker, path=path)
        answers = RankOutput(marker, chosen, self._show)
        argv = [self._network.backend.python, *CALL_ARGV]
        job = self._job(argv, answers, chosen, given, payload)
        return job, Call(job, answers, getattr(function, "__name__", repr(function)))

    def exec(
        self,
        argv: Sequence[StrPath],
        *,
        timeout: float | None = None,
        ranks: Sequence[int] | None = None,
        env: Mapping[str, StrPath] | None = None,
        until: str = ALL,
    ) -> list[Ended]:
        """Run a program on every node as ``harness run`` does; the first that fails stops the others.

        Args:
            argv: the program and its arguments.
            timeout: seconds; then all are stopped.
            ranks: where; None: everywhere.
            env: variables beside those that a node has.
            until: whose end with 0 ends the others: ``all`` ranks' (nobody is stopped), the ``first`` one's, or that of
                one rank, ``rank:0``, e.g. of a server. Those that are stopped have code 143.

        Returns:
            Exit codes and output, in rank order. Output is kept by lines, so a last one without its newline gets one.

        Raises:
            InputError: there is no program in it, or it is no list of words.
            TimeoutError: names the ranks that still run.
            NodeError: there is no such program (on namespaces; in a container it ends with 127).
        """
        program, chosen, given = words(argv), self._chosen(ranks), variables(env)
        if (last := parse_until(until, self.size)) not in (ALL, FIRST, *chosen):
            raise InputError(f"until={until!r}: the program does not run on that rank; it runs on {chosen}")
        lines: dict[tuple[int, Stream], list[bytes]] = {}
        width = len(str(max(chosen)))

        def sink(rank: int, stream: Stream, line: bytes) -> None:
            lines.setdefault((rank, stream), []).append(line)
            self._show(rank, stream, line, width)

        def text(rank: int, stream: Stream) -> str:
            return "".join(f"{line.decode(errors='replace')}\n" for line in lines.get((rank, stream), ()))

        job = self._job(program, sink, chosen, given, until=last)
        try:
            job.begin()
            if not job.wait(timeout):
                left = ", ".join(map(str, job.unended()))
                raise TimeoutError(f"{program[0]}: still running after {timeout:g} s: rank {left}")
        except BaseException:
            job.stop()
            raise
        codes = job.outcome().codes
        return [Ended(rank, codes[rank], text(rank, "stdout"), text(rank, "stderr")) for rank in chosen]

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
        """Start a load with which jobs share the network, until its ``stop()``, the end of its block or the network's.

        Args:
            ends: ``"A-B"``: from which node to which; they need not be neighbours.
            rate: of UDP on the wire, e.g. ``"30mbit"``; None: TCP.
            on: send for so long, e.g. ``"2s"``,
            off: then pause for so long, and so on.
            flows: how many TCP connections, each as fast as it goes.
            congestion_control: of these; None: the network's.
            seconds: after which it ends by itself.
            both: whether there is one from B to A too.

        Raises:
            InputError: something of it makes no sense, or a link on the way is down.
            HarnessError: it cannot begin.
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
        """Record packets as they enter and leave links, until its ``stop()``, the end of its block or the network's.

        Args:
            edges: ``"0-1"``, ``"0-1,1-2"`` or ``"all"``.
            path: of the pcapng file; it is replaced.
            one_way: only from A to B.
            snaplen: bytes of each packet, from the IP header on; 0 for all.

        Raises:
            InputError: something of it makes no sense, or the file cannot be written.
            UnavailableError: the kernel cannot.
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
        """Play a scenario (docs/scenarios.md) from now on, while jobs run: until its last change, or the network's end.

        Args:
            scenario: the name of one that ships, or a file.
            seed: of what comes by chance; None: the file's own.

        Raises:
            InputError: the file is wrong, or this network has not what it is about; nothing was changed.
            HarnessError: it cannot be played.
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
                f"{file}: follows the job's steps: give it to harness.network(scenario=...), so that containers have"
                " the file for them"
            )
        with self._lock:
            steps = self._steps.path if self._steps else None
            started = Play(self._require().name, file, steps, drawn)
            self._plays.append(started)
        return started

    def _show(self, rank: int, stream: Stream, line: bytes, width: int) -> None:
        """Print a line, and record it."""
        show(rank, stream, line, width)
        if self._record:
            self._record.sink(rank, stream, line)

    def _job(
        self,
        argv: Sequence[str],
        sink: Callable[[int, Stream, bytes], None],
        ranks: tuple[int, ...],
        env: Mapping[str, str],
        payload: bytes = b"",
        until: Until = ALL,
    ) -> NodeProgram:
        """One that has not begun, and that the network's end stops; with a MASTER_PORT that no other has."""
        with self._lock:
            network = self._require()
            self._jobs = [job for job in self._jobs if not job.ended]
            taken = {job.master_port for job in self._jobs}
            job = NodeProgram(
                network.backend,
                network.plan,
                argv,
                sink,
                ranks=ranks,
                env={**(self._record.environ if self._record else {}), **self._steps_variable, **env},
                master_port=next(port for port in range(MASTER_PORT, 1 << 16) if port not in taken),
                lock=self._lock,
                payload=payload,
                until=until,
                away=network.away() if self._plays else None,
            )
            self._jobs.append(job)
            if self._record:
                self._record.add(job)
        return job

    @property
    def _steps_variable(self) -> dict[str, str]:
        return {STEP_FILE: self._steps.of_ranks} if self._steps else {}

    def _chosen(self, ranks: Sequence[int] | None) -> tuple[int, ...]:
        chosen = tuple(range(self.size)) if ranks is None else whole_numbers("ranks", ranks)
        for rank in chosen:
            self.plan.require_rank(rank)
        if not chosen or len(set(chosen)) < len(chosen):
            raise InputError(f"ranks={list(chosen)}: name at least one, and each once")
        return chosen

    def down(self) -> None:
        """Stop what runs in it and remove it. Does nothing where it is down; may be called again where it failed.

        Raises:
            RankError: a function failed, and its result was never asked for.
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
