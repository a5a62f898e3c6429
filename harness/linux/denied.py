"""Why this process may not make namespaces, and how to allow it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_SYS_ADMIN, _NET_ADMIN = 21, 12
"""Bits of capabilities (linux/capability.h)."""
_FILTERED: Final = 2
"""SECCOMP_MODE_FILTER (linux/seccomp.h)."""
PRIVILEGED: Final = "start this container with docker run --privileged, or use --runtime docker outside of it"
"""How to make networks in a container."""
_SWITCHES: Final = (
    ("user/max_user_namespaces", "0", "10000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)
"""Sysctls that can forbid user namespaces: name, forbidding value, allowing value."""


@dataclass(frozen=True)
class Process:
    """A process's rights according to /proc.

    Args:
        root: whether its effective user is root.
        capabilities: its effective ones, as bits.
        filtered: whether it has a seccomp filter.
        switches: values of the sysctls that can forbid user namespaces and exist here.
    """

    root: bool
    capabilities: int
    filtered: bool
    switches: dict[str, str]

    @classmethod
    def current(cls) -> Self:
        """This process."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        switches = {}
        for name, _, _ in _SWITCHES:
            with contextlib.suppress(OSError):
                switches[name] = Path("/proc/sys", name).read_text().strip()
        filtered = int(status.get("Seccomp", "0")) == _FILTERED
        return cls(os.geteuid() == 0, int(status["CapEff"], 16), filtered, switches)

    def has(self, bit: int) -> bool:
        """Whether it has that capability."""
        return bool(self.capabilities >> bit & 1)


def namespaces_denied(process: Process | None = None) -> str:
    """What forbids namespaces and how to allow them, for the end of a message."""
    process = process or Process.current()
    if process.root:
        return f"{_what_root_lacks(process)}; {PRIVILEGED}"
    for name, forbids, allows in _SWITCHES:
        if process.switches.get(name) == forbids:
            return f"run as root, or allow user namespaces: sysctl -w {name.replace('/', '.')}={allows}"
    if process.filtered:
        return f"a seccomp filter forbids user namespaces; {PRIVILEGED}"
    return "run as root, or allow user namespaces: sysctl -w user.max_user_namespaces=10000"


def _what_root_lacks(process: Process) -> str:
    missing = [
        name for name, bit in (("CAP_SYS_ADMIN", _SYS_ADMIN), ("CAP_NET_ADMIN", _NET_ADMIN)) if not process.has(bit)
    ]
    if missing:
        return f"root lacks {' and '.join(missing)} here"
    if process.filtered:
        return "a seccomp filter forbids it to root"
    return "a security module (AppArmor, SELinux) forbids it to root"
