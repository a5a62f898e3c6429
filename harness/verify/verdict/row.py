"""The verdict on one quantity (a row of the table), and the direction of an edge that verdicts judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import Any, Final, Literal, Self

from harness.model.address import FRAME
from harness.model.delivery import Delivery
from harness.model.distribution import form
from harness.model.format import format_distinct
from harness.model.link import LinkShape
from harness.model.machines import Path
from harness.model.node_plan import PlannedEdge
from harness.verify.caps import Cap, CapKind
from harness.verify.samples import Direction, EchoSample, EdgeMeasurement
from harness.verify.stats import Spread, spread, sum_of

Quantity = Literal["rtt", "jitter", "loss", "rate", "duplicate", "reorder"]

UNMEASURED: Final = "it was not measured"
TOO_SLOW: Final = "the link is too slow to be measured in this time: use a larger --seconds"
CHANGED: Final = "another command changed the link while it was measured"
_WAITS: Final = 3
"""Waits on a packet's way over one edge that may each end late."""
_STANDSTILL_S: Final = 0.02
"""Where a wait ends so late, the whole machine stood still."""


@dataclass(frozen=True)
class Row:
    """One quantity: requested, applied and measured.

    Args:
        quantity: which.
        requested: by the plan; None: no limit.
        applied: what the engine reports; None: no limit.
        measured: by traffic; None: nothing arrived, or (in a row that is ok) nothing was sent.
        low, high: the interval of measured values that agree with what is applied.
        ok: whether all agree, as far as this machine can tell.
        samples: packets that the measured value comes from.
        machine_bound: whether this machine, not the link, determines the measured value: it carries less than the link,
            or adds so much delay that it cannot tell whether the link is right.
        note: why it is off, or other information for the reader.
        why_not: why nothing was measured: the link is too slow for the time, or was changed meanwhile. Such a row is
            ``ok`` where other rows of its direction were measured.
    """

    quantity: Quantity | CapKind
    requested: float | None
    applied: float | None
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    ok: bool = False
    samples: int = 0
    machine_bound: bool = False
    note: str = ""
    why_not: Literal["", "too slow", "changed"] = ""

    @property
    def place(self) -> str:
        """The edge, node or trunk, for people."""
        raise NotImplementedError

    def failed(self, note: str) -> Self:
        """A copy that is off, for that reason."""
        return replace(self, ok=False, machine_bound=False, note=note, why_not="")

    def left_out(self) -> Self:
        """A copy that was not measured because the link is too slow for the given time."""
        return replace(self, ok=True, note=TOO_SLOW, why_not="too slow")

    def changed_meanwhile(self) -> Self:
        """A copy that was not measured because another command changed the link during the measurement."""
        return replace(
            self, measured=None, low=None, high=None, ok=False, machine_bound=False, note=CHANGED, why_not="changed"
        )

    def follows(self, delivery: Delivery) -> Self:
        """A copy that is not judged because a packet-delivery trace decides when packets leave."""
        note = f"not judged: it follows {delivery.file}, whose rate varies"
        return replace(self, low=None, high=None, ok=True, machine_bound=False, note=note)

    def with_note(self, note: str) -> Self:
        """A copy with a note."""
        return replace(self, note=note)

    def compared(self, rounding: float, text: Callable[[float | None, int], str]) -> Self:
        """The row, off where the engine reports something else than was requested."""
        if self.requested == self.applied:
            return self
        if self.requested is not None and self.applied is not None and abs(self.requested - self.applied) <= rounding:
            return self
        texts = format_distinct(text, values := (self.requested, self.applied))
        requested, applied = ("no limit" if v is None else shown for v, shown in zip(values, texts, strict=True))
        return self.failed(f"requested {requested}, but the engine reports {applied}")


@dataclass(frozen=True)
class Verdict(Row):
    """One row of an edge: a quantity of the direction from src to dst; rtt is of the round trip that starts at src."""

    src: int = field(kw_only=True)
    dst: int = field(kw_only=True)

    @property
    def place(self) -> str:
        """The directed edge."""
        return f"{self.src}->{self.dst}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {"src": self.src, "dst": self.dst, **asdict(self)}


@dataclass(frozen=True)
class JudgedDirection:
    """One direction of an edge: as planned, as the engine reports it, as measured; ``back`` is the opposite one.

    ``caps`` are the shared capacities that a flow crosses, ``caps_back`` those of the opposite direction; ``frame`` is
    the size of a full frame; ``path`` is the path between the two nodes' machines, if they differ.
    """

    edge: PlannedEdge
    back: PlannedEdge
    applied: LinkShape
    applied_back: LinkShape
    edge_measured: EdgeMeasurement
    echoes: tuple[EchoSample, ...]
    measured: Direction
    confidence: float
    caps: tuple[Cap, ...] = ()
    caps_back: tuple[Cap, ...] = ()
    frame: int = FRAME
    path: Path | None = None

    @property
    def path_rtt(self) -> float:
        """Seconds that a round trip takes without the link."""
        return self.path.rtt if self.path else 0.0

    @property
    def requested(self) -> LinkShape:
        """What the plan asks for now."""
        return self.edge.effective

    @property
    def ipv6(self) -> bool:
        """Whether the probes used IPv6."""
        return self.edge_measured.ipv6

    @property
    def z(self) -> float:
        """Half the width of the confidence interval, in standard errors."""
        return NormalDist().inv_cdf((1 + self.confidence) / 2)

    @property
    def lateness(self) -> Spread:
        """How late this machine's timers were during the measurement."""
        return spread(self.edge_measured.timers_late, form("normal").fence)

    @cached_property
    def _waits(self) -> tuple[float, float]:
        """What several waits together add to a packet's delay: median and spread, see sum_of.

        Each wait on a packet's way may end late independently: the timer that releases it, the shaper daemon's, and the
        reader's. Standstills of the whole machine are left out.
        """
        return sum_of([late for late in self.edge_measured.timers_late if late < _STANDSTILL_S], _WAITS)

    @property
    def machine_spread(self) -> float:
        """What this machine adds to the spread of a packet's delay, as a robust standard deviation in seconds."""
        return self._waits[1]

    @property
    def machine_delay(self) -> float:
        """What this machine adds to a packet's delay, in seconds: a late timer, and the time to send and to wake up.

        It uses medians, because a standstill makes only a few sleeps very late. Where a few waits are much later than
        most, the median of a sum of waits is larger than the sum of their medians.
        """
        late, local = self.lateness.median, spread(self.edge_measured.local_delays, form("normal").fence).median
        return late + local + max(0.0, self._waits[0] - _WAITS * late)

    def row(
        self,
        quantity: Quantity,
        requested: float | None,
        applied: float | None,
        measured: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        samples: int = 0,
        note: str = "",
    ) -> Verdict:
        """A row that is ok where its measured value lies between low and high."""
        ok = measured is not None and (low is None or low <= measured) and (high is None or measured <= high)
        src, dst = self.edge.pair
        return Verdict(quantity, requested, applied, measured, low, high, ok, samples, note=note, src=src, dst=dst)
