"""Profiles: the ranges from which the links of a network draw their shapes, and the draw."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.errors import ShapeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.capacity_range import CapacityRange, buffers_to_json
from harness.model.delivery import Delivery
from harness.model.format import format_range
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LINK_FIELDS, Distribution, LinkShape
from harness.model.queueing import Queue
from harness.model.range import Range, quantile_of
from harness.model.units import WHOLE, ZERO_RATIO, ZERO_TIME, Rate, Ratio, Size, Time

T = TypeVar("T", Rate, Time, Ratio, Size, int)

SHAPE_KEYS: Final = tuple(LINK_FIELDS)
"""The fields of a profile that shape a link."""
_ALL: Final = Range(WHOLE, WHOLE)
_NOTHING: Final = Range(ZERO_RATIO, ZERO_RATIO)


@dataclass(frozen=True)
class BurstLoss:
    """Ranges of a `GilbertElliott` chain."""

    p: Range[Ratio]
    r: Range[Ratio]
    loss_bad: Range[Ratio] = _ALL
    loss_good: Range[Ratio] = _NOTHING


_OF_RATES: Final = ("queue", "buffer", "overhead")
NODE_KEYS: Final = {
    "uplink": "Rate that everything a node sends shares, for every node.",
    "downlink": "Rate that everything a node receives shares, for every node.",
}
"""The fields of a profile that limit nodes, with their meaning (docs/reference/)."""
_CHAIN: Final = ("gilbert_elliott.p", "gilbert_elliott.r")
_COUPLED: Final = ("delay", "jitter", "reorder", "loss", "loss_correlation", *_CHAIN, "burst")
"""Fields that can contradict each other; a profile is valid if every combination of their ends makes a shape."""


@dataclass(frozen=True)
class Profile:
    """Ranges from which every edge of a network draws its own shape. A field that is None does nothing.

    Args:
        name: of the shipped profile, or the file's name without its ending.
        description: one line for people.
        source: the file; None for ``none`` and for profiles made in Python.
        jitter: a time, or a share of the drawn delay.
        uplink, downlink: shared by all of a node's edges. Their queue, buffer and overhead default to the profile's,
            which also apply to the edges' rates.

    The other fields are those of `LinkShape`. Raises ShapeError where values in the ranges contradict each other, e.g.
    a jitter that can exceed the delay.
    """

    name: str
    description: str = ""
    source: Path | None = None
    rate: Range[Rate] | None = None
    delay: Range[Time] | None = None
    jitter: Range[Time] | Range[Ratio] | None = None
    distribution: Distribution = "uniform"
    loss: Range[Ratio] | None = None
    loss_correlation: Range[Ratio] | None = None
    gilbert_elliott: BurstLoss | None = None
    duplicate: Range[Ratio] | None = None
    corrupt: Range[Ratio] | None = None
    reorder: Range[Ratio] | None = None
    limit: Range[int] | None = None
    burst: Range[Size] | None = None
    queue: Queue | None = None
    buffer: Range[Time] | Range[Size] | None = None
    overhead: int = 0
    delivery: Delivery | None = None
    uplink: CapacityRange | None = None
    downlink: CapacityRange | None = None

    def __post_init__(self) -> None:
        if isinstance(self.queue, Range):  # the buffer, as it was written before there were disciplines
            object.__setattr__(self, "buffer", self.queue)
            object.__setattr__(self, "queue", None)
        if not (self.rate or self.delivery or self.uplink or self.downlink):
            for name in _OF_RATES:
                if getattr(self, name):
                    raise ShapeError(
                        f"{name} needs a rate, an uplink or a downlink: it applies to packets that wait for these"
                    )
        spread = [name for name in _COUPLED if self._is_spread(name)]
        for ends in itertools.product((0.0, 1.0), repeat=len(spread)):
            self.shape_at(defaultdict(float, zip(spread, ends, strict=True)).__getitem__)

    def sample(self, seed: int, a: int, b: int) -> LinkShape:
        """The shape of the edge between ranks a and b; the same for both directions.

        Each field is uniform in its range, at a quantile that is the SHA-256 of the seed, the two ranks and the field's
        name, and so independent of the other edges and of the profile: under two profiles, the same edges are fast and
        slow (common random numbers), and luck does not decide a comparison of profiles.

        A jitter given as a share is that share of the drawn delay, rounded to whole nanoseconds.
        """
        first, second = sorted((a, b))
        return self.shape_at(lambda name: quantile_of(f"{seed}:{first}:{second}:{name}"))

    def sample_node(self, seed: int, rank: int) -> NodeShape:
        """The uplink and downlink of a node, drawn like the shape of an edge."""
        return self.node_at(lambda name: quantile_of(f"{seed}:node {rank}:{name}"))

    def node_at(self, quantile: Callable[[str], float]) -> NodeShape:
        """The caps of a node, each at ``quantile(name)`` of its range: ``uplink``, ``uplink.buffer`` and so on."""

        def draw(name: str, values: CapacityRange | None) -> Capacity | None:
            if values is None:
                return None
            whole = values.or_else(self.queue, self.buffer, self.overhead)
            return whole.at(lambda part: quantile(f"{name}{part}"))

        return NodeShape(draw("uplink", self.uplink), draw("downlink", self.downlink))

    def _is_spread(self, name: str) -> bool:
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part, None)
        return value is not None and value.low != value.high

    def shape_at(self, quantile: Callable[[str], float]) -> LinkShape:
        """The shape with each field at ``quantile(name)`` of its range, 0 to 1."""

        def draw(name: str, values: Range[T] | None) -> T | None:
            if values is None:
                return None
            return values.low if values.low == values.high else values.at(quantile(name))

        def share(name: str, values: Range[Ratio] | None) -> Ratio:
            return draw(name, values) or ZERO_RATIO

        chain = None
        if self.gilbert_elliott:
            chances = vars(self.gilbert_elliott).items()
            chain = GilbertElliott(**{key: share(f"gilbert_elliott.{key}", values) for key, values in chances})
        delay = draw("delay", self.delay) or ZERO_TIME
        spread: Range[Any] | None = self.jitter
        jitter = draw("jitter", spread) or ZERO_TIME
        if isinstance(jitter, Ratio):
            jitter = Time(round(delay.ns * jitter.value))
        made: dict[str, Any] = {
            "delay": delay,
            "jitter": jitter,
            "distribution": self.distribution,
            "gilbert_elliott": chain,
            "queue": self.queue if self.rate or self.delivery else None,
            "buffer": draw("buffer", self.buffer) if self.rate or self.delivery else None,
            "overhead": self.overhead if self.rate else 0,
            "delivery": self.delivery,
        }
        for name, one in LINK_FIELDS.items():
            if name not in made:
                made[name] = (share if one.kind is Ratio else draw)(name, getattr(self, name))
        return LinkShape(**made)

    def describe(self) -> dict[str, str]:
        """The fields that do something, for people: ``{"rate": "80 – 800 Mbit/s", "jitter": "10 %", ...}``."""
        fields_set = {key: value for key in (*SHAPE_KEYS, *NODE_KEYS) if (value := getattr(self, key)) is not None}
        if not self.overhead:
            del fields_set["overhead"]
        if self.jitter is None or self.distribution == "uniform":
            del fields_set["distribution"]
        return {key: _text(value) for key, value in fields_set.items()}

    def to_json(self) -> dict[str, Any]:
        """Every range as ``[low, high]`` in SI units (bit/s, seconds, shares, packets, bytes), or None."""

        def pair(values: Range[Any] | None) -> list[float] | None:
            return values.to_json() if values else None

        is_share = self.jitter is not None and isinstance(self.jitter.low, Ratio)
        values: dict[str, Any] = {one.json: getattr(self, name) for name, one in LINK_FIELDS.items()}
        chain = self.gilbert_elliott
        return {
            "name": self.name,
            "description": self.description,
            "source": self.source and str(self.source),
            **{key: pair(value) for key, value in values.items() if isinstance(value, Range | None)},
            "jitter_s": None if is_share else pair(self.jitter),
            "jitter_share": pair(self.jitter) if is_share else None,
            "distribution": self.distribution,
            "gilbert_elliott": chain and {key: pair(value) for key, value in vars(chain).items()},
            "queue": self.queue and self.queue.to_json(),
            "buffer": buffers_to_json(self.buffer),
            "overhead_bytes": self.overhead,
            "delivery": self.delivery and self.delivery.to_json(),
            "uplink": self.uplink and self.uplink.to_json(),
            "downlink": self.downlink and self.downlink.to_json(),
        }


def _text(value: Range[Any] | BurstLoss | CapacityRange | Queue | Delivery | str | int) -> str:
    if isinstance(value, BurstLoss):
        return ", ".join(f"{name} {_text(values)}" for name, values in vars(value).items())
    if isinstance(value, CapacityRange):
        return value.describe()
    return format_range(value.low, value.high) if isinstance(value, Range) else str(value)


NONE: Final = Profile("none", "No shaping: the baseline to compare with")
