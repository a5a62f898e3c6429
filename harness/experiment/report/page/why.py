"""Why runs took so long, on the page: the sentence of each, and the time that it lost as a bar."""

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
"""What took time, in the order of a bar, and its colour in theme.py."""
_LEAST: Final = 0.001
"""Share of the time: less cannot be seen."""
WORDS: Final = {"unknown": "not explained", "compute": COMPUTING, "changed": "links changed"}
"""What the page calls causes that do not say by themselves what they are."""


@dataclass(frozen=True)
class Part:
    """A part of a run's time.

    Args:
        name: of COLOUR_OF.
        share: of the time of its steps.
        seconds: of it.
    """

    name: str
    share: float
    seconds: float

    @property
    def words(self) -> str:
        """``latency 12.3 s (45 %)``."""
        return f"{WORDS.get(self.name, self.name)} {format_time(self.seconds)} ({format_share(self.share, 2)})"


@dataclass(frozen=True)
class Why:
    """One run, explained; `parts` is empty where it recorded no step."""

    explanation: Explanation
    parts: tuple[Part, ...]

    @property
    def cause(self) -> str:
        """What bound it, as the page calls it."""
        return WORDS.get(self.explanation.cause, self.explanation.cause)

    @property
    def lost(self) -> float | None:
        """The share of the time that was lost; None where it is not known."""
        return sum(part.share for part in self.parts if part.name != COMPUTING) if self.parts else None


def explained(analysis: Analysis) -> list[Why]:
    """Every run, explained."""
    return list(map(_why, analysis.runs))


def causes(whys: Sequence[Why]) -> list[str]:
    """What took time in any of these runs, in the order of a bar."""
    found = {part.name for why in whys for part in why.parts}
    return [name for name in COLOUR_OF if name in found]


def _why(run: RunFigures) -> Why:
    """Without steps nobody knows what of the rest of the time was computing."""
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
