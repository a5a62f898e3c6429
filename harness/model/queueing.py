"""Queues in front of a rate: their size, and their discipline, which decides what packets they drop or mark.

Disciplines: droptail; CoDel (RFC 8289); FQ-CoDel (RFC 8290); RED (Floyd and Jacobson 1993, "Random early detection
gateways for congestion avoidance"); PIE (RFC 8033).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from harness.errors import InputError, ShapeError, quoted
from harness.model.suggest import suggest
from harness.model.units import Rate, Ratio, Size, Time, parse_yes_no

Discipline = Literal["droptail", "codel", "fq_codel", "red", "pie"]
DISCIPLINES: Final[tuple[str, ...]] = get_args(Discipline)

_MS: Final = 10**6
_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "droptail": {},
    "codel": {"target": Time(5 * _MS), "interval": Time(100 * _MS), "ecn": True},
    "fq_codel": {"target": Time(5 * _MS), "interval": Time(100 * _MS), "ecn": True},
    "red": {"min": None, "max": None, "probability": Ratio.parse("2%"), "ecn": True},
    "pie": {"target": Time(15 * _MS), "interval": Time(15 * _MS), "ecn": True},
}
"""By discipline, its parameters and their defaults: those of the RFCs; RED's 1/50 is Floyd's and Jacobson's."""
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "target": Time.parse,
    "interval": Time.parse,
    "min": Size.parse,
    "max": Size.parse,
    "probability": Ratio.parse,
    "ecn": parse_yes_no,
}


@dataclass(frozen=True)
class Queue:
    """A queue discipline with its parameters; those that it does not have are None.

    Args:
        kind: its name.
        target: CoDel, FQ-CoDel and PIE: the standing delay that it aims at.
        interval: CoDel, FQ-CoDel: the time to react in, about a round trip; PIE: the time between updates (t_update).
        min: RED: the average queue above which it drops packets; None: a third of max.
        max: RED: the average queue above which it drops all packets; None: half of the buffer.
        probability: RED: chance of a drop where the average reaches max.
        ecn: whether packets of flows that use ECN are marked instead of dropped.
    """

    kind: Discipline = "droptail"
    target: Time | None = None
    interval: Time | None = None
    min: Size | None = None
    max: Size | None = None
    probability: Ratio | None = None
    ecn: bool = False

    def __post_init__(self) -> None:
        if self.kind not in DISCIPLINES:
            raise ShapeError(f"queue {quoted(self.kind)} is unknown; {suggest(self.kind, DISCIPLINES)}")
        own = _PARAMETERS[self.kind]
        for name in ("target", "interval", "min", "max", "probability", "ecn"):
            value = getattr(self, name)
            if value not in (None, False) and name not in own:
                takes = ", ".join(own) or "none"
                raise ShapeError(f"queue {self.kind} has no parameter {name}; it takes: {takes}")
        for name, value in (("target", self.target), ("interval", self.interval)):
            if value is not None and not 0 < value.ns < 2**32 * 1000:
                raise ShapeError(f"queue {self.kind}: {name} {value} is not between 1 us and 4294 s")
        if self.min is not None and self.max is not None and not 0 < self.min.bytes < self.max.bytes:
            raise ShapeError(f"queue red: min {self.min} must be over 0 and under max {self.max}")

    @classmethod
    def of(cls, kind: str, **parameters: Any) -> Self:
        """A queue with the discipline's defaults for parameters that are not given. Raises ShapeError."""
        return cls(**{"kind": kind, **_PARAMETERS.get(kind, {}), **parameters})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``codel``, or ``codel,target=5ms,ecn=no``. Raises InputError."""
        kind, *words = (word.strip() for word in text.split(","))
        pairs = [word.partition("=")[::2] for word in words]
        return cls.read(kind, {name.strip(): value.strip() for name, value in pairs})

    @classmethod
    def read(cls, kind: str, texts: Mapping[str, str]) -> Self:
        """A queue with parameters as a user wrote them. Raises InputError."""
        kind = kind.replace("-", "_").lower()
        if kind not in DISCIPLINES:
            raise InputError(f"queue {quoted(kind)} is unknown; {suggest(kind, DISCIPLINES)}")
        for name in texts:
            if name not in _PARAMETERS[kind]:
                takes = ", ".join(_PARAMETERS[kind]) or "none"
                raise InputError(f"queue {kind} has no parameter {quoted(name)}; it takes: {takes}")
        values = {}
        for name, value in texts.items():
            try:
                values[name] = _READ[name](value)
            except InputError as error:
                raise InputError(f"queue {kind}: {name}: {error}") from None
        return cls.of(kind, **values)

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters by name."""
        return {name: getattr(self, name) for name in _PARAMETERS[self.kind]}

    def __str__(self) -> str:
        """As parse reads it, without parameters that have their defaults."""
        words = [
            f"{name}={('yes' if value else 'no') if name == 'ecn' else value}"
            for name, value in self.parameters.items()
            if value != _PARAMETERS[self.kind][name]
        ]
        return ",".join([self.kind, *words])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: ``{"kind": "codel", "target_s": 0.005, "interval_s": 0.1, "ecn": true}``."""
        found: dict[str, Any] = {"kind": self.kind}
        for name, value in self.parameters.items():
            match value:
                case Time():
                    found[f"{name}_s"] = value.seconds
                case Size():
                    found[f"{name}_bytes"] = value.bytes
                case Ratio():
                    found[name] = float(value)
                case _:
                    found[name] = value
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key.endswith("_s"):
                values[key.removesuffix("_s")] = Time.from_seconds(value)
            elif key.endswith("_bytes"):
                values[key.removesuffix("_bytes")] = Size(value)
            elif key == "probability":
                values[key] = Ratio.from_float(value)
            else:
                values[key] = value
        return cls(**values)


def red_thresholds(queue: Queue, buffer_bytes: int) -> tuple[int, int]:
    """RED's min and max in bytes, given the buffer."""
    most = queue.max.bytes if queue.max else max(3, buffer_bytes // 2)
    return (queue.min.bytes if queue.min else max(1, most // 3)), most


Buffer = Time | Size
"""How much may wait for a rate: a time at that rate, or bytes."""


def parse_buffer(text: str) -> Buffer:
    """Read ``100ms`` or ``64KiB``. Raises InputError."""
    try:
        return Time.parse(text)
    except InputError:
        pass
    if not text.strip().isdecimal():
        try:
            return Size.parse(text)
        except InputError:
            pass
    raise InputError(f"{quoted(text)} is neither a time nor a size; write e.g. 100ms or 64KiB")


def buffer_to_json(buffer: Buffer) -> dict[str, float]:
    """``{"seconds": 0.1}`` or ``{"bytes": 65536}``."""
    return {"seconds": buffer.seconds} if isinstance(buffer, Time) else {"bytes": buffer.bytes}


def buffer_from_json(data: Mapping[str, Any]) -> Buffer:
    """The inverse of buffer_to_json."""
    return Size(data["bytes"]) if "bytes" in data else Time.from_seconds(data["seconds"])


def buffer_bytes(buffer: Buffer, rate: Rate) -> int:
    """The size of a buffer in front of a rate, in bytes."""
    return buffer.bytes if isinstance(buffer, Size) else rate.byte_s * buffer.ns // 10**9
