"""The files by which programs in namespaces look up names and addresses.

A node reaches only the other nodes, so lookups must not ask a name server: they would wait 5.5 s for one whose address
lies in the nodes' subnet. With these files every library uses the hosts file alone: glibc obeys nsswitch.conf; others
(musl, c-ares, Go) read resolv.conf, whose name server is a port that refuses.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.linux.host import has_ipv6
from harness.model.address import node_name
from harness.model.plan import NetworkPlan

_NSSWITCH: Final = Path("/etc/nsswitch.conf")
_RESOLV: Final = "# nodes of tc-harness reach no name server\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n"


def name_files(plan: NetworkPlan) -> dict[str, str]:
    """The contents of the nodes' files, by path."""
    files = {"/etc/hosts": "\n".join(_hosts(plan, has_ipv6())) + "\n", "/etc/resolv.conf": _RESOLV}
    with contextlib.suppress(OSError, UnicodeError):  # glibc without that file: hosts file, then name server
        files[str(_NSSWITCH)] = hosts_file_only(_NSSWITCH.read_text())
    return files


def _hosts(plan: NetworkPlan, ipv6: bool) -> Iterator[str]:
    yield "127.0.0.1 localhost"
    if ipv6:
        yield "::1 localhost ip6-localhost ip6-loopback"
    for version in (4, 6) if ipv6 else (4,):
        for rank in range(plan.size):
            yield f"{plan.addressing.address(rank, version)} {node_name(rank)}"


def hosts_file_only(nsswitch: str) -> str:
    """An nsswitch.conf changed so that host names come from the hosts file alone."""
    others = [line for line in nsswitch.splitlines() if not re.match(r"\s*hosts\s*:", line)]
    return "\n".join([*others, "hosts: files"]) + "\n"
