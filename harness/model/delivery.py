"""Packet-delivery traces: recordings of when a link could carry a packet, to be served instead of a rate.

The format is mahimahi's (Netravali et al. 2015, "Mahimahi: accurate record-and-replay for HTTP"; mm-link(1)): each line
is a time in milliseconds from the beginning at which one MTU-sized packet can be delivered. An opportunity that is not
used then is lost, several small packets share one, and a packet may use parts of several.

A `Delivery`, the field of a link, names a trace by the digest of its content, and says how it is played. The trace
itself is stored once per process, and once beside the JSON of plans (NetworkPlan.to_json) and of changes.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Self

from harness.errors import InputError, RecordError, ShapeError, quoted
from harness.model.delivery_file import delivery_text, read_counts
from harness.model.units import ZERO_TIME, Rate, Ratio, Size, Time, parse_yes_no
from harness.model.yaml_file import read_text

OPPORTUNITY: Final = 1504
"""Bytes of one: an IP packet of 1500 bytes and the 4 bytes that mahimahi's interface puts before it."""
OVERHEAD: Final = 4 - 14
"""Bytes that count beside each Ethernet frame's own: mahimahi's header has 4 bytes, Ethernet's 14."""
WINDOW_MS: Final = 100
"""The span over which the peak rate is taken; an engine that cannot serve a trace plays its rate in such steps."""
MAX_PACKED: Final = 1 << 20
"""The most bytes of a packed trace."""
_FACTORS: Final = (Fraction(1, 1000), Fraction(1000))
_OPTIONS: Final = ("loop", "offset", "speed", "scale")
_TEXT: Final = re.compile(rf"(.*?)((?:,(?:{'|'.join(_OPTIONS)})=[^,]*)*)", re.DOTALL)
_traces: Final[dict[str, str]] = {}
"""By digest, packed."""


def remember_traces(traces: Mapping[str, str]) -> None:
    """Store packed traces by digest, for this process."""
    _traces.update(traces)


def packed_traces(deliveries: Iterable[Delivery | None]) -> dict[str, str]:
    """Their traces, as ``remember_traces`` takes them. Raises RecordError where one is not stored here."""
    return {one.digest: _packed(one.digest) for one in deliveries if one is not None}


def _packed(digest: str) -> str:
    if digest not in _traces:
        raise RecordError(f"delivery trace {digest} did not come with its link: another version of harness sent it")
    return _traces[digest]


@lru_cache(maxsize=64)
def counts_of(digest: str) -> bytes:
    """The opportunities of each millisecond of a trace: at index i those at i + 1 ms. Raises RecordError."""
    return zlib.decompress(base64.b64decode(_packed(digest)))


