"""Profiles: YAML files that say from which ranges the links of a network draw their shapes.

Three parts: `Range` and `Profile` (values), the reading of YAML with places for messages (`Entry`, which the topology
files use too), and the finding of profiles by name or path.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from harness.errors import HarnessError, InputError, ProfileError, ShapeError, UnitError
from harness.link import DISTRIBUTIONS, MAX_LIMIT, Distribution, GilbertElliott, LinkShape
from harness.units import WHOLE, ZERO_RATIO, ZERO_TIME, Rate, Ratio, Size, Time

if TYPE_CHECKING:
    from yaml.nodes import Node

T = TypeVar("T", Rate, Time, Ratio, Size, int)

_STEPS: Final[dict[type, tuple[Callable[[Any], Any], Fraction]]] = {
    Rate: (lambda rate: rate.bit_s, Fraction(8)),
    Time: (lambda time: time.ns, Fraction(1000)),
    Ratio: (lambda ratio: ratio.value, Fraction(1, 10**8)),
    Size: (lambda size: size.bytes, Fraction(1)),
    int: (int, Fraction(1)),
}
"""Per quantity: its number, and the step that drawn values are multiples of."""

SHIPPED_ORDER: Final = (
    "local",
    "datacenter",
    "wan",
    "mobile",
    "poor",
    "mobile-real",
    "datacenter-real",
    "cross-continental",
)
MAX_FILE_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True)
class Range(Generic[T]):
    """Values from low to high, both included; a scalar where they are equal.

    Args:
        low, high: exact values. Raises UnitError where low is over high.
        text: as the file has it, e.g. ``10MB/s - 100MB/s``; made from the values where not given.
    """

    low: T
    high: T
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise UnitError(f"the range {self} is the wrong way round; write [low, high]")

    def at(self, quantile: float) -> T:
        """The value at a quantile in [0, 1] of the uniform distribution; 0 is low and 1 is high, exactly.

        A scalar is itself, exactly. What is drawn is in whole byte/s, microseconds, millionths of a percent, bytes or
        packets, and never leaves the range.
        """
        first, last, step = self._steps
        if self.low == self.high or quantile <= 0 or last < first:
            return self.low
        if quantile >= 1:
            return self.high
        drawn = min(first + round((last - first) * quantile), last)
        make: Callable[[Any], T] = type(self.low)
        return make(drawn * step if isinstance(self.low, Ratio) else drawn * step.numerator)

    @cached_property
    def _steps(self) -> tuple[int, int, Fraction]:
        number, step = _STEPS[type(self.low)]
        return math.ceil(number(self.low) / step), math.floor(number(self.high) / step), step

    def to_json(self) -> list[float]:
        """``[low, high]`` in SI units: bit/s, seconds, shares, bytes, packets."""
        scale = 10**9 if isinstance(self.low, Time) else 1
        number, _ = _STEPS[type(self.low)]
        pair = [number(self.low), number(self.high)]
        return [value if isinstance(value, int) and scale == 1 else float(value) / scale for value in pair]

    def __str__(self) -> str:
        return self.text or (str(self.low) if self.low == self.high else f"{self.low} - {self.high}")


@dataclass(frozen=True)
class BurstLoss:
    """Ranges of a Gilbert-Elliott chain; see `harness.link.GilbertElliott`."""

    p: Range[Ratio]
    r: Range[Ratio]
    loss_bad: Range[Ratio] = Range(WHOLE, WHOLE)
    loss_good: Range[Ratio] = Range(ZERO_RATIO, ZERO_RATIO)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in vars(self).items())


_COUPLED: Final = ("delay", "jitter", "reorder", "loss", "loss_correlation", "gilbert_elliott.p", "gilbert_elliott.r")
"""The fields whose values can contradict each other: at every corner of their ranges a shape must be possible."""


@dataclass(frozen=True)
class Profile:
    """Ranges that every edge of a network draws its own shape from. A field that is None does nothing.

    Args:
        name: of the shipped profile, or the file's name without its ending.
        description: one line for people.
        source: the file; None for ``none`` and for profiles made in Python.
        jitter: a time, or a share of the delay that was drawn.

    The other fields are those of `harness.link.LinkShape`. Raises ShapeError where some values in the ranges cannot go
    together, e.g. a jitter that can exceed the delay.
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
    queue: Range[Time] | None = None

    def __post_init__(self) -> None:
        spread = [name for name in _COUPLED if self._is_spread(name)]
        for ends in itertools.product((0.0, 1.0), repeat=len(spread)):
            self._shape(defaultdict(float, zip(spread, ends, strict=True)).__getitem__)

    def sample(self, seed: int, a: int, b: int) -> LinkShape:
        """The shape of the edge between ranks a and b; the same for both directions, whichever is named first.

        Each field is uniform in its range, at a quantile that depends on nothing but the seed, the two ranks and the
        field's name (SHA-256 of them): not on the order of edges, the other edges or the Python version. The profile is
        left out on purpose, so that under two profiles the same edges are the fast and the slow ones (common random
        numbers), and a comparison of profiles is not one of luck.

        A jitter given as a share is that share of the drawn delay, rounded to whole nanoseconds.
        """
        first, second = sorted((a, b))

        def quantile(name: str) -> float:
            digest = hashlib.sha256(f"{seed}:{first}:{second}:{name}".encode()).digest()
            return (int.from_bytes(digest[:8], "big") >> 11) / 2**53

        return self._shape(quantile)

    def _is_spread(self, name: str) -> bool:
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part, None)
        return value is not None and value.low != value.high

    def _shape(self, quantile: Callable[[str], float]) -> LinkShape:
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
        return LinkShape(
            rate=draw("rate", self.rate),
            delay=delay,
            jitter=jitter,
            distribution=self.distribution,
            loss=share("loss", self.loss),
            loss_correlation=share("loss_correlation", self.loss_correlation),
            gilbert_elliott=chain,
            duplicate=share("duplicate", self.duplicate),
            corrupt=share("corrupt", self.corrupt),
            reorder=share("reorder", self.reorder),
            limit=draw("limit", self.limit),
            burst=draw("burst", self.burst),
            queue=draw("queue", self.queue),
        )

    def describe(self) -> dict[str, str]:
        """The fields that do something, as text: ``{"rate": "10MB/s - 100MB/s", "jitter": "10%", ...}``."""
        told = {key: str(value) for key in SHAPE_KEYS if (value := getattr(self, key)) is not None}
        if self.jitter is None or self.distribution == "uniform":
            del told["distribution"]
        return told

    def to_json(self) -> dict[str, Any]:
        """Every range as ``[low, high]`` in SI units (bit/s, seconds, shares, packets, bytes), or None."""

        def pair(values: Range[Any] | None) -> list[float] | None:
            return values.to_json() if values else None

        is_share = self.jitter is not None and isinstance(self.jitter.low, Ratio)
        chain = self.gilbert_elliott
        return {
            "name": self.name,
            "description": self.description,
            "source": self.source and str(self.source),
            "rate_bit_s": pair(self.rate),
            "delay_s": pair(self.delay),
            "jitter_s": None if is_share else pair(self.jitter),
            "jitter_share": pair(self.jitter) if is_share else None,
            "distribution": self.distribution,
            "loss": pair(self.loss),
            "loss_correlation": pair(self.loss_correlation),
            "gilbert_elliott": chain and {key: pair(value) for key, value in vars(chain).items()},
            "duplicate": pair(self.duplicate),
            "corrupt": pair(self.corrupt),
            "reorder": pair(self.reorder),
            "limit_packets": pair(self.limit),
            "burst_bytes": pair(self.burst),
            "queue_s": pair(self.queue),
        }


