"""Watches the ranks of a job until it is over, and restarts killed ranks that a scenario brings back."""

from __future__ import annotations

import math
import os
import selectors
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from harness.networks.away import Absences, AwayFile, AwayLine, What
from harness.networks.rank_process import GRACE_SECONDS, RankProcess, Sink, Stream, stop
from harness.networks.until import ALL, FIRST, Until

TICK_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 0.1
"""Seconds between two looks at which ranks are away."""
OnFailure = Literal["stop", "continue"]
"""What the other ranks do after one has failed by itself."""


@dataclass(frozen=True)
class Rules:
    """What ends a job before all ranks have ended; see ``launch``.

    Args:
        tick: called every TICK_SECONDS; True ends the job.
        until: which rank's end with 0 ends the job.
        limit: when the time is over, by time.monotonic().
        on_failure: whether a failure ends the job.
        away: the file that says which ranks are away; None: no scenario plays.
    """

    tick: Callable[[], bool] | None = None
    until: Until = ALL
    limit: float = math.inf
    on_failure: OnFailure = "stop"
    away: AwayFile | None = None


class Watch:
    """Starts and watches the ranks of one job.

    Args:
        start: starts the program of a rank, given the number of its restarts.
        sink: called with every line of output.
        rules: what ends the job.
    """

    def __init__(self, start: Callable[[int, int], RankProcess], sink: Sink, rules: Rules) -> None:
        self._start, self._sink, self._rules = start, sink, rules
        self._selector = selectors.DefaultSelector()
        self._deadline: float | None = None
        """When the job ends: then ranks that still run are killed, and their output is not awaited."""
        self._next_tick = 0.0 if rules.tick else math.inf
        self._absences = Absences()
        self._restarts: Counter[int] = Counter()
        self._running: dict[int, RankProcess] = {}
        self.started: list[RankProcess] = []
        self.codes: dict[int, int] = {}
        """Exit codes of ranks that have ended."""
        self.first: RankProcess | None = None
        """The rank that failed first."""
        self.cut = False
        self.unended: tuple[int, ...] = ()

    def begin(self, ranks: Iterable[int]) -> None:
        """Start the program on these ranks. Raises what ``start`` raises."""
        for rank in ranks:
            self._begin(rank)

    def _begin(self, rank: int) -> None:
        one = self._start(rank, self._restarts[rank])
        self.started.append(one)
        self._running[rank] = one
        self._selector.register(os.pidfd_open(one.process.pid), selectors.EVENT_READ, (one, None))
        for stream in one.lines:
            os.set_blocking(one.pipe(stream).fileno(), False)
            self._selector.register(one.pipe(stream), selectors.EVENT_READ, (one, stream))

    def run(self) -> None:
        """Watch until the job is over and its output has arrived."""
        while self._selector.get_map() or self._awaited():
            if self._deadline is None:
                self._follow_absences()
                self._follow_rules()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                break
            for key, _ in sorted(self._selector.select(self._patience), key=lambda event: event[0].data[1] is None):
                self._heard(key)
        self._kill_the_rest()

    def _follow_rules(self) -> None:
        """Set the deadline where all ranks have ended; stop them where the time is over or the tick ends the job."""
        now = time.monotonic()
        if not self._running and not self._awaited():
            self._deadline = now + GRACE_SECONDS
        elif now >= self._rules.limit:
            self.cut, self.unended = True, tuple(sorted(self._running))
        elif self._rules.tick and now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self.cut = self._rules.tick()
        if self.cut and self._deadline is None:
            self._stop()

    @property
    def _patience(self) -> float | None:
        """Seconds to wait for a rank to print or to end; None: without a limit."""
        if self._deadline is not None:
            return self._deadline - time.monotonic()
        seconds = min(self._rules.limit, self._next_tick) - time.monotonic()
        if self._rules.away is not None:
            seconds = min(LOOK_SECONDS, seconds)
        return None if seconds == math.inf else seconds

    def _kill_the_rest(self) -> None:
        """Kill ranks that still run, and read what has been printed."""
        stop(list(self._running.values()), 0)
        for key in list(self._selector.get_map().values()):
            one, stream = key.data
            if stream is not None:
                one.drain(stream, self._sink)
        self.codes |= {rank: one.code for rank, one in self._running.items()}

    @property
    def away(self) -> tuple[int, ...]:
        """Ranks that a scenario has killed and not brought back."""
        return tuple(sorted(self._absences.killed.keys() - self._running.keys()))

    def close(self) -> None:
        """End what still runs, and close all pipes."""
        stop(self.started)
        for one in self.started:
            one.close()
        for key in list(self._selector.get_map().values()):
            if key.data[1] is None:
                os.close(key.fd)
        self._selector.close()

    def _heard(self, key: selectors.SelectorKey) -> None:
        one: RankProcess
        stream: Stream | None
        one, stream = key.data
        if stream is None:
            self._selector.unregister(key.fileobj)
            os.close(key.fd)
            self._ended(one)
        elif not one.read(stream, self._sink):
            self._selector.unregister(key.fileobj)

    def _ended(self, one: RankProcess) -> None:
        rank, code = one.rank, one.code
        if self._deadline is None:
            self._follow_absences()
        self.codes[rank] = code
        del self._running[rank]
        if not code:
            self._absences.forget(rank)
        if self._deadline is None and rank not in self._absences.killed:
            if code:
                self._fail(one)
            elif self._rules.until in (FIRST, rank):
                self.cut = True
                self._stop()

    def _fail(self, one: RankProcess) -> None:
        self.first = self.first or one
        if self._rules.on_failure == "stop":
            self._stop()
        else:
            self._say(one.rank, "failed")

    def _stop(self) -> None:
        for other in self._running.values():
            other.signal(signal.SIGTERM)
        self._deadline = time.monotonic() + GRACE_SECONDS

    def _follow_absences(self) -> None:
        """Kill and restart ranks as a scenario has asked since the last look."""
        if self._rules.away is None:
            return
        before = set(self._absences.killed)
        for rank in self._absences.take(self._rules.away.news(), time.monotonic()):
            if rank in self._running:
                self._running[rank].signal(signal.SIGKILL)  # also a rank that has not entered its node yet
            elif rank not in before:  # it had ended by itself
                self._absences.forget(rank)
        for rank in sorted(self._absences.due - self._running.keys()):
            self._restarts[rank] += 1
            self._absences.forget(rank)
            del self.codes[rank]
            self._begin(rank)
            self._say(rank, "restarted")

    def _awaited(self) -> bool:
        """Whether the job continues although no rank runs: a killed one will be back, and none has ended with 0."""
        if self._deadline is not None or self._rules.away is None or self._running:
            return False
        done = [rank for rank, code in self.codes.items() if not code]
        return not done and self._absences.expects(time.monotonic())

    def _say(self, rank: int, what: What) -> None:
        if self._rules.away is not None:
            self._rules.away.write(AwayLine(time.time(), rank, what))
