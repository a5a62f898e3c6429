"""A function that runs on the nodes."""

from __future__ import annotations

from typing import Generic, TypeVar

from harness.api.output import RankOutput
from harness.api.program import NodeProgram
from harness.errors import NetworkStateError

T = TypeVar("T")


class Call(Generic[T]):
    """A function under way, from ``ShapedNetwork.start``."""

    def __init__(self, job: NodeProgram, answers: RankOutput, name: str) -> None:
        self._job, self._answers, self._name = job, answers, name
        self._results: list[T] | None = None
        self._error: Exception | None = None
        self.asked = False
        """Whether the caller has asked for the result. Otherwise a failure is raised when the network ends."""

    @property
    def running(self) -> bool:
        """Whether a rank has not ended."""
        return self._job.running

    def result(self, timeout: float | None = None) -> list[T]:
        """What the function returned, in rank order; waits for it.

        Args:
            timeout: seconds; then it goes on, and may be asked again.

        Raises:
            RankError: the rank that failed first; the others were stopped.
            TimeoutError: names the ranks that have not ended.
            NetworkStateError: it was stopped.
        """
        if not self._job.wait(timeout):
            ranks = ", ".join(map(str, self._job.unended()))
            raise TimeoutError(f"{self._name}: still running after {timeout:g} s: rank {ranks}")
        self.asked = True
        if self.stopped:
            raise NetworkStateError(f"{self._name}: it was stopped before it ended")
        if self._error is not None:
            raise self._error
        if self._results is None:
            try:
                self._results = self._answers.results(self._job.outcome())
            except Exception as error:
                self._error = error
                raise
        return list(self._results)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before it ended."""
        return self._job.stopped

    @property
    def unreported(self) -> bool:
        """Whether it still runs, or has failed and its result was never asked for."""
        if self.asked or self.stopped:
            return False
        if self.running:
            return True
        try:
            return self._answers.failure(self._job.outcome()) is not None
        except Exception:
            return True

    def stop(self) -> None:
        """End it on all ranks. Does nothing where it has ended."""
        self._job.stop()