NONE: Final = Profile("none", "No shaping: the baseline to compare with")


# Reading YAML ---------------------------------------------------------------------------------------------------------


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'delay'?``, or the list of what is known where nothing is near."""
    known = list(known)
    near = [_SYNONYMS.get(word.lower(), ""), *difflib.get_close_matches(word.lower(), known)]
    found = next((name for name in near if name in known), None)
    return f"did you mean {found!r}?" if found else f"known: {', '.join(known)}"


_SYNONYMS: Final = {"bandwidth": "rate", "latency": "delay", "packet_loss": "loss", "correlation": "loss_correlation"}


def read_text(path: Path, error: type[HarnessError]) -> str:
    """The text of a file that a user named. Raises `error`, with one line, where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise error(f"{path} is a directory, not a file") from None
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}") from None
    if len(data) > MAX_FILE_BYTES:
        raise error(f"{path} is over {Size(MAX_FILE_BYTES)}: not a file of this kind")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path} is not a text file (no UTF-8)") from None


def read_yaml(path: Path, error: type[InputError]) -> Entry:
    """The root of a YAML file. Raises `error` where it is missing, no YAML or empty."""
    import yaml  # here, because importing it takes 30 ms

    text = read_text(path, error)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        why = " ".join(part for name in ("context", "problem") if (part := getattr(cause, name, None)))
        raise error(f"{place}: this is not YAML: {why or str(cause).splitlines()[0]}") from None
    except RecursionError:
        raise error(f"{path}: this is not YAML: nested too deeply") from None
    if node is None:
        raise error(f"{path} is empty")
    return Entry(str(path), "", node, error)


