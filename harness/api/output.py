"""The output of ranks: prints the user's lines, and keeps the results of functions."""

from __future__ import annotations

import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from harness.api.failures import RankError
from harness.api.result_lines import ResultReader
from harness.networks.launch import LaunchOutcome
from harness.networks.rank_process import Stream

_LAST_LINES: Final = 20


def show(rank: int, stream: Stream, line: bytes, width: int = 1) -> None:
    """Print a line with its rank in front, to the present sys.stdout or sys.stderr, which a test may capture."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    print(f"[{rank:>{width}}] {line.decode(errors='replace')}", file=target, flush=True)


class RankOutput:
    """A sink for ``launch``: prints the lines of the user's function and keeps its results.

    Args:
        marker: prefix of lines with a result.
        ranks: where the function runs.
        shown: prints a line, see ``show``.
    """

    def __init__(
        self, marker: str, ranks: tuple[int, ...], shown: Callable[[int, Stream, bytes, int], None] = show
    ) -> None:
        self._show = shown
        self._ranks, self._width = ranks, len(str(max(ranks)))
        self._sorters = {rank: ResultReader(marker.encode()) for rank in ranks}
        self._last: dict[int, deque[bytes]] = {rank: deque(maxlen=_LAST_LINES) for rank in ranks}
        self._answers: dict[int, dict[str, Any]] = {}
        """By rank, in the order of their arrival."""

    def __call__(self, rank: int, stream: Stream, line: bytes) -> None:
        """Take one line."""
        sorter = self._sorters[rank]
        for theirs in sorter.feed(line) if stream == "stdout" else [line]:
            self._last[rank].append(theirs)
            self._show(rank, stream, theirs, self._width)
        if sorter.answer is not None and rank not in self._answers:
            self._answers[rank] = pickle.loads(sorter.answer)
            sorter.answer = b""

    def results(self, outcome: LaunchOutcome) -> list[Any]:
        """What the function returned, in the order of ``ranks``. Raises RankError."""
        if (error := self.failure(outcome)) is not None:
            raise error from _cause(self._answers.get(error.rank))
        return [self._value(rank) for rank in self._ranks]

    def failure(self, outcome: LaunchOutcome) -> RankError | None:
        """The error of the rank that failed first: it died without an answer, or was the first to report an error."""
        died = outcome.failed_rank
        if died is None or died in self._answers:
            for rank, answer in self._answers.items():
                if not answer["ok"]:
                    return _error(rank, answer)
        if died is None:
            died = next((rank for rank in self._ranks if rank not in self._answers), None)
        return None if died is None else self._died(died, outcome.codes[died])

    def _died(self, rank: int, code: int) -> RankError:
        when = "after it had answered" if rank in self._answers else "before it answered"
        error = RankError(rank, f"{_ending(code)} {when}")
        if lines := self._last[rank]:
            text = "\n".join(line.decode(errors="replace") for line in lines)
            error.add_note(f"the last lines of rank {rank}:\n{text}")
        return error

    def _value(self, rank: int) -> Any:
        try:
            return pickle.loads(self._answers[rank].pop("value"))
        except Exception as error:
            raise RankError(
                rank, f"its result cannot be read here: {type(error).__name__}: {error}; return plain values"
            ) from error


def _ending(code: int) -> str:
    if code <= 128:
        return f"it ended with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(code - 128).name}"
    except ValueError:
        return f"it ended with exit code {code}"


def _error(rank: int, answer: dict[str, Any]) -> RankError:
    error = RankError(rank, answer["what"])
    if answer["trace"]:
        error.add_note(f"in the node of rank {rank}:\n{answer['trace'].rstrip()}")
    return error


def _cause(answer: dict[str, Any] | None) -> BaseException | None:
    try:
        cause = pickle.loads(answer["error"]) if answer and answer.get("error") else None
    except Exception:
        return None
    return cause if isinstance(cause, BaseException) else None
