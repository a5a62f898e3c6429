"""A change that a scenario has made, as the player reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from harness.model.format import count, format_time

LATE_S: Final = 0.05
"""A change is late where it is acknowledged more than this after its time."""


@dataclass(frozen=True)
class Played:
    """A change that was made. Times are seconds from the scenario's start.

    Args:
        at: when it was due.
        acknowledged: when the network had made it.
        events: what changed, for people.
    """

    at: float
    acknowledged: float
    events: tuple[str, ...]

    @property
    def late(self) -> bool:
        """Whether it took longer than LATE_S."""
        return self.acknowledged - self.at > LATE_S

    def describe(self) -> str:
        """One line for people."""
        after = format_time(max(0.0, self.acknowledged - self.at))
        return f"{self.at:.3f} s: {'; '.join(self.events)} (acknowledged {after} later)"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave."""
        return cls(line["at"], line["acknowledged"], tuple(line["events"]))


def late_text(late: Sequence[Played]) -> str:
    """A message about late changes; empty where there are none."""
    if not late:
        return ""
    worst = max(late, key=lambda one: one.acknowledged - one.at)
    were, latest = "was" if len(late) == 1 else "were", format_time(worst.acknowledged - worst.at)
    late_ones = f"{count(len(late), 'change')} {were} acknowledged over {format_time(LATE_S)} late"
    return f"{late_ones}, the latest by {latest}: {worst.events[0]} at {worst.at:.3f} s"
