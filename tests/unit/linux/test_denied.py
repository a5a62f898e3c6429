"""Who forbids namespaces, and how to allow them."""

import pytest

from harness.linux.denied import Process, namespaces_denied

ALL = (1 << 41) - 1
SYS_ADMIN, NET_ADMIN = 1 << 21, 1 << 12


@pytest.mark.parametrize(
    ("process", "text"),
    [
        (Process(True, ALL & ~SYS_ADMIN, False, {}), "root lacks CAP_SYS_ADMIN here; start this container"),
        (Process(True, 0, True, {}), "root lacks CAP_SYS_ADMIN and CAP_NET_ADMIN here"),
        (Process(True, ALL, True, {}), "a seccomp filter forbids it to root"),
        (Process(True, ALL, False, {}), "a security module"),
        (Process(False, 0, True, {"user/max_user_namespaces": "0"}), "sysctl -w user.max_user_namespaces=10000"),
        (Process(False, 0, False, {"kernel/unprivileged_userns_clone": "0"}), "kernel.unprivileged_userns_clone=1"),
        (
            Process(False, 0, False, {"kernel/apparmor_restrict_unprivileged_userns": "1"}),
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (Process(False, 0, True, {"user/max_user_namespaces": "99"}), "a seccomp filter forbids user namespaces"),
        (Process(False, 0, False, {}), "run as root, or allow user namespaces"),
    ],
)
def test_what_is_missing_is_named(process, text):
    told = namespaces_denied(process)
    assert text in told
    assert not process.root or "run as root" not in told


def test_this_process_can_be_read():
    assert isinstance(namespaces_denied(Process.current()), str)
