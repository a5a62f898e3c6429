"""Reads link shapes and capacities from the YAML of profiles and topology files. Errors name file, line and key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, ShapeError, UnitError, quoted
from harness.model.capacity import DROPTAIL
from harness.model.capacity_range import CapacityRange
from harness.model.delivery import Delivery
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import DISTRIBUTIONS, LINK_FIELDS, MAX_LIMIT
from harness.model.profile import NODE_KEYS, BurstLoss, Profile
from harness.model.queueing import Queue
from harness.model.range import Range
from harness.model.suggest import suggest
from harness.model.units import Rate, Ratio, Size, Time
from harness.model.yaml_file import Entry

CAPACITY_KEYS: Final = {
    "rate": "Rate that all share, or a range of it.",
    "queue": "Queue discipline of packets that wait, as for a link; droptail unless given.",
    "buffer": "Most that may wait, a time at the rate or a size; 100ms, and at least 32 full frames, unless given.",
    "overhead": "Bytes that the rate counts in addition to each frame, e.g. 24 for Ethernet's preamble, checksum, gap.",
}
"""The keys of an uplink, a downlink or a trunk that is a mapping, with their meaning (docs/reference/)."""
QUEUE_KEYS: Final = ("kind", "target", "interval", "min", "max", "probability", "ecn")


def _quantity(entry: Entry, kind: type[Any]) -> Any:
    if kind is int:
        value = entry.whole_number("a number of packets, e.g. 1000,")
        if not 1 <= value <= MAX_LIMIT:
            raise entry.fault(f"{value} is not between 1 and {MAX_LIMIT} packets")
        return value
    text = entry.text(f"a {kind.KIND}, e.g. {kind.EXAMPLES},")
    if kind is Size and text.strip("0 ").isdecimal():
        raise entry.fault(f"{quoted(text)} is not a size: it has no unit; write e.g. {kind.EXAMPLES}")
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
    if entry.is_scalar:
        return _chain_in_words(entry)
    values = {key: _range(value, Ratio) for key, value in entry.mapping(["p", "r", "loss_bad", "loss_good"]).items()}
    if missing := [key for key in ("p", "r") if key not in values]:
        raise entry.fault(f"{' and '.join(missing)} missing; a chain needs p (good to bad) and r (bad to good)")
    return BurstLoss(**values)


def _chain_in_words(entry: Entry) -> BurstLoss:
    """As on the command line."""
    try:
        chain = GilbertElliott.parse(entry.text("a chain, e.g. {p: 1%, r: 20%} or 1%,20%,90%,"))
    except InputError as cause:
        raise entry.fault(cause) from None
    return BurstLoss(**{name: Range(share, share) for name, share in vars(chain).items()})


def _distribution(entry: Entry) -> str:
    text = entry.text(f"one of {', '.join(DISTRIBUTIONS)}")
    if text not in DISTRIBUTIONS:
        raise entry.fault(f"{quoted(text)} is unknown; {suggest(text, DISTRIBUTIONS)}")
    return text


def _queue(entry: Entry) -> Queue | Range[Time]:
    """A discipline; or a time, the buffer, as it was written before there were disciplines."""
    if entry.is_list or (entry.is_scalar and entry.text("a queue, e.g. codel,").strip()[:1].isdigit()):
        return _range(entry, Time)
    return _discipline(entry)


def _discipline(entry: Entry) -> Queue:
    """As on the command line, or a mapping of its parameters."""
    values = {} if entry.is_scalar else entry.mapping(QUEUE_KEYS)
    if not entry.is_scalar and "kind" not in values:
        raise entry.fault("kind is missing; write e.g. {kind: codel, target: 5ms}")
    texts = {key: value.word if key == "ecn" else value.text("a value") for key, value in values.items()}
    words = entry.text("a queue, e.g. codel,") if entry.is_scalar else ""
    try:
        return Queue.parse(words) if entry.is_scalar else Queue.read(texts.pop("kind"), texts)
    except InputError as cause:
        raise entry.fault(cause) from None


def _buffer(entry: Entry) -> Range[Time] | Range[Size]:
    parts = entry.items() if entry.is_list else [entry]
    kinds = {Size if str(part.node.value).strip().lower().endswith("b") else Time for part in parts}
    if len(kinds) > 1:
        raise entry.fault("one end is a time and the other a size; write two times or two sizes")
    return _range(entry, kinds.pop())


def _overhead(entry: Entry) -> int:
    text = entry.text("a number of bytes, e.g. 24,")
    try:
        return int(text)
    except ValueError:
        raise entry.fault(f"{quoted(text)} is not a number of bytes, e.g. 24") from None


def _delivery(entry: Entry) -> Delivery:
    """As on the command line; the trace's path is relative to the folder of the YAML file."""
    text = entry.text("a packet-delivery trace, e.g. lte.up,")
    try:
        return Delivery.parse(str(Path(entry.source).parent / text))
    except InputError as cause:
        raise entry.fault(cause) from None


_OWN_READERS: Final[dict[str, Callable[[Entry], Any]]] = {
    "jitter": _jitter,
    "distribution": _distribution,
    "gilbert_elliott": _chain,
    "queue": _queue,
    "buffer": _buffer,
    "overhead": _overhead,
    "delivery": _delivery,
}


def _read(name: str, entry: Entry) -> Any:
    """A field of a link: a scalar or a range."""
    own, off = _OWN_READERS.get(name), LINK_FIELDS[name].off
    if off and entry.says(off):
        return None
    return own(entry) if own else _range(entry, LINK_FIELDS[name].kind)


def read_capacity(entry: Entry, beside: Iterable[str] = ()) -> CapacityRange:
    """A capacity: its rate, or a mapping of CAPACITY_KEYS and the keys ``beside``."""
    if not entry.is_mapping:
        return CapacityRange(_range(entry, Rate))
    values = entry.mapping([*beside, *CAPACITY_KEYS])
    if "rate" not in values:
        raise entry.fault("rate is missing; write e.g. {rate: 20mbit, buffer: 100ms}")
    rate = _range(values["rate"], Rate)
    queue = values.get("queue")
    given: dict[str, Any] = {}
    if queue is not None:
        given["queue"] = DROPTAIL if queue.says("none") else _discipline(queue)
    if "buffer" in values and not values["buffer"].says("auto"):
        given["buffer"] = _buffer(values["buffer"])
    if "overhead" in values:
        given["overhead"] = _overhead(values["overhead"])
    try:
        return CapacityRange(rate, **given)
    except ShapeError as cause:
        raise entry.fault(cause) from None


def read_node(values: Mapping[str, Entry]) -> dict[str, CapacityRange | None]:
    """The uplink and downlink among these values; None: no limit."""
    return {key: None if values[key].says("none") else read_capacity(values[key]) for key in NODE_KEYS if key in values}


def read_shape(place: Entry, values: Mapping[str, Entry], base: Profile) -> Profile:
    """A copy of the base with the values that shape a link or limit a node."""
    read = {key: _read(key, entry) for key, entry in values.items() if key in LINK_FIELDS} | read_node(values)
    try:
        return replace(base, **read)
    except ShapeError as cause:
        named = (word.strip(":") for word in str(cause).split())
        at = next((word for word in named if word in read), "")
        raise values.get(at, place).fault(str(cause).removeprefix(f"{at}: ")) from None
