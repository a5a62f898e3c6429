"""What the kernel's nf_tables can do, probed once per process with tables that exist only within a transaction.

The process keeps the answers, because each probe costs milliseconds (an RCU grace period).
"""

from __future__ import annotations

import errno
import os
from typing import Final

from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_NETDEV, Nfnetlink
from harness.netlink.nft_steps import Step, attempt, dump, refusal_error
from harness.shaping.userspace.guard import FRAMES, TABLE

_NO_SUCH_FAMILY: Final = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENOENT)
_native: list[bool] = []
"""Whether the kernel has nft's own queue expression; empty until probed."""
_frames: list[int | None] = []
"""The hook at which the kernel shows frames, or None; empty until probed."""


def has_queue(netlink: Nfnetlink) -> bool:
    """Whether the kernel has nft's own queue expression; else it has iptables' NFQUEUE. Raises OSError without both."""
    if _native:
        return _native[0]
    chain = nft.Chain(f"{TABLE}-probe", "queue", "filter", None, None, None)
    for native in (True, False):
        rule = nft.add_rule(NFPROTO_IPV4, chain.table, chain.name, [expr.ToQueue(0, native)])
        steps = _probe(NFPROTO_IPV4, chain, ("send packets to a queue", rule))
        refusals = attempt(netlink, steps)
        if not refusals:
            _native.append(native)
            return native
        if (refusals[0].index, refusals[0].errno) != (2, errno.ENOENT):
            raise refusal_error(steps, refusals[0])
    lacks = "this kernel has neither nft_queue nor nft_compat with xt_NFQUEUE"
    raise OSError(errno.ENOENT, f"send packets to a queue: {os.strerror(errno.ENOENT)} ({lacks})")


def frames_hook(netlink: Nfnetlink) -> int | None:
    """The hook at which nf_tables sees frames: EGRESS (Linux 5.16) or INGRESS; None: at none.

    It need not probe where our own chain exists. Raises OSError.
    """
    if not _frames:
        present = [nft.read_chain(body) for body in dump(netlink, nft.chains_request(NFPROTO_NETDEV))]
        _frames.extend([one.hook for one in present if (one.table, one.name) == (TABLE, FRAMES)][:1])
    if not _frames:
        _frames.append(next((hook for hook in (nft.EGRESS, nft.INGRESS) if _shows_frames(netlink, hook)), None))
    return _frames[0]


def _shows_frames(netlink: Nfnetlink, hook: int) -> bool:
    steps = _probe(NFPROTO_NETDEV, nft.Chain(f"{TABLE}-probe", FRAMES, "filter", hook, nft.RAW, expr.ACCEPT, "lo"))
    refusals = attempt(netlink, steps)
    if refusals and refusals[0].errno not in _NO_SUCH_FAMILY:
        raise refusal_error(steps, refusals[0])
    return not refusals


def _probe(family: int, chain: nft.Chain, *more: Step) -> list[Step]:
    """Steps that make a table with a chain, and delete it."""
    return [
        ("make a table", nft.add_table(family, chain.table)),
        ("make a chain", nft.add_chain(family, chain)),
        *more,
        ("delete a table", nft.delete_table(family, chain.table)),
    ]
