"""A hint for a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from harness.errors import MOST_QUOTED

_SYNONYMS: Final = {
    "bandwidth": "rate",
    "latency": "delay",
    "packet_loss": "loss",
    "correlation": "loss_correlation",
    "gemodel": "gilbert_elliott",
    "duplication": "duplicate",
    "corruption": "corrupt",
    "reordering": "reorder",
    "delay_distribution": "distribution",
}
_NOT_HERE: Final = {
    "jitter_correlation": "delays of successive packets are independent here",
    "delay_correlation": "delays of successive packets are independent here",
    "reorder_correlation": "each packet is reordered independently here",
    "ecn": "it is a parameter of queues that can mark: write e.g. queue: codel,ecn=yes",
    "uplink": "what a node's edges share stands under caps: {all: {uplink: 20mbit}}",
    "downlink": "what a node's edges share stands under caps: {all: {downlink: 100mbit}}",
    "cpu": "a node's share of a CPU stands under caps: {2: {cpu: 25%}} in a topology file, or is --cpu 2=25%",
    "slot": "links here send packets one by one",
    "gap": "links here reorder by chance: write reorder, e.g. 1%",
}
"""Keys of netem, or of another place in a file, that do not exist where a user may try them; with advice."""


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'delay'?``, or the list of known words where none is similar."""
    known, plain = list(known), word.lower().replace("-", "_")
    if why := _NOT_HERE.get(plain):
        return why
    near = [_SYNONYMS.get(plain, ""), *difflib.get_close_matches(word.lower()[:MOST_QUOTED], known)]
    found = next((name for name in near if name in known), None)
    return f"did you mean {found!r}?" if found else f"known: {', '.join(known)}"
