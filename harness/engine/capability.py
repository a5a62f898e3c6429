"""What the running kernel can do, found out by doing it in a throwaway network namespace."""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from harness.engine import tcwire
from harness.errors import PrivilegeError, UnavailableError
from harness.linux.syscalls import CLONE_NEWNET, unshare_as_root_or_not
from harness.linux.worker import forked
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request, Rtnetlink
from harness.qdisc import ROOT, Netem, Tbf

_NEW = NLM_F_CREATE | NLM_F_EXCL
_LOOPBACK = 1


@dataclass(frozen=True)
class Feature:
    """Something that the kernel has or lacks.

    Args:
        name: e.g. ``sch_netem``.
        purpose: what it is for.
        ok: whether it works here.
        detail: the kernel's answer where it does not.
        remedy: what mends it.
        required: whether nothing can be shaped without it.
    """

    name: str
    purpose: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    required: bool = True


def _module(name: str) -> str:
    release = platform.release()
    return (
        f"modprobe {name} (Debian, Ubuntu: apt install linux-modules-extra-{release}; Fedora: dnf install"
        " kernel-modules-extra); where the kernel was built without it: scripts/with-netem harness ..."
    )


def features() -> list[Feature]:
    """Probe everything. Needs root, or user namespaces; where neither is there, that is the only answer."""
    try:
        return forked(_probe_all)
    except PrivilegeError as error:
        remedy = "run as root, or allow them: sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"
        return [Feature("namespaces", "nodes of their own", False, str(error), remedy)]


def require_shaping() -> None:
    """Raise UnavailableError or PrivilegeError where links cannot be shaped here."""
    for feature in features():
        if feature.required and not feature.ok:
            kind = PrivilegeError if feature.name == "namespaces" else UnavailableError
            raise kind(f"{feature.name}: {feature.detail} ({feature.purpose}); mend it: {feature.remedy}")


def _probe_all() -> list[Feature]:
    """In a forked process: enter a namespace of its own and try each thing there."""
    try:
        rootless = unshare_as_root_or_not(CLONE_NEWNET)
    except OSError as problem:
        raise PrivilegeError(f"cannot make a network namespace: {problem.strerror}") from None
    how = "in a user namespace, rootless" if rootless else "as root"
    found = [Feature("namespaces", "nodes of their own", True, how)]
    for name, purpose, required, trial in _TRIALS:
        with Rtnetlink() as netlink:
            refusals = netlink.batch(trial())
        told = refusals[0].text if refusals else ""
        found.append(Feature(name, purpose, not refusals, told, _module(name) if refusals else "", required))
    return found


def _link(name: str, kind: str) -> Request:
    header = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    return Request(tcwire.RTM_NEWLINK, _NEW, header + attr(3, name.encode() + b"\0") + attr(18, attr(1, kind.encode())))


def _qdisc(handle: int, parent: int, kind: str, options: bytes) -> Request:
    return Request(tcwire.RTM_NEWQDISC, _NEW, tcwire.tcmsg(_LOOPBACK, handle, parent, 0, kind, options))


def _htb() -> list[Request]:
    body = tcwire.tcmsg(_LOOPBACK, ROOT | 1, ROOT, 0, "htb", tcwire.htb_class(0))
    return [_qdisc(ROOT, tcwire.TC_H_ROOT, "htb", tcwire.htb_root()), Request(tcwire.RTM_NEWTCLASS, _NEW, body)]


def _u32() -> list[Request]:
    options = tcwire.u32_filter(IPv4Address("127.0.0.1"), ROOT | 1)
    body = tcwire.tcmsg(_LOOPBACK, 1, ROOT, tcwire.filter_info(4), "u32", options)
    return [Request(tcwire.RTM_NEWTFILTER, _NEW, body)]


def _netem() -> list[Request]:
    spec = Netem(delay_ns=1_000_000, jitter_ns=1000, distribution="normal")
    return [_qdisc(0x10 << 16, ROOT | 1, "netem", tcwire.netem(spec, fresh=True))]


def _tbf() -> list[Request]:
    body = tcwire.tcmsg(_LOOPBACK, ROOT | 2, ROOT, 0, "htb", tcwire.htb_class(0))
    options = tcwire.tbf(Tbf(1_000_000, 10_000, 100_000))
    return [Request(tcwire.RTM_NEWTCLASS, _NEW, body), _qdisc(0x20 << 16, ROOT | 2, "tbf", options)]


_TRIALS: tuple[tuple[str, str, bool, Callable[[], list[Request]]], ...] = (
    ("veth", "cables between nodes and bridge", True, lambda: [_link("probe0", "veth")]),
    ("bridge", "the network that nodes share", True, lambda: [_link("probe1", "bridge")]),
    ("sch_htb", "one class per neighbour", True, _htb),
    ("cls_u32", "sends packets to their neighbour's class", True, _u32),
    ("sch_netem", "delay, jitter, loss and rate", True, _netem),
    ("sch_tbf", "token buckets, where a profile asks for a burst", False, _tbf),
)
