"""Arguments of a command as they may be recorded: without the values of options that are called after a secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"
_SECRET: Final = re.compile(r"(?i)token(?!s|iz)|secret|password|api[-_]?key")
"""In an option's name; ``--max-tokens`` and ``--tokenizer`` are no secrets."""
_OPTION: Final = re.compile(r"-{1,2}[^=\s]+|[+]{0,2}[A-Za-z_][\w.-]*(?==)")
_WORDS: Final = re.compile(r"""(\s+|(?:"[^"]*"|'[^']*'|[^\s"'])+)""")
"""Of a command line within one argument, as ``sh -c`` has it."""


def masked(argv: Sequence[str]) -> list[str]:
    """The arguments; ``--token X``, ``--token=X`` and ``TOKEN=X`` have ``***`` instead of X, in ``sh -c`` too."""
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
