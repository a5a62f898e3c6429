"""Attempts to do what the engines do, in a throwaway network namespace.

Each returns how it works, or an empty string, and raises OSError with the reason where it does not. They build on each
other: in order, in one process.
"""

from __future__ import annotations

import contextlib
import errno
import platform
import select
import socket
import struct
from contextlib import closing
from ipaddress import IPv4Address
from typing import Final

from harness.linux.syscalls import CLONE_NEWNET, unshare_as_root_or_not
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request, Rtnetlink
from harness.shaping import tcwire
from harness.shaping.qdisc import ROOT, Branch, Netem, Tbf
from harness.shaping.qdisc_diff import differences
from harness.shaping.userspace import rules
from harness.shaping.userspace.nfqueue import Nfqueue

_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_LOOPBACK: Final = 1
_SOURCE: Final = "127.0.0.2"
_QUEUE: Final = 1
_WAIT_SECONDS: Final = 1.0


def enter() -> str:
    """Move this process into a network namespace of its own."""
    rootless = unshare_as_root_or_not(CLONE_NEWNET)
    return "in a user namespace, rootless" if rootless else "as root"


def modules(names: str) -> str:
    """How to fix it where these kernel modules are missing."""
    several = "-a " if " " in names else ""
    packages = f"Debian, Ubuntu: apt install linux-modules-extra-{platform.release()}; Fedora: dnf install"
    return f"modprobe {several}{names} ({packages} kernel-modules-extra)"


def veth() -> str:
    """A pair of interfaces."""
    return _ask(_link("probe0", "veth"))


def bridge() -> str:
    """A bridge."""
    return _ask(_link("probe1", "bridge"))


def htb() -> str:
    """An htb root with a class."""
    body = tcwire.tcmsg(_LOOPBACK, ROOT | 1, ROOT, 0, "htb", tcwire.htb_class(0))
    root = _qdisc(ROOT, tcwire.TC_H_ROOT, "htb", tcwire.htb_root())
    return _ask(root, Request(tcwire.RTM_NEWTCLASS, _NEW, body))


def u32() -> str:
    """A filter by destination."""
    options = tcwire.u32_filter(IPv4Address("127.0.0.1"), ROOT | 1)
    body = tcwire.tcmsg(_LOOPBACK, 1, ROOT, tcwire.filter_info(4), "u32", options)
    return _ask(Request(tcwire.RTM_NEWTFILTER, _NEW, body))


def netem() -> str:
    """A netem that tells what it was told: some kernels take it and do nothing."""
    spec = Netem(
        delay_ns=64_000_000, jitter_ns=64_000, loss=1 << 30, limit=99, rate_byte_s=10**6, distribution="normal"
    )
    handle = 0x10 << 16
    _ask(_qdisc(handle, ROOT | 1, "netem", tcwire.netem(spec, fresh=True)))
    with Rtnetlink() as netlink:
        held = [tcwire.read(body) for body in netlink.dump(tcwire.RTM_GETQDISC, tcwire.dump_request(_LOOPBACK))]
    options = [found.options for found in held if (found.kind, found.handle) == ("netem", handle)]
    if not options:
        raise OSError(errno.ENODATA, "the kernel accepts it, but lists none")
    if wrong := differences(Branch(0, spec), Branch(0, tcwire.read_netem(options[0]))):
        raise OSError(errno.ENODATA, f"the kernel accepts it, but reports something else: {', '.join(wrong)}")
    return ""


def tbf() -> str:
    """A token bucket."""
    body = tcwire.tcmsg(_LOOPBACK, ROOT | 2, ROOT, 0, "htb", tcwire.htb_class(0))
    options = tcwire.tbf(Tbf(1_000_000, 10_000, 100_000))
    return _ask(Request(tcwire.RTM_NEWTCLASS, _NEW, body), _qdisc(0x20 << 16, ROOT | 2, "tbf", options))


def nfqueue() -> str:
    """A datagram that waits in a queue, and goes on when it is let."""
    up = Request(tcwire.RTM_NEWLINK, 0, struct.pack("=BxHiII", 0, 0, _LOOPBACK, 1, 1))
    _ask(up)
    with (
        Nfnetlink() as netlink,
        closing(Nfqueue()) as queue,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        how = rules.install(netlink, _LOOPBACK, [rules.Rule(IPv4Address(_SOURCE), _QUEUE)])
        queue.bind(_QUEUE, max_length=10, copy_bytes=1, segment=False)
        receiver.bind(("127.0.0.1", 0))
        sender.bind((_SOURCE, 0))
        sender.sendto(b"probe", receiver.getsockname())
        packets = queue.receive() if _readable(queue, _WAIT_SECONDS) else []
        if _readable(receiver, 0):
            raise OSError(errno.ENODATA, "packets pass by the queue")
        if not packets:
            raise OSError(errno.ETIMEDOUT, "packets do not come into the queue")
        _, waiting, *_ = packets[0]
        queue.verdict(_QUEUE, waiting, True)
        if not _readable(receiver, _WAIT_SECONDS):
            raise OSError(errno.ETIMEDOUT, "packets that the queue accepts do not go on")
    return f"by {how}"


def clean() -> None:
    """Take back from the current network namespace what htb, u32, netem, tbf and nfqueue have left there."""
    with Rtnetlink() as netlink:
        body = tcwire.tcmsg(_LOOPBACK, ROOT, tcwire.TC_H_ROOT, 0, "htb", None)
        netlink.batch([Request(tcwire.RTM_DELQDISC, 0, body)])  # refused where htb could not be made
    with contextlib.suppress(OSError), Nfnetlink() as netfilter:
        rules.remove(netfilter)


def _ask(*requests: Request) -> str:
    with Rtnetlink() as netlink:
        for refusal in netlink.batch(requests):
            raise OSError(refusal.errno, refusal.text)
    return ""


def _link(name: str, kind: str) -> Request:
    header = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    return Request(tcwire.RTM_NEWLINK, _NEW, header + attr(3, name.encode() + b"\0") + attr(18, attr(1, kind.encode())))


def _qdisc(handle: int, parent: int, kind: str, options: bytes) -> Request:
    return Request(tcwire.RTM_NEWQDISC, _NEW, tcwire.tcmsg(_LOOPBACK, handle, parent, 0, kind, options))


def _readable(source: socket.socket | Nfqueue, seconds: float) -> bool:
    return bool(select.select([source], [], [], seconds)[0])
