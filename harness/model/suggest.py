"""A hint for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from harness.errors import MOST_QUOTED

_SYNONYMS: Final = {"bandwidth": "rate", "latency": "delay", "packet_loss": "loss", "correlation": "loss_correlation"}


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'delay'?``, or the list of what is known where nothing is near."""
    known = list(known)
    near = [_SYNONYMS.get(word.lower(), ""), *difflib.get_close_matches(word.lower()[:MOST_QUOTED], known)]
    found = next((name for name in near if name in known), None)
    return f"did you mean {found!r}?" if found else f"known: {', '.join(known)}"