@dataclass(frozen=True)
class Entry:
    """A YAML node and where it stands: ``source:line: path``. What is wrong with it raises `error` with that place."""

    source: str
    path: str
    node: Node
    error: type[InputError]

    def fault(self, why: object) -> InputError:
        """The error to raise: place and reason."""
        place = f"{self.source}:{self.node.start_mark.line + 1}: "
        return self.error(f"{place}{self.path}: {why}" if self.path else f"{place}{why}")

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_list(self) -> bool:
        """Whether this is a sequence."""
        return self._kind == "sequence"

    @property
    def _kind(self) -> str:
        return str(getattr(self.node, "id", ""))

    def mapping(self, known: Iterable[str]) -> dict[str, Entry]:
        """The values under their keys. Refused: no mapping, a key that is not known, a key given twice."""
        known = list(known)
        if self._kind != "mapping":
            raise self.fault(f"{self._told()} where a mapping is expected, with keys such as {', '.join(known[:4])}")
        values: dict[str, Entry] = {}
        for key_node, value_node in self.node.value:
            key = Entry(self.source, self.path, key_node, self.error)
            name = key_node.value
            if key._kind != "scalar":
                raise key.fault("a key must be a plain word")
            if name not in known:
                raise key.fault(f"unknown key {name!r}; {suggest(name, known)}")
            if name in values:
                raise key.fault(f"key {name!r} is given twice (first in line {values[name].line})")
            values[name] = Entry(self.source, f"{self.path}.{name}" if self.path else name, value_node, self.error)
        return values

    def items(self) -> list[Entry]:
        """The members of a list."""
        if not self.is_list:
            raise self.fault(f"{self._told()} where a list is expected")
        return [
            Entry(self.source, f"{self.path}[{index}]", node, self.error) for index, node in enumerate(self.node.value)
        ]

    def text(self, expected: str) -> str:
        """A scalar as it is written."""
        if self._kind != "scalar" or self._tag not in ("str", "int", "float", "timestamp"):
            raise self.fault(f"{self._told()} where {expected} is expected")
        return str(self.node.value)

    def whole_number(self, expected: str) -> int:
        """A whole number without sign."""
        text = self.text(expected)
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise self.fault(f"{text!r} where {expected} is expected")
        return int(text)

    def _told(self) -> str:
        if self._kind != "scalar":
            return {"sequence": "a list", "mapping": "a mapping"}[self._kind]
        told = {"null": "nothing", "bool": f"the truth value {self.node.value}"}.get(self._tag, repr(self.node.value))
        return f"{told} with the tag {self._tag}" if self._tag.startswith("!") else told

    @property
    def _tag(self) -> str:
        return str(self.node.tag).removeprefix("tag:yaml.org,2002:")


def _quantity(entry: Entry, kind: type[Any]) -> Any:
    if kind is int:
        value = entry.whole_number("a number of packets, e.g. 1000,")
        if not 1 <= value <= MAX_LIMIT:
            raise entry.fault(f"{value} is not between 1 and {MAX_LIMIT} packets")
        return value
    text = entry.text(f"a {kind.KIND}, e.g. {kind.EXAMPLES},")
    if kind is Size and text.strip("0 ").isdecimal():
        raise entry.fault(f"{text!r} is not a size: it has no unit; write e.g. {kind.EXAMPLES}")
    try:
        return kind.parse(text)
    except UnitError as cause:
        raise entry.fault(cause) from None


def _range(entry: Entry, kind: type[Any]) -> Range[Any]:
    parts = entry.items() if entry.is_list else [entry, entry]
    if len(parts) != 2:
        raise entry.fault(f"a range is [low, high]; this list has {len(parts)}")
    low, high = (_quantity(part, kind) for part in parts)
    words = [part.text("a value").strip() for part in parts]
    words = [str(value) if word == "0" else word for word, value in zip(words, (low, high), strict=True)]
    try:
        return Range(low, high, words[0] if low == high else " - ".join(words))
    except UnitError as cause:
        raise entry.fault(cause) from None


