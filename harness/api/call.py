"""A function that runs on the nodes, as ``ShapedNetwork.start`` returns it."""

from __future__ import annotations

from typing import Generic, TypeVar

from harness.api.output import RankOutput
from harness.api.program import NodeProgram
from harness.errors import NetworkStateError

T = TypeVar("T")


class Call(Generic[T]):
    """A function that was started on the nodes."""

    def __init__(self, job: NodeProgram, answers: RankOutput, name: str) -> None:
        self._job, self._answers, self._name = job, answers, name
        self._results: list[T] | None = None
        self._error: Exception | None = None
        self.asked = False
        """Whether ``result`` was called. Otherwise the end of the network raises a failure."""

    @property
    def running(self) -> bool:
        """Whether it still runs on any rank."""
        return self._job.running

    def result(self, timeout: float | None = None) -> list[T]:
        """Wait for the function and return its results, in rank order. May be called again.

        Args:
            timeout: seconds to wait; the function continues after a TimeoutError.

        Raises:
            RankError: the rank that failed first; the others were stopped.
            TimeoutError: names the ranks that still run.
            NetworkStateError: ``stop`` ended it.
        """
        self._job.join(self._name, timeout)
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
        """Whether ``stop`` ended it."""
        return self._job.stopped

    @property
    def unreported(self) -> bool:
        """Whether it still runs, or has failed, and ``result`` was never called."""
        if self.asked or self.stopped:
            return False
        if self.running:
            return True
        try:
            return self._answers.failure(self._job.outcome()) is not None
        except Exception:
            return True

    def stop(self) -> None:
        """Stop it on all ranks. Does nothing once it has ended."""
        self._job.stop()
