"""Functions and programs on the nodes of a shaped network."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from harness.api.arguments import StrPath, variables, whole_numbers, words
from harness.api.call import Call
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
    from harness.api.play import Play
    from harness.api.record import NetworkRecord
    from harness.scenario.step_file import JobSteps

T = TypeVar("T")


class NetworkJobs(NetworkNodes):
    """What ShapedNetwork runs on its nodes: functions and programs.

    Args:
        network: that is up.
        record: where the output of jobs is recorded.
        steps: the file that jobs write their steps to.
    """

    def __init__(self, network: Network, record: NetworkRecord | None, steps: JobSteps | None) -> None:
        super().__init__(network)
        self._record, self._steps = record, steps
        self._jobs: list[NodeProgram] = []
        """Those that have not ended. This list and the next are changed under the lock."""
        self._calls: list[Call[Any]] = []
        """Those whose failure may have to be raised at the end."""
        self._plays: list[Play] = []

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
        """Call a function on every node, with torchrun's variables in its environment, and return its results.

        The function may be a closure or come from a test module: it is pickled by value. What it prints is printed
        here, with the rank in front.

        Args:
            function: called as ``function(*arguments, **keywords)``.
            arguments: positional arguments.
            timeout: seconds, after which all ranks are stopped.
            ranks: where to call it; None: on every node.
            env: additional environment variables.
            keywords: keyword arguments.

        Returns:
            One result per rank, in rank order.

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
        """Start a function as ``run`` does, without waiting for it: see ``Call.result``.

        Several may run at once; each has its own MASTER_PORT. The end of the network stops what still runs.
        """
        job, call = self._call(function, arguments, keywords, ranks, env)
        try:
            job.begin()
            with self._lock:
                self._require()  # another thread may have ended the network
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
        """The job and its call; neither has started."""
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
        """Run a program on every node as ``harness run`` does; the first rank that fails stops the others.

        Args:
            argv: the program and its arguments.
            timeout: seconds, after which all ranks are stopped.
            ranks: where to run it; None: on every node.
            env: additional environment variables.
            until: when the job is over: ``all`` ranks have ended, the ``first`` rank has ended with 0, or one rank,
                e.g. ``rank:0``, has. The other ranks are stopped and have code 143.

        Returns:
            Exit codes and output, in rank order; every line of output ends with a newline.

        Raises:
            InputError: ``argv`` is empty, or is not a list of words.
            TimeoutError: names the ranks that still run.
            NodeError: the program does not exist (in a container it ends with code 127 instead).
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
            job.join(program[0], timeout)
        except BaseException:
            job.stop()
            raise
        codes = job.outcome().codes
        return [Ended(rank, codes[rank], text(rank, "stdout"), text(rank, "stderr")) for rank in chosen]

    def _show(self, rank: int, stream: Stream, line: bytes, width: int) -> None:
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
        """A job that has not started, with a MASTER_PORT that no other job has; the network's end stops it."""
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
                env={
                    **(self._record.environ if self._record else {}),
                    **({STEP_FILE: self._steps.of_ranks} if self._steps else {}),
                    **env,
                },
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

    def _chosen(self, ranks: Sequence[int] | None) -> tuple[int, ...]:
        chosen = tuple(range(self.size)) if ranks is None else whole_numbers("ranks", ranks)
        for rank in chosen:
            self.plan.require_rank(rank)
        if not chosen or len(set(chosen)) < len(chosen):
            raise InputError(f"ranks={list(chosen)}: name at least one, and each once")
        return chosen
