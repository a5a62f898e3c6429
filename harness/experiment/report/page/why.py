"""Why runs took so long, for the page: the sentence of each run, and its lost time as a bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis import Analysis
from harness.experiment.report.analysis.explain import Explanation
from harness.experiment.report.analysis.figures import RunFigures
from harness.model.format import format_share, format_time

COMPUTING: Final = "computing"
COLOUR_OF: Final = {
    COMPUTING: "compute",
    "latency": "c0",
    "loss": "c1",
    "rate": "c2",
    "queue": "c4",
    "straggler": "c3",
    "changed": "c6",
    "unknown": "line",
}
"""The parts of a bar in their order, and their colours in theme.py."""
_LEAST: Final = 0.001
"""The least share that can be seen."""
WORDS: Final = {"unknown": "not explained", "compute": COMPUTING, "changed": "links changed"}
"""Clearer words for some causes."""


@dataclass(frozen=True)
class Part:
    """A part of a run's time; ``name``: of COLOUR_OF, ``share``: of all its time."""

    name: str
    share: float
    seconds: float

    @property
    def words(self) -> str:
        """``latency 12.3 s (45 %)``."""
        return f"{WORDS.get(self.name, self.name)} {format_time(self.seconds)} ({format_share(self.share, 2)})"


@dataclass(frozen=True)
class Why:
    """The explanation of one run; `parts` is empty where it recorded no step."""

    explanation: Explanation
    parts: tuple[Part, ...]

    @property
    def cause(self) -> str:
        """The cause in the page's words."""
        return WORDS.get(self.explanation.cause, self.explanation.cause)

    @property
    def lost(self) -> float | None:
        """The share of the time that was lost; None: unknown."""
        return sum(part.share for part in self.parts if part.name != COMPUTING) if self.parts else None


def explained(analysis: Analysis) -> list[Why]:
    """The explanation of every run."""
    return list(map(_why, analysis.runs))


def causes(whys: Sequence[Why]) -> list[str]:
    """The parts of all bars, in the order of a bar."""
    found = {part.name for why in whys for part in why.parts}
    return [name for name in COLOUR_OF if name in found]


def _why(run: RunFigures) -> Why:
    """The rest of the time is computing, or unknown in a run without steps."""
    explanation = run.explanation
    times: dict[str, float] = {name: seconds for name, seconds in explanation.lost.items() if seconds > 0}
    rest = (run.steps * (run.compute + run.comm) or run.seconds) - sum(times.values())
    name = COMPUTING if run.steps else "unknown"
    times[name] = times.get(name, 0.0) + max(0.0, rest)
    whole = sum(times.values())
    if not explanation.lost or not whole:
        return Why(explanation, ())
    shares = [(name, times[name] / whole) for name in COLOUR_OF if name in times]
    return Why(explanation, tuple(Part(name, share, times[name]) for name, share in shares if share >= _LEAST))
