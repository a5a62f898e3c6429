"""Placeholders in a command of the user's own: ``{lr}`` stands for a value, ``{{lr}}`` for itself. Pure.

Everything else is text: other braces, as in JSON or in Python, need no escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from harness.errors import InputError, quoted
from harness.model.suggest import suggest

ALWAYS: Final = {
    "seed": "of the training",
    "profile": "its name in the report",
    "topology": "its name in the report",
    "scenario": "its name in the report, or none",
    "nodes": "their number",
    "run_dir": "the run's folder, as the command sees it",
}
"""Placeholders that every command has beside the parameters of its grid."""
_PLACEHOLDER: Final = re.compile(r"\{(\{)?([A-Za-z_]\w*)\}(?(1)\})")
NAME: Final = re.compile(r"[A-Za-z_]\w*")


def names_in(text: str) -> set[str]:
    """The names of the placeholders in a text."""
    return {name for escaped, name in _PLACEHOLDER.findall(text) if not escaped}


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the placeholders replaced by their values."""
    return _PLACEHOLDER.sub(lambda found: f"{{{found[2]}}}" if found[1] else values[found[2]], text)


def check_names(text: str, known: Iterable[str]) -> None:
    """Raise InputError where a placeholder has no value."""
    known = list(known)
    for name in sorted(names_in(text) - set(known)):
        if name == "rank":
            raise InputError("{rank} is not known here: all ranks have the same command; each finds its rank in $RANK")
        braces = "{" + name + "}"
        raise InputError(
            f"placeholder {quoted(braces)} has no value; {suggest(name, known)}; write {{{braces}}} for the text itself"
        )
