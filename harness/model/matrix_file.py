"""Reads a table of values between nodes as people publish them: square, or one line per pair; see topology_file.py."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from harness.errors import TopologyError, UnitError, quoted
from harness.model.address import MAX_NODES
from harness.model.link import Pair
from harness.model.units import is_whole_number
from harness.model.yaml_file import read_text

Q = TypeVar("Q")
Cell = tuple[int, str]
"""Line number and text."""
_NO_LINK: Final = frozenset(
    ("", "-", "--", "–", "—", "n/a", "na", "nan", "none", "null", "inf", "infinity", "∞", "-1", "-1.0")
)
_SPACES: Final = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
"""No-break and thin spaces, which web pages have between a number and its unit."""
_NUMBER: Final = re.compile(r"[+-]?[\d.,]+(?:e[+-]?\d+)?\s*[a-zµμ/%]*", re.IGNORECASE)
_SOURCES: Final = ("src", "source", "from")
_TARGETS: Final = ("dst", "dest", "destination", "target", "to")
_LONG: Final = "src,dst,value"


@dataclass(frozen=True)
class Matrix(Generic[Q]):
    """Values by (from, to).

    Args:
        path: of the file.
        names: of the nodes, by rank; empty where the file has none.
        size: number of nodes.
        cells: values by pair, where the file has one.
        lines: the place of a pair in the file, as ``line: place``.
    """

    path: Path
    names: tuple[str, ...]
    size: int
    cells: dict[Pair, Q]
    lines: Callable[[Pair], str]

    def fault(self, pair: Pair, why: object) -> TopologyError:
        """The error to raise about a pair: place and reason."""
        return TopologyError(f"{self.path}:{self.lines(pair)} ({pair[0]}->{pair[1]}): {why}")

    def ordered(self, names: Sequence[str]) -> Matrix[Q]:
        """The matrix in another file's order of nodes, where both name them. Raises TopologyError."""
        if not names or not self.names or tuple(names) == self.names:
            return self
        if missing := sorted(set(names) ^ set(self.names)):
            raise TopologyError(f"{self.path} names other nodes: {quoted(missing[0])} is in one of the two files only")
        old = [self.names.index(name) for name in names]
        new = {rank: number for number, rank in enumerate(old)}
        cells = {(new[a], new[b]): value for (a, b), value in self.cells.items()}
        return Matrix(self.path, tuple(names), self.size, cells, lambda pair: self.lines((old[pair[0]], old[pair[1]])))