def _jitter(entry: Entry) -> Range[Time] | Range[Ratio]:
    parts = entry.items() if entry.is_list else [entry]
    words = [str(part.node.value).strip() for part in parts]
    shares = [word.endswith("%") for word in words]
    if any(shares) and not all(share or word == "0" for share, word in zip(shares, words, strict=True)):
        raise entry.fault("one end is a time and the other a share of the delay; write two times or two shares")
    return _range(entry, Ratio if any(shares) else Time)


def _chain(entry: Entry) -> BurstLoss:
    values = {key: _range(value, Ratio) for key, value in entry.mapping(["p", "r", "loss_bad", "loss_good"]).items()}
    if missing := [key for key in ("p", "r") if key not in values]:
        raise entry.fault(f"{' and '.join(missing)} missing; a chain needs p (good to bad) and r (bad to good)")
    return BurstLoss(**values)


def _distribution(entry: Entry) -> str:
    text = entry.text(f"one of {', '.join(DISTRIBUTIONS)}")
    if text not in DISTRIBUTIONS:
        raise entry.fault(f"{text!r} is unknown; {suggest(text, DISTRIBUTIONS)}")
    return text


_READERS: Final[dict[str, Callable[[Entry], Any]]] = {
    "rate": lambda entry: _range(entry, Rate),
    "delay": lambda entry: _range(entry, Time),
    "jitter": _jitter,
    "distribution": _distribution,
    "loss": lambda entry: _range(entry, Ratio),
    "loss_correlation": lambda entry: _range(entry, Ratio),
    "gilbert_elliott": _chain,
    "duplicate": lambda entry: _range(entry, Ratio),
    "corrupt": lambda entry: _range(entry, Ratio),
    "reorder": lambda entry: _range(entry, Ratio),
    "limit": lambda entry: _range(entry, int),
    "burst": lambda entry: _range(entry, Size),
    "queue": lambda entry: _range(entry, Time),
}
SHAPE_KEYS: Final = tuple(_READERS)
"""The keys that shape a link, in profiles and in the edges of topology files."""


def read_shape(place: Entry, values: Mapping[str, Entry], base: Profile) -> Profile:
    """The base with those of the values replaced that shape a link. What is wrong raises the place's error."""
    read = {key: _READERS[key](entry) for key, entry in values.items() if key in _READERS}
    try:
        return replace(base, **read)
    except ShapeError as cause:
        named = (word.strip(":") for word in str(cause).split())
        at = next((word for word in named if word in read), "")
        raise values.get(at, place).fault(str(cause).removeprefix(f"{at}: ")) from None


# Finding profiles -----------------------------------------------------------------------------------------------------


def _shipped_directory() -> Path:
    package = Path(__file__).parent
    for directory in (package / "tc_profiles", package.parent / "tc_profiles"):
        if directory.is_dir():
            return directory
    raise ProfileError(f"the shipped profiles are missing beside {package}; install the package again")


def shipped_profiles() -> list[str]:
    """The names that come with the package: those of the guide in its order, then the others by alphabet."""
    names = sorted(path.stem for path in _shipped_directory().glob("*.yaml"))
    return sorted(names, key=lambda name: SHIPPED_ORDER.index(name) if name in SHIPPED_ORDER else len(SHIPPED_ORDER))


def is_profile_path(text: str) -> bool:
    """Whether this names a file rather than a shipped profile: it has a slash, or ends with .yaml or .yml."""
    return "/" in text or text.lower().endswith((".yaml", ".yml"))


def load_profile(name_or_path: str) -> Profile:
    """A profile by shipped name (`-` and `_` alike), by path, or ``none`` for no shaping.

    Raises:
        ProfileError: there is no such profile, or its file is wrong; the message has file, line and YAML path.
    """
    if is_profile_path(name_or_path):
        return _load_file(Path(name_or_path))
    name = name_or_path.strip().lower().replace("_", "-")
    if name == NONE.name:
        return NONE
    shipped = shipped_profiles()
    if name not in shipped:
        hint = suggest(name, [NONE.name, *shipped])
        raise ProfileError(f"profile {name_or_path!r} is unknown; {hint} (a file of your own: ./NAME.yaml)")
    return _load_file(_shipped_directory() / f"{name}.yaml")


def _load_file(path: Path) -> Profile:
    root = read_yaml(path, ProfileError)
    values = root.mapping(["description", *SHAPE_KEYS])
    told = " ".join(values["description"].text("a line of text").split()) if "description" in values else ""
    return read_shape(root, values, Profile(path.stem, told, path))
