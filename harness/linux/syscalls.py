"""System calls that Python 3.11 does not have."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x4_0000
MS_NOSUID_NODEV_NOEXEC: Final = 0x2 | 0x4 | 0x8
_MNT_DETACH: Final = 2
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_TIMERSLACK: Final = 29
_PR_SET_NO_NEW_PRIVS: Final = 38

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces. Raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def unshare_as_root_or_not(flags: int) -> bool:
    """Move this process into new namespaces; without privileges also into a user namespace, in which it is root.

    Returns whether it needed the user namespace (rootless). Raises OSError.
    """
    try:
        unshare(flags)
    except PermissionError:
        uid, gid = os.geteuid(), os.getegid()
        unshare(flags | CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        return True
    return False


def setns(fd: int, kind: int) -> None:
    """Move this process into the namespace of a file descriptor. Raises OSError."""
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, fstype: str, flags: int) -> None:
    """Mount a file system. Raises OSError."""
    arguments = (source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), None)
    _checked(_libc.mount(*arguments), f"mount {fstype} on {target}")


def unmount(target: str) -> None:
    """Detach a mount; it vanishes when nobody uses it any more. Raises OSError."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH), f"unmount {target}")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Raises OSError."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")


def gain_no_rights() -> None:
    """Keep this process and its children from gaining rights by setuid files. Raises OSError."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def precise_timers() -> None:
    """Have the kernel wake this thread on time, instead of up to 50 us late. Raises OSError."""
    _checked(_libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0), "prctl")
