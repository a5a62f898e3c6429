"""Tables as text: a heading, and lines of cells that end at commas, semicolons or tabs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.model.format import count
from harness.model.yaml_file import read_text


@dataclass(frozen=True)
class CsvTable:
    """A table of a file.

    Args:
        place: of the heading, for errors.
        heading: names of the columns.
        lines: place and cells of each, as many as the heading has.
        end: what cells end at: with semicolons or tabs a decimal comma is one.
    """

    place: str
    heading: list[str]
    lines: list[tuple[str, list[str]]]
    end: str


def read_table(path: Path, what: str) -> CsvTable:
    """Read a table. A byte order mark, CRLF and lines that are blank or begin with ``#`` do no harm.

    Args:
        path: of the file.
        what: it is, for errors.

    Raises:
        InputError: there is no such file, no line below a heading, or a line has not as many cells; with its place.
    """
    lines = [
        (f"{path}:{number}", line)
        for number, line in enumerate(read_text(path, InputError).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) < 2:
        raise InputError(f"{path}: {what} has a heading and at least one line; this has {count(len(lines), 'line')}")
    end = next((sign for sign in ("\t", ";") if sign in lines[0][1]), ",")
    (place, heading), *rows = ((place, [cell.strip().strip('"') for cell in line.split(end)]) for place, line in lines)
    for where, cells in rows:
        if len(cells) != len(heading):
            raise InputError(f"{where}: {len(cells)} cells under a heading of {len(heading)}")
    return CsvTable(place, heading, rows, end)
