"""A table as a value, and as lines of text that fit a terminal.

Where a table is too wide, first its prose is wrapped, then optional columns are left out, and at last every row becomes
a block of lines. Names, numbers and commands are never cut or wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, Self

_GAP: Final = "  "
Paint = Callable[[str, str], str]
"""(text, style) -> the styled text."""
_NARROWEST: Final = 15
"""The fewest columns for prose before something else gives way."""


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        name: its heading.
        right: whether its cells are right-aligned.
        breaks: the text after which a cell may be wrapped: ``" "`` for prose, ``", "`` for a list; empty: nowhere.
        optional: whether it may be left out where the table is too wide; the last one goes first.
    """

    name: str
    right: bool = False
    breaks: str = ""
    optional: bool = False


class Styled(str):
    """A cell in a colour of the terminal: green, red, yellow or dim."""

    style: str

    def __new__(cls, text: str, style: str) -> Self:
        """The text in this style."""
        made = super().__new__(cls, text)
        made.style = style
        return made


@dataclass
class Table:
    """A title (above it), columns, a caption (below it), and rows of cells."""

    title: str
    columns: Sequence[Column]
    caption: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    _sections: set[int] = field(default_factory=set)
    _bold: set[int] = field(default_factory=set)

    def add_row(self, *cells: str, bold: bool = False) -> None:
        """Add a row."""
        if bold:
            self._bold.add(len(self.rows))
        self.rows.append(cells)

    def end_section(self) -> None:
        """Let an empty line follow."""
        self._sections.add(len(self.rows))

    def lines(self, width: int | None, paint: Paint = lambda text, style: text) -> list[str]:
        """The table as text.

        Args:
            width: of the terminal; None: no limit, one line per row.
            paint: styles a text.
        """
        heading = [paint(line, "bold") for line in fill(self.title, " ", width)] if self.title else []
        caption = [line for text in self.caption.splitlines() for line in fill(text, " ", width)]
        shown, left_out = list(range(len(self.columns))), list[str]()
        while (widths := self._widths(shown, width)) is None:
            last = next((index for index in reversed(shown) if self.columns[index].optional), None)
            if last is None:
                return [*heading, *self._blocks(width or 0, paint), *caption]
            shown.remove(last)
            left_out.insert(0, self.columns[last].name)
        if left_out:
            caption += fill(f"no room for: {', '.join(left_out)}; --json has all", " ", width)
        return [*heading, *self._grid(shown, widths, width, paint), *caption]

    def _widths(self, shown: Sequence[int], width: int | None) -> list[int] | None:
        """The widths of the columns that are shown; None where they do not fit."""
        natural = [max(len(self.columns[index].name), *(len(row[index]) for row in self.rows), 0) for index in shown]
        if width is None:
            return natural
        over = sum(natural) + len(_GAP) * (len(shown) - 1) - width
        least = [self._least(index, most) for index, most in zip(shown, natural, strict=True)]
        while over > 0:
            spare = [most - few for most, few in zip(natural, least, strict=True)]
            if max(spare) <= 0:
                return None
            natural[spare.index(max(spare))] -= 1
            over -= 1
        return natural

    def _least(self, index: int, natural: int) -> int:
        """The minimum width of a column."""
        column = self.columns[index]
        if not column.breaks:
            return natural
        pieces = (len(piece) for row in self.rows for piece in _pieces(row[index], column.breaks))
        return min(natural, max(_NARROWEST if column.breaks == " " else 0, len(column.name), *pieces))

    def _grid(self, shown: Sequence[int], widths: Sequence[int], width: int | None, paint: Paint) -> list[str]:
        columns = [self.columns[index] for index in shown]
        lines = [_line([column.name for column in columns], columns, widths, ["bold"] * len(columns), paint)]
        for number, row in enumerate(self.rows):
            if number in self._sections:
                lines.append("")
            cells = [
                fill(row[index], column.breaks, None if width is None else most)
                for index, column, most in zip(shown, columns, widths, strict=True)
            ]
            styles = ["bold" if number in self._bold else getattr(row[index], "style", "") for index in shown]
            for parts in zip_longest(*cells, fillvalue=""):
                line = _line(parts, columns, widths, styles, paint)
                lines.append(line)
        return lines

    def _blocks(self, width: int, paint: Paint) -> list[str]:
        """Each row as lines of name and value, with an empty line before the next."""
        names = max(len(column.name) for column in self.columns)
        lines: list[str] = []
        first = ""
        for number, row in enumerate(self.rows):
            lines += [""] if number else []
            first = row[0] or first  # left out where it is the row's before
            row = (first, *row[1:])
            for column, cell in zip(self.columns, row, strict=True):
                parts = fill(cell, column.breaks, max(width - names - len(_GAP), _NARROWEST)) if cell else []
                style = "bold" if number in self._bold else getattr(cell, "style", "")
                for place, part in enumerate(parts):
                    head = "" if place else column.name
                    lines.append(f"{head:<{names}}{_GAP}{paint(part, style)}")
        return lines


def fill(text: str, breaks: str, width: int | None) -> list[str]:
    """The text in lines of at most the width, or longer ones where it cannot be wrapped."""
    if width is None or not breaks or len(text) <= width:
        return [text]
    lines = [""]
    for piece in _pieces(text, breaks):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _pieces(text: str, breaks: str) -> list[str]:
    *pieces, last = text.split(breaks)
    return [*(piece + breaks for piece in pieces), last]


def _line(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], styles: Sequence[str], paint: Paint
) -> str:
    parts = []
    for cell, column, width, style in zip(cells, columns, widths, styles, strict=True):
        space = " " * (width - len(cell))
        painted = paint(cell, style) if cell else ""
        parts.append(space + painted if column.right else painted + space)
    return _GAP.join(parts).rstrip()
