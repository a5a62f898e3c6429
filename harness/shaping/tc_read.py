"""Messages of dumps as qdiscs and filters: the inverse of tc_messages.py."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from harness.shaping import leaf, u32
from harness.shaping.caps.messages import kind_and_options
from harness.shaping.leaf import Leaf
from harness.shaping.qdisc import Netem, Prefix, Tbf
from harness.shaping.tc_messages import NETEM_LOSS_GE, PRIORITY, TICK_NS
from harness.shaping.tc_plugin import decode_options


def _attributes(found: Any) -> dict[str, Any]:
    """The attributes in a message or an attribute, by name."""
    return {} if found is None else {slot.name: slot.value for slot in found["attrs"]}


def read_netem(body: memoryview) -> Netem:
    """The parameters of a netem in a message of a dump. Not every kernel reports the jitter table and the seed: both
    are left out."""
    options = decode_options("netem", kind_and_options(body)[1])
    nested = dict(options["attrs"])

    def first(name: str, default: int = 0) -> int:
        return int(nested.get(name, (default,))[0])

    rate, overhead, *_ = nested.get("TCA_NETEM_RATE", (0, 0))

    chain = nested.get("TCA_NETEM_LOSS")
    chain = chain[2:] if chain and chain[1] == NETEM_LOSS_GE else None
    return Netem(
        delay_ns=first("TCA_NETEM_LATENCY64", options["delay"] * TICK_NS),
        jitter_ns=first("TCA_NETEM_JITTER64", options["jitter"] * TICK_NS),
        limit=options["limit"],
        loss=0 if chain else options["loss"],
        chain=chain,
        duplicate=options["duplicate"],
        corrupt=first("TCA_NETEM_CORRUPT"),
        reorder=first("TCA_NETEM_REORDER"),
        gap=options["gap"],
        rate_byte_s=first("TCA_NETEM_RATE64", rate),
        overhead=overhead,
    )


def read_leaf(body: memoryview, wanted: Leaf | None, rate_byte_s: int) -> Leaf | None:
    """The leaf in a message of a dump; see leaf.read_leaf."""
    return leaf.read_leaf(*kind_and_options(body), wanted, rate_byte_s)


def read_tbf(body: memoryview) -> Tbf:
    """The parameters of a token bucket in a message of a dump.

    The kernel reports the burst in ticks of 64 ns: it is rounded to bytes.
    """
    nested = _attributes(decode_options("tbf", kind_and_options(body)[1]))
    parms = nested["TCA_TBF_PARMS"]
    rate = nested.get("TCA_TBF_RATE64", parms["rate"])
    overhead = parms["rate_overhead"]
    return Tbf(rate, round(parms["buffer"] * TICK_NS * rate / 1e9) - overhead, parms["limit"], overhead)


@lru_cache(maxsize=4096)
def read_filter(body: bytes) -> tuple[int, Prefix, int] | None:
    """(handle, prefix of destinations, classid) of a filter that we made; None for hash tables and others' filters."""
    found = u32.read_filter(memoryview(body))
    if found is None or PRIORITY.get(found[2].version) != found[0]:
        return None
    _, handle, spec = found
    prefix = u32.prefix_of("dst", spec)
    return None if prefix is None else (handle, prefix, spec.classid)