def read_matrix(path: Path, read: Callable[[str], Q]) -> Matrix[Q]:
    """Read a file; ``read`` turns a cell's text into its value. Raises TopologyError with file, line and place."""
    rows = _rows(path)
    _, first = rows[0]
    heading = [word.lower() for word in first[:2]]
    if len(first) >= 3 and heading[0] in _SOURCES and heading[1] in _TARGETS:
        return _long(path, rows[1:], read)
    return _square(path, rows, read)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells, without comments, empty lines, and a last column that is empty in every line."""
    lines = [
        (number, line)
        for number, line in enumerate(read_text(path, TopologyError).translate(_SPACES).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise TopologyError(f"{path} is empty; write one row per node and one cell per node in it")
    separator = next((one for one in "\t;" if one in lines[0][1]), ",")
    rows = []
    for number, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t"))
        except csv.Error as cause:
            raise TopologyError(f"{path}:{number}: this is not CSV: {cause}") from None
        cells = [cell.strip() for cell in cells]
        rows.append((number, [_decimal_point(cell) for cell in cells] if separator != "," else cells))
    longest = max(len(cells) for _, cells in rows)
    extra = longest > len(rows) or _are_names(rows[0][1][:-1])
    if extra and all(len(cells) < longest or not cells[-1] for _, cells in rows):
        rows = [(number, cells[: longest - 1]) for number, cells in rows]
    return rows


def _decimal_point(cell: str) -> str:
    """``12,5`` is 12.5 where commas do not separate cells."""
    return cell.replace(",", ".") if cell.count(",") == 1 and _NUMBER.fullmatch(cell) else cell


def _square(path: Path, rows: list[tuple[int, list[str]]], read: Callable[[str], Q]) -> Matrix[Q]:
    if len(rows) > MAX_NODES + 1:
        raise TopologyError(
            f"{path} has {len(rows)} rows; a matrix has one per node, and a network {MAX_NODES} at most"
        )
    across, down, rows = _without_names(path, rows)
    if across and _count(down) and not _count(across):
        down = []  # rows that are only numbered
    if across and down and sorted(across) != sorted(down):
        odd = sorted(set(across) ^ set(down))[0]
        raise TopologyError(f"{path}: rows and columns must name the same nodes; {quoted(odd)} is in one of them only")
    names = down or across
    order = [across.index(name) for name in names] if across and down else list(range(len(rows)))

    def place(pair: Pair) -> str:
        return f"{rows[pair[0]][0]}: row {pair[0]}, column {order[pair[1]]}"

    matrix = Matrix[Q](path, tuple(names), len(rows), {}, place)
    for a, (number, cells) in enumerate(rows):
        if len(cells) != len(rows):
            raise TopologyError(
                f"{path}:{number}: row {a} has {len(cells)} cells, but there are {len(rows)} rows; the matrix must be"
                f" square, or have one line per pair under the heading {_LONG}"
            )
        for b in range(len(rows)):
            if a != b:
                _put(matrix, (a, b), cells[order[b]], read)
    return matrix


def _without_names(
    path: Path, rows: list[tuple[int, list[str]]]
) -> tuple[list[str], list[str], list[tuple[int, list[str]]]]:
    """The names of columns and of rows (empty where there are none), and the rows without them."""
    across: list[str] = []
    numbered = _is_numbered(rows[0][1], [cells[0] for _, cells in rows[1:]])
    if numbered or (len(rows) > 1 and _are_names(rows[0][1][-len(rows) + 1 :])):
        across, rows = rows[0][1], rows[1:]
    down: list[str] = []
    wider = bool(across) and all(len(cells) == len(rows) + 1 for _, cells in rows)
    if numbered or wider or _are_names([cells[0] for _, cells in rows]):
        down = [cells[0] for _, cells in rows]
        rows = [(number, cells[1:]) for number, cells in rows]
    across = across[-len(rows) :] if len(across) in (len(rows), len(rows) + 1) else across
    for names in (across, down):
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise TopologyError(f"{path}: two nodes are called {quoted(twice[0])}")
    return across, down, rows


def _are_names(cells: Sequence[str]) -> bool:
    """Whether most of these are neither values nor "no link"; a single one may be a typing error."""
    words = sum(cell.lower() not in _NO_LINK and not _NUMBER.fullmatch(cell) for cell in cells)
    return words > len(cells) / 2


def _is_numbered(first: Sequence[str], down: Sequence[str]) -> bool:
    """Whether rows and columns are numbered, from 0 or from 1; the corner is then no number."""
    return len(down) > 1 and not _NUMBER.fullmatch(first[0]) and list(down) == list(first[1:]) and _count(down)


def _count(names: Sequence[str]) -> bool:
    """Whether these are 0, 1, 2, ... or 1, 2, 3, ..."""
    return list(names) in ([str(number + start) for number in range(len(names))] for start in (0, 1))


def _long(path: Path, rows: list[tuple[int, list[str]]], read: Callable[[str], Q]) -> Matrix[Q]:
    """One line per pair: from, to, value; further columns are ignored."""
    for number, cells in rows:
        if len(cells) < 3 or not cells[0] or not cells[1]:
            raise TopologyError(f"{path}:{number}: write {_LONG} in every line")
    found = dict.fromkeys(name for _, cells in rows for name in cells[:2])
    if len(found) > MAX_NODES:
        raise TopologyError(f"{path} names {len(found)} nodes; a network has {MAX_NODES} at most")
    names = sorted(found, key=int) if all(is_whole_number(name) for name in found) else list(found)
    ranks = {name: rank for rank, name in enumerate(names)}
    lines: dict[Pair, int] = {}

    def place(pair: Pair) -> str:
        number = lines.get(pair) or lines[pair[1], pair[0]]
        return f"{number}: {quoted(names[pair[0]])} to {quoted(names[pair[1]])}"

    matrix = Matrix[Q](path, tuple(names), len(names), {}, place)
    for number, cells in rows:
        pair = ranks[cells[0]], ranks[cells[1]]
        if pair[0] == pair[1]:
            continue
        if pair in lines:
            raise TopologyError(f"{path}:{number}: this pair is given twice (first in line {lines[pair]})")
        lines[pair] = number
        _put(matrix, pair, cells[2], read)
    return matrix


def _put(matrix: Matrix[Q], pair: Pair, cell: str, read: Callable[[str], Q]) -> None:
    if cell.lower() in _NO_LINK:
        return
    try:
        matrix.cells[pair] = read(cell)
    except UnitError as cause:
        raise matrix.fault(pair, cause) from None
