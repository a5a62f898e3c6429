"""Droptail as a qdisc."""

from __future__ import annotations

import struct

from harness.model.capacity import DROPTAIL
from harness.shaping.caps.tree import Leaf


def leaf_options(leaf: Leaf, rate: int) -> tuple[str, bytes]:
    """Kind and options of the qdisc that a leaf asks for."""
    return "bfifo", struct.pack("=I", leaf.limit)


def read_leaf(kind: str, options: memoryview, wanted: Leaf | None, rate: int) -> Leaf:
    """The leaf that a qdisc is."""
    return Leaf(DROPTAIL, struct.unpack_from("=I", options)[0])
