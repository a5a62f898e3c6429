"""A topology from matrices of delay or round trip, and rate: ``matrix:rtt=pings.csv,unit=ms``; see topology_file.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

from harness.errors import ShapeError, TopologyError, UnitError, quoted
from harness.model.link import LinkShape, Pair
from harness.model.matrix_file import Matrix, read_matrix
from harness.model.suggest import suggest
from harness.model.topology import Topology, TopologyEdge, check_clash
from harness.model.units import Rate, Time

MATRIX_EXAMPLE: Final = "matrix:delay=delays.csv,rate=rates.csv"
FILES: Final = ("delay", "rtt", "rate")
"""Keys whose value is a file."""
UNITS: Final = ("unit", "rate_unit")
"""Keys whose value is the unit of cells without one: of delay or rtt, of rate."""
_KEY: Final = re.compile(r"(?:^|,)\s*(delay|rtt|rate|unit|rate_unit)\s*=")
_BARE: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
Q = TypeVar("Q", Rate, Time)


def matrix_keys(spec: str) -> dict[str, str]:
    """The keys and values of a ``matrix:`` spec; a file's path may have commas. Raises TopologyError."""
    argument = spec.partition(":")[2]
    starts = list(_KEY.finditer(argument))
    ends = [start.start() for start in starts[1:]] + [len(argument)] if starts else []
    found = {start[1]: argument[start.end() : end].strip() for start, end in zip(starts, ends, strict=True)}
    if not starts or starts[0].start() or len(found) < len(starts) or not all(found.values()):
        key, equals, _ = argument.partition("=")
        if equals and not _KEY.match(argument):
            why = f"unknown key {quoted(key.strip())}; {suggest(key.strip(), (*FILES, *UNITS))}"
            raise TopologyError(f"topology {quoted(spec)}: {why}")
        raise TopologyError(f"topology {quoted(spec)}: write it as {MATRIX_EXAMPLE}")
    return found


def rooted_matrix(spec: str, root: Path) -> str:
    """The spec with absolute paths; a wrong spec unchanged, for load_matrix to refuse."""
    try:
        keys = matrix_keys(spec)
    except TopologyError:
        return spec
    return "matrix:" + ",".join(
        f"{key}={(root / value).resolve() if key in FILES else value}" for key, value in keys.items()
    )


def load_matrix(spec: str, nodes: int | None) -> Topology:
    """The topology of a ``matrix:`` spec. Raises TopologyError, for a wrong file with file, line and place."""
    keys = matrix_keys(spec)
    halved = "rtt" in keys
    if halved == ("delay" in keys):
        what = "both delay and rtt; give one" if halved else f"no delay and no rtt; write it as {MATRIX_EXAMPLE}"
        raise TopologyError(f"topology {quoted(spec)} has {what}")
    delays = read_matrix(_path(spec, keys["rtt" if halved else "delay"]), _reader(spec, keys, "unit", Time, "ms"))
    check_clash(str(delays.path), delays.size, nodes)
    rates = None
    if "rate" in keys:
        rates = read_matrix(_path(spec, keys["rate"]), _reader(spec, keys, "rate_unit", Rate, "mbit")).ordered(
            delays.names
        )
    if halved:
        _halve(delays)
    shapes = _shapes(delays, rates)
    inherits = frozenset(field.name for field in fields(LinkShape)) - ({"delay", "rate"} if rates else {"delay"})
    edges = [TopologyEdge(a, b, 0, shapes[a, b], shapes[b, a], inherits) for a, b in sorted(shapes) if a < b]
    try:
        return Topology(delays.path.stem + (" (RTT halved)" if halved else ""), delays.size, tuple(edges))
    except TopologyError as cause:
        raise TopologyError(f"{delays.path}: {cause}") from None


def _path(spec: str, name: str) -> Path:
    """The file's path. Raises TopologyError where it contains an unknown key."""
    unknown = re.search(r",\s*(\w+)\s*=", name)
    if unknown and not Path(name).exists():
        why = f"unknown key {quoted(unknown[1])}; {suggest(unknown[1], (*FILES, *UNITS))}"
        raise TopologyError(f"topology {quoted(spec)}: {why}")
    return Path(name)


def _reader(spec: str, keys: dict[str, str], key: str, kind: type[Q], example: str) -> Callable[[str], Q]:
    """The function that reads a cell; a number without a unit has the spec's."""
    unit = keys.get(key)
    if unit is not None:
        if any(letter.isdigit() for letter in unit):
            why = f"{key}={quoted(unit)} is not a unit: write it without a number, e.g. {key}={example}"
            raise TopologyError(f"topology {quoted(spec)}: {why}")
        try:
            smallest = Fraction(_steps(kind.parse(f"8{unit}")), 8)
        except UnitError as cause:
            raise TopologyError(f"topology {quoted(spec)}: {key}: {cause}") from None

    def read(text: str) -> Q:
        if not _BARE.fullmatch(text):
            return kind.parse(text)
        if unit is None:
            hint = f"; where numbers have no unit, say which: matrix:...,{key}={example}"
            try:
                return kind.parse(text)
            except UnitError as cause:
                raise UnitError(f"{cause}{hint}") from None
        if text.startswith("-"):
            return kind.parse(f"{text}{unit}")  # raises UnitError
        return kind.parse(f"{round(Fraction(text) * smallest)}{_STEP[kind]}")

    return read


_STEP: Final[dict[type[Rate | Time], str]] = {Rate: "bit", Time: "ns"}


def _steps(value: Rate | Time) -> int:
    return value.ns if isinstance(value, Time) else value.bit_s


def _halve(trips: Matrix[Time]) -> None:
    """Halve round trips into one-way delays; a pair that was measured from one side only is the same from the other."""
    for (a, b), trip in list(trips.cells.items()):
        trips.cells.setdefault((b, a), trip)
    for pair, trip in trips.cells.items():
        trips.cells[pair] = Time(trip.ns // 2)


def _shapes(delays: Matrix[Time], rates: Matrix[Rate] | None) -> dict[Pair, LinkShape]:
    if rates and rates.size != delays.size:
        raise TopologyError(f"{rates.path} is for {rates.size} nodes, but {delays.path} for {delays.size}")
    for cell in rates.cells if rates else ():
        if cell not in delays.cells:
            raise delays.fault(cell, f"no delay, but {rates and rates.path} has a rate there")
    shapes: dict[Pair, LinkShape] = {}
    for (a, b), delay in delays.cells.items():
        if (b, a) not in delays.cells:
            raise delays.fault((b, a), f"no delay, but {a}->{b} has one; an edge needs both directions")
        if rates and (a, b) not in rates.cells:
            raise rates.fault((a, b), f"no rate, but {delays.path} has a delay there")
        try:
            shapes[a, b] = LinkShape(delay=delay, rate=rates.cells[a, b] if rates else None)
        except ShapeError as cause:
            raise delays.fault((a, b), str(cause)) from None
    return shapes
