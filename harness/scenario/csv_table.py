"""CSV tables with a heading, and commas, semicolons or tabs between cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from harness.errors import InputError, quoted
from harness.model.format import count
from harness.model.yaml_file import read_text


@dataclass(frozen=True)
class CsvTable:
    """A table.

    Args:
        place: of the heading, for errors.
        heading: names of the columns.
        lines: the place and the cells of each line; as many cells as columns.
        separator: what stands between cells: a comma, a semicolon or a tab.
    """

    place: str
    heading: list[str]
    lines: list[tuple[str, list[str]]]
    separator: str

    def number(self, place: str, cell: str) -> Fraction:
        """A cell's number, 0 or more; it may have a decimal comma where no comma separates cells. Raises InputError."""
        text = cell if self.separator == "," else cell.replace(",", ".")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{place}: {quoted(cell)} is not a number")
        if value < 0:
            raise InputError(f"{place}: {quoted(cell)} is negative")
        return Fraction(text) if value else Fraction(0)


def read_table(path: Path, what: str) -> CsvTable:
    """Read a table; a byte order mark, CRLF, blank lines and lines that begin with ``#`` are skipped.

    Args:
        path: of the file.
        what: the kind of file, for errors.

    Raises:
        InputError: the file does not exist, has no line below its heading, or a line has another number of cells.
    """
    lines = [
        (f"{path}:{number}", line)
        for number, line in enumerate(read_text(path, InputError).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) < 2:
        raise InputError(f"{path}: {what} has a heading and at least one line; this has {count(len(lines), 'line')}")
    separator = next((sign for sign in ("\t", ";") if sign in lines[0][1]), ",")
    cells_of = [(place, [cell.strip().strip('"') for cell in line.split(separator)]) for place, line in lines]
    (place, heading), *rows = cells_of
    for where, cells in rows:
        if len(cells) != len(heading):
            raise InputError(f"{where}: {len(cells)} cells under a heading of {len(heading)}")
    return CsvTable(place, heading, rows, separator)
