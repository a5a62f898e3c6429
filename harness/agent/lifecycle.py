"""Decides when the job of a network starts, fails and ends: rank 0's agent asks it. Pure.

When all nodes have shaped their links, the job starts on all. The first rank that fails is reported as the cause, and
may end the job on all. Nodes stay until all ranks are done, because they forward packets of others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from harness.agent.protocol import Message

EVERYONE: Final = -1
GONE: Final = 137
"""The exit code of a rank whose container is gone (128 + SIGKILL)."""

Notice = tuple[int, Mapping[str, Any]]
"""A rank (or EVERYONE) and the message for it."""


@dataclass
class Lifecycle:
    """The state of all nodes; each method yields the messages to send.

    Args:
        size: number of nodes.
        stops: whether the first failure ends the job on all nodes.
    """

    size: int
    stops: bool = True
    went: bool = False
    codes: dict[int, int] = field(default_factory=dict)
    first: tuple[int, int] | None = None
    _here: set[int] = field(default_factory=set)
    _gone: set[int] = field(default_factory=set)
    _away: set[int] = field(default_factory=set)
    _ended: bool = False

    @property
    def missing(self) -> list[int]:
        """Ranks that are not shaped yet, or are gone."""
        return [rank for rank in range(self.size) if rank not in self._here]

    @property
    def gone(self) -> list[int]:
        """Ranks whose container is gone."""
        return sorted(self._gone)

    def call(self, rank: int) -> Iterator[Notice]:
        """A node has shaped its links: for the first time, or again after it was restarted."""
        if rank in self._gone:
            self._gone.discard(rank)
            yield EVERYONE, {"do": "back", "rank": rank}
        self._here.add(rank)
        self._away.discard(rank)
        if self.first is not None and self.stops:
            yield rank, self._stop()
        elif self.went:
            self.codes.pop(rank, None)
            yield rank, {"do": "go"}
        elif len(self._here) == self.size:
            self.went = True
            yield EVERYONE, {"do": "go"}
        if self._ended:
            yield rank, self._end()

    def done(self, rank: int, code: int) -> Iterator[Notice]:
        """A node's job has ended."""
        self.codes[rank] = code
        yield from self._failed(rank, code)
        yield from self._all_done()

    def away(self, rank: int, away: bool) -> Iterator[Notice]:
        """A scenario has killed a node's job, or starts it again; the end of the network does not wait for it."""
        (self._away.add if away else self._away.discard)(rank)
        yield from self._all_done()

    def lose(self, rank: int, why: str = "") -> Iterator[Notice]:
        """A node is gone; see Membership."""
        if rank in self._gone:
            return
        self._here.discard(rank)
        self._gone.add(rank)
        yield EVERYONE, {"do": "lost", "rank": rank} | ({"why": why} if why else {})
        if (self.went or self.stops) and rank not in self.codes:
            yield from self._failed(rank, GONE)
            yield from self._all_done()

    def _failed(self, rank: int, code: int) -> Iterator[Notice]:
        if code and self.first is None and not self._ended:
            self.first = rank, code
            if self.stops:
                yield EVERYONE, self._stop()

    def _all_done(self) -> Iterator[Notice]:
        over = self.went or (self.stops and self.first is not None)
        done = {*self.codes, *self._gone}
        if not self._ended and over and done and done | self._away == set(range(self.size)):
            self._ended = True
            yield EVERYONE, self._end()

    def _stop(self) -> dict[str, Any]:
        assert self.first is not None
        return {"do": "stop", "rank": self.first[0], "code": self.first[1]}

    def _end(self) -> dict[str, Any]:
        return {"do": "end", "code": self.first[1] if self.first else 0}


class Membership(Protocol):
    """One node's part in deciding together: coordinator.py at rank 0, worker.py elsewhere."""

    watches: Sequence[int]
    """Ranks whose containers this node watches, and reports to ``lose``."""

    alone: bool
    """Whether rank 0 is gone."""

    @property
    def gone(self) -> Sequence[int]:
        """Ranks that are known to be gone."""
        ...

    async def serve(self) -> None:
        """Take part until cancelled; this node's links are shaped. Raises HarnessError."""
        ...

    async def done(self, code: int) -> None:
        """This node's job has ended with this exit code. A node that is found gone then counts as the first failure."""
        ...

    def away(self, away: bool) -> None:
        """A scenario has killed this node's job, or starts it again."""
        ...

    def stopped(self, code: int) -> None:
        """A signal stops this node before its job has ended."""
        ...

    def share(self, message: Message, asked: Collection[int] = ()) -> None:
        """Send a change by the command line to all other nodes.

        Args:
            message: the change.
            asked: ranks to which the command line sends it too. They get a fingerprint, CONFIRM_SECONDS later, and the
                change only if they have missed it.
        """
        ...

    def lose(self, rank: int, why: str = "") -> None:
        """A node is gone.

        Args:
            rank: of the node.
            why: for the log; empty: its container has ended.
        """
        ...

    def give_up(self, why: str) -> None:
        """This node is about to end: the others shall count it as gone."""
        ...

    async def leave(self) -> None:
        """After the end of the job: return when no other node needs this one to forward packets."""
        ...
