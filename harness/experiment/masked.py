"""Arguments of a command as they may be recorded: without the values of options that are called after a secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"
_SECRET: Final = re.compile(r"(?i)token|secret|password|api[-_]?key")
_OPTION: Final = re.compile(r"-{1,2}[^=\s]+|[A-Za-z_][\w.]*(?==)")


def masked(argv: Sequence[str]) -> list[str]:
    """The arguments; ``--token X``, ``--token=X`` and ``TOKEN=X`` have ``***`` instead of X."""
    found: list[str] = []
    hide = False
    for word in argv:
        option = _OPTION.match(word)
        named = option is not None and _SECRET.search(option[0]) is not None
        if hide and not word.startswith("-"):
            found.append(HIDDEN)
        elif named and option and word[option.end() : option.end() + 1] == "=":
            found.append(word[: option.end() + 1] + HIDDEN)
        else:
            found.append(word)
        hide = named and "=" not in word
    return found
