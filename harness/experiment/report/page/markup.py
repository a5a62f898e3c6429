"""HTML that is escaped by construction: what is no `Html` is text, and text from data can hold anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

_VOID: Final = ("meta", "link", "br")
_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|×|(?:[mµ]?s|min|h|[kMG]?B|[kMG]?bit/s)\b))")
"""The space between a number and its unit, at which no line may end."""


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


def html(value: object) -> Html:
    """Markup as it is; everything else escaped."""
    return value if isinstance(value, Html) else Html(_UNIT.sub("\u00a0", escape(str(value), quote=True)))


def joined(parts: Iterable[object]) -> Html:
    """One after the other."""
    return Html("".join(map(html, parts)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. ``class_`` is class, ``aria_label`` is aria-label; an attribute that is None or False is left out."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value), quote=True)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{told}>" + ("" if name in _VOID else f"{joined(children)}</{name}>"))


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table that scrolls by itself. Columns that end in ``>`` are numbers; a row's first cell is its header."""
    numeric = [column.endswith(">") for column in columns]
    head = [
        tag("th", column.rstrip(">"), scope="col", class_="number" if right else None)
        for column, right in zip(columns, numeric, strict=True)
    ]
    body = [
        tag(
            "tr",
            *(
                tag("td" if place else "th", cell, scope=None if place else "row", class_="number" if right else None)
                for place, (cell, right) in enumerate(zip(row, numeric, strict=True))
            ),
        )
        for row in rows
    ]
    made = tag("table", tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def data_block(name: str, value: Any) -> Html:
    """JSON that a script reads; nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Html(f'<script type="application/json" id="{name}">{text.replace("<", chr(92) + "u003c")}</script>')


def script(source: str) -> Html:
    """A program in the page; see inline_safe."""
    return Html(f"<script>{inline_safe(source)}</script>")


def inline_safe(source: str) -> str:
    """JavaScript in which no string ends the element or opens a comment."""
    return source.replace("</script", "<\\/script").replace("<!--", "\\x3c!--")
