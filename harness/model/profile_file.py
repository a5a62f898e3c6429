"""Profiles in YAML files: those that come with the package, and users' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, ProfileError, ShapeError, UnitError, quoted
from harness.model.link import DISTRIBUTIONS, LINK_FIELDS, MAX_LIMIT, GilbertElliott
from harness.model.profile import NODE_KEYS, NONE, SHAPE_KEYS, BurstLoss, Profile, Range
from harness.model.queueing import Queue
from harness.model.suggest import suggest
from harness.model.units import Rate, Ratio, Size, Time
from harness.model.yaml_file import Entry, read_yaml

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
PROFILE_KEYS: Final = {"description": "One line for people."}
"""The keys of a profile's file beside those of a link, with what they mean (docs/reference/)."""


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
    """As the command line has it."""
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
    """A discipline in words, or with its parameters as keys; a time is the buffer, as before there were disciplines."""
    if entry.is_list or (entry.is_scalar and entry.text("a queue, e.g. codel,").strip()[:1].isdigit()):
        return _range(entry, Time)
    try:
        if entry.is_scalar:
            return Queue.parse(entry.text("a queue, e.g. codel,"))
        values = entry.mapping(["kind", "target", "interval", "min", "max", "probability", "ecn"])
        if "kind" not in values:
            raise entry.fault("kind is missing; write e.g. {kind: codel, target: 5ms}")
        texts = {key: value.text("a value") for key, value in values.items()}
        return Queue.read(texts.pop("kind"), texts)
    except ProfileError:
        raise
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


_OWN_READERS: Final[dict[str, Callable[[Entry], Any]]] = {
    "jitter": _jitter,
    "distribution": _distribution,
    "gilbert_elliott": _chain,
    "queue": _queue,
    "buffer": _buffer,
    "overhead": _overhead,
}


def _read(name: str, entry: Entry) -> Any:
    """A field of a link, in a profile or at an edge of a topology file: a scalar or a range of its kind."""
    own, off = _OWN_READERS.get(name), LINK_FIELDS[name].off
    if off and entry.says(off):
        return None
    return own(entry) if own else _range(entry, LINK_FIELDS[name].kind)


def read_shape(place: Entry, values: Mapping[str, Entry], base: Profile) -> Profile:
    """The base with those of the values replaced that shape a link. What is wrong raises the place's error."""
    read = {key: _read(key, entry) for key, entry in values.items() if key in LINK_FIELDS}
    for key in NODE_KEYS:
        if key in values:
            read[key] = None if values[key].says("none") else _range(values[key], Rate)
    try:
        return replace(base, **read)
    except ShapeError as cause:
        named = (word.strip(":") for word in str(cause).split())
        at = next((word for word in named if word in read), "")
        raise values.get(at, place).fault(str(cause).removeprefix(f"{at}: ")) from None


def _shipped_directory() -> Path:
    package = Path(__file__).parents[1]
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
        raise ProfileError(f"profile {quoted(name_or_path)} is unknown; {hint} (a file of your own: ./NAME.yaml)")
    return _load_file(_shipped_directory() / f"{name}.yaml")


def _load_file(path: Path) -> Profile:
    root = read_yaml(path, ProfileError)
    values = root.mapping([*PROFILE_KEYS, *SHAPE_KEYS, *NODE_KEYS])
    description = " ".join(values["description"].text("a line of text").split()) if "description" in values else ""
    return read_shape(root, values, Profile(path.stem, description, path))
