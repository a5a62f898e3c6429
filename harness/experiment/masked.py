"""Hides secrets in the arguments of a command before they are recorded: the values of options named after one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"
_SECRET: Final = re.compile(r"(?i)token(?!s|iz)|secret|password|api[-_]?key")
"""Matches the name of an option with a secret value, but not ``--max-tokens`` or ``--tokenizer``."""
_OPTION: Final = re.compile(r"-{1,2}[^=\s]+|[+]{0,2}[A-Za-z_][\w.-]*(?==)")
_WORDS: Final = re.compile(r"""(\s+|(?:"[^"]*"|'[^']*'|[^\s"'])+)""")
"""Splits a command line that is one argument, as in ``sh -c``."""


def masked(argv: Sequence[str]) -> list[str]:
    """Replace X by ``***`` in ``--token X``, ``--token=X`` and ``TOKEN=X``, also within an argument of ``sh -c``."""
    found: list[str] = []
    hide = False
    for word in argv:
        if word.isspace():
            found.append(word)
            continue
        option = _OPTION.match(word)
        named = option is not None and _SECRET.search(option[0]) is not None
        if hide and not word.startswith("-"):
            found.append(HIDDEN)
        elif named and option and word[option.end() : option.end() + 1] == "=":
            found.append(word[: option.end() + 1] + HIDDEN)
        elif len(parts := _WORDS.split(word)) > 3:
            found.append("".join(masked([part for part in parts if part])))
        else:
            found.append(word)
        hide = named and "=" not in word
    return found