@dataclass(frozen=True)
class Delivery:
    """A trace, and how it is played.

    Args:
        file: its name, for people.
        digest: of its content.
        opportunities: how many it has.
        period_ms: the time of its last opportunity, in ms.
        peak: the most opportunities in a tenth of a second.
        excess: the most opportunities by which any part of it is ahead of its mean rate, rounded up.
        loop: whether it repeats; otherwise nothing passes after its end.
        offset: where in the trace the link begins.
        speed: how many times as fast it is played, at unchanged rates.
        scale: factor of its rates.
    """

    file: str
    digest: str
    opportunities: int
    period_ms: int
    peak: int
    excess: int
    loop: bool = True
    offset: Time = ZERO_TIME
    speed: Fraction = Fraction(1)
    scale: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if not self.loop and self.offset.ns >= self.period_ms * 10**6:
            lasts = Time(self.period_ms * 10**6)
            raise ShapeError(f"delivery {self.file}: offset {self.offset} is past its end; it lasts {lasts}")

    @classmethod
    def of(cls, file: str, counts: bytes) -> Self:
        """Store the trace with these opportunities in each millisecond. Raises InputError where it is too large."""
        total, period = sum(counts), len(counts)
        ahead = [seen * period - total * index for index, seen in enumerate(accumulate(counts, initial=0))]
        excess = -(-(max(ahead) - min(ahead) + total) // period)
        peak = max(sum(counts[begin : begin + WINDOW_MS]) for begin in range(0, period, WINDOW_MS))
        text = base64.b64encode(zlib.compress(counts)).decode()
        if len(text) > MAX_PACKED:
            size = f"{total} opportunities in {Time(period * 10**6)}"
            raise InputError(f"{file}: {size} are more than can be handed to nodes ({Size(MAX_PACKED)}); cut it")
        digest = hashlib.sha256(counts).hexdigest()[:16]
        remember_traces({digest: text})
        return cls(file, digest, total, period, peak, excess)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises InputError with file and line."""
        return cls.of(path.name, read_counts(str(path), read_text(path, InputError)))

    @classmethod
    def parse(cls, text: str) -> Delivery:
        """Read ``FILE`` or ``FILE,loop=no,offset=10s,speed=2,scale=50%``, and the file. Raises InputError."""
        found = _TEXT.fullmatch(text)
        assert found is not None
        options = dict(word.split("=", 1) for word in found[2].split(",")[1:])
        return cls.read(Path(found[1])).played(options)

    @property
    def record_name(self) -> str:
        """The name of the trace's file in the folder of a run."""
        return f"delivery-{self.digest}.trace"

    def recorded(self) -> bytes:
        """The content of that file: the whole trace. Raises RecordError."""
        return delivery_text(counts_of(self.digest)).encode()

    def played(self, options: Mapping[str, str]) -> Self:
        """A copy with these options, as the user wrote them. Raises InputError."""
        values: dict[str, Any] = {}
        for name, text in options.items():
            try:
                values[name] = _read_option(name, text.strip())
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        return replace(self, **values)

    @property
    def per_opportunity(self) -> Fraction:
        """Bytes that one opportunity delivers at this speed and scale."""
        return OPPORTUNITY * self.scale / self.speed

    @property
    def mean_rate(self) -> Rate:
        """In the long run, of bytes with OVERHEAD."""
        return self._rate(Fraction(self.opportunities, self.period_ms))

    @property
    def peak_rate(self) -> Rate:
        """The highest of any tenth of a second."""
        return self._rate(Fraction(self.peak, min(WINDOW_MS, self.period_ms)))

    def _rate(self, per_ms: Fraction) -> Rate:
        return Rate(max(8, round(per_ms * OPPORTUNITY * 8000 * self.scale)))

    @property
    def burst_bytes(self) -> int:
        """The most that passes in any time beyond the mean rate."""
        return -(-self.excess * self.per_opportunity.numerator // self.per_opportunity.denominator)

    def __str__(self) -> str:
        words = [self.file, *(["loop=no"] if not self.loop else [])]
        words += [f"offset={self.offset}"] if self.offset.ns else []
        words += [f"{name}={_factor_text(value)}" for name in _OPTIONS[2:] if (value := getattr(self, name)) != 1]
        return ",".join(words)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units, without the trace."""
        return {
            **{name: value for name, value in vars(self).items() if isinstance(value, str | int)},
            "offset_s": self.offset.seconds,
            "speed": str(self.speed),
            "scale": str(self.scale),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        values = {name: value for name, value in data.items() if name != "offset_s"}
        factors = {name: Fraction(values[name]) for name in ("speed", "scale")}
        return cls(**values | factors, offset=Time.from_seconds(data["offset_s"]))


def _read_option(name: str, text: str) -> Any:
    if name == "loop":
        return parse_yes_no(text)
    return Time.parse(text) if name == "offset" else parse_factor(text)


def parse_factor(text: str) -> Fraction:
    """A number such as ``2`` or ``0.5``, or a share such as ``50%``; from 0.001 to 1000. Raises InputError."""
    try:
        number = text.removesuffix("%").strip()
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", number):
            raise ValueError
        value = Fraction(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = Fraction(0)
    if not _FACTORS[0] <= value <= _FACTORS[1]:
        raise InputError(f"{quoted(text)} is not a factor from 0.001 to 1000; write e.g. 2, 0.5 or 50%")
    return value


def _factor_text(value: Fraction) -> str:
    return str(Ratio(value)) if value < 1 else f"{float(value):.12g}"
