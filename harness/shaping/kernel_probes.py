"""One probe per kernel feature, which does what an engine does, in a throwaway network namespace.

A probe returns how the feature works, or "", and raises OSError with the reason where it does not work. Some build on
others (cls_u32 and sch_netem on sch_htb): call them in the order of PROBES, in one process. The probes of netem and tbf
import pyroute2's message classes, which takes 0.05 s.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import select
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from harness.linux.syscalls import CLONE_NEWNET, unshare_as_root_or_not
from harness.netlink.links import new_link, set_up
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.nftables import EGRESS
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from harness.netlink.rtnetlink import Request, Rtnetlink
from harness.shaping.caps import messages, probes
from harness.shaping.caps.messages import set_class
from harness.shaping.htb_class import never_limiting
from harness.shaping.qdisc import DROPPING, ROOT, Branch, Netem, Tbf
from harness.shaping.qdisc_diff import differences
from harness.shaping.u32 import by_prefix, set_filter
from harness.shaping.userspace import rules
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.nfqueue import Nfqueue
from harness.shaping.userspace.nft_features import frames_hook

_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_LOOPBACK: Final = 1
_ROOT: Final = 0xFFFFFFFF
"""TC_H_ROOT: where an interface has its first qdisc."""
_SOURCE: Final = "127.0.0.2"
_QUEUE: Final = 1
_FILTERS: Final = frozenset(("nfqueue", "nft_netdev"))
"""The features whose probes make packet filters."""
_WAIT_SECONDS: Final = 1.0


def enter() -> str:
    """Move this process into a network namespace of its own."""
    rootless = unshare_as_root_or_not(CLONE_NEWNET)
    return "in a user namespace, rootless" if rootless else "as root"


def modules(names: str) -> str:
    """How to get these kernel modules."""
    several = "-a " if " " in names else ""
    packages = f"Debian, Ubuntu: apt install linux-modules-extra-{platform.release()}; Fedora: dnf install"
    return f"modprobe {several}{names} ({packages} kernel-modules-extra)"


def veth() -> str:
    """A pair of interfaces."""
    return _ask(new_link("probe0", "veth"))


def bridge() -> str:
    """A bridge."""
    return _ask(new_link("probe1", "bridge"))


def knows_netem() -> bool:
    """Whether the kernel has netem, or can load it: it refuses a known qdisc without options with EINVAL."""
    try:
        _ask(messages.raw_request(messages.RTM_NEWQDISC, _NEW, _LOOPBACK, 0, _ROOT, "netem"))
    except OSError as problem:
        return problem.errno != errno.ENOENT
    return True


def htb() -> str:
    """An htb root with a class."""
    return _ask(messages.new_root(_LOOPBACK, DROPPING), set_class(_LOOPBACK, 1, ROOT, never_limiting()))


def u32() -> str:
    """A filter by destination."""
    by_destination = by_prefix("dst", IPv4Network("127.0.0.1"), ROOT | 1)
    return _ask(set_filter(_LOOPBACK, ROOT, 2, 0, by_destination))


def netem() -> str:
    """A netem that reports its parameters: some kernels accept one and do nothing."""
    if not knows_netem():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    from harness.shaping import tc_messages as tc
    from harness.shaping import tc_read

    spec = Netem(
        delay_ns=64_000_000, jitter_ns=64_000, loss=1 << 30, limit=99, rate_byte_s=10**6, distribution="normal"
    )
    handle = 0x10 << 16
    _ask(tc.request(tc.RTM_NEWQDISC, _NEW, _LOOPBACK, handle, ROOT | 1, "netem", tc.netem(spec, fresh=True)))
    with Rtnetlink() as netlink:
        qdiscs = list(netlink.dump(messages.RTM_GETQDISC, messages.dump_request(_LOOPBACK)))
    listed = [
        body
        for body in qdiscs
        if messages.header(body)[:2] == (_LOOPBACK, handle) and messages.kind_and_options(body)[0] == "netem"
    ]
    if not listed:
        raise OSError(errno.ENODATA, "the kernel accepts it, but does not list it")
    if wrong := differences(Branch(0, spec), Branch(0, tc_read.read_netem(listed[0]))):
        raise OSError(errno.ENODATA, f"the kernel accepts it, but reports something else: {', '.join(wrong)}")
    return ""


def tbf() -> str:
    """A token bucket."""
    from harness.shaping import tc_messages as tc

    flags, options = NLM_F_CREATE | NLM_F_REPLACE, tc.tbf(Tbf(1_000_000, 10_000, 100_000))
    return _ask(tc.request(tc.RTM_NEWQDISC, flags, _LOOPBACK, 0, tc.TC_H_ROOT, "tbf", options))


def nfqueue() -> str:
    """A datagram that waits in a queue until the queue's reader accepts it."""
    _ask(set_up(_LOOPBACK))
    with (
        Nfnetlink() as netlink,
        closing(Nfqueue()) as queue,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        source = IPv4Address(_SOURCE)
        how = rules.install(
            netlink, Guard(_LOOPBACK, (source,), device="lo"), [rules.Rule(IPv4Network(source), _QUEUE)]
        )
        queue.bind(_QUEUE, max_length=10, copy_bytes=1, segment=False)
        receiver.bind(("127.0.0.1", 0))
        sender.bind((_SOURCE, 0))
        sender.sendto(b"probe", receiver.getsockname())
        packets = queue.receive() if _readable(queue, _WAIT_SECONDS) else []
        if _readable(receiver, 0):
            raise OSError(errno.ENODATA, "packets bypass the queue")
        if not packets:
            raise OSError(errno.ETIMEDOUT, "packets do not reach the queue")
        _, number, *_ = packets[0]
        queue.verdict(_QUEUE, number, True)
        if not _readable(receiver, _WAIT_SECONDS):
            raise OSError(errno.ETIMEDOUT, "packets that the queue accepts do not arrive")
    return f"by {how}"


def frames() -> str:
    """A chain of nf_tables that sees every frame of an interface."""
    with Nfnetlink() as netlink:
        hook = frames_hook(netlink)
    if hook is None:
        raise OSError(errno.EOPNOTSUPP, "this kernel was built without CONFIG_NF_TABLES_NETDEV")
    return "as they leave" if hook == EGRESS else "as they come (as they leave: Linux 5.16)"


def clean(probed: Collection[str]) -> None:
    """Remove what the probes of these features have left in the current network namespace.

    For packet filters that is a table with the name of the user-space engine's, so it removes that, too.
    """
    probes.clean()
    if not _FILTERS & set(probed):
        return
    with contextlib.suppress(OSError), Nfnetlink() as netfilter:
        rules.remove(netfilter)


def _ask(*requests: Request) -> str:
    with Rtnetlink() as netlink:
        for refusal in netlink.batch(requests):
            raise OSError(refusal.errno, refusal.text)
    return ""


def _readable(source: socket.socket | Nfqueue, seconds: float) -> bool:
    return bool(select.select([source], [], [], seconds)[0])


PROBES: Final[Mapping[str, Callable[[], str]]] = {
    "veth": veth,
    "bridge": bridge,
    "sch_htb": htb,
    "cls_u32": u32,
    "sch_netem": netem,
    "sch_tbf": tbf,
    "nfqueue": nfqueue,
    "nft_netdev": frames,
    "ifb": probes.ifb,
    "act_mirred": probes.mirred,
    "act_skbedit": probes.skbedit,
    "sch_codel": partial(probes.discipline, "codel"),
    "sch_fq_codel": partial(probes.discipline, "fq_codel"),
    "sch_red": partial(probes.discipline, "red"),
    "sch_pie": partial(probes.discipline, "pie"),
}
"""By feature."""
