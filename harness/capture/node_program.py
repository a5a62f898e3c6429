"""Records packets in a node: ``python3 -m harness.capture.node_program``, with its order, a line of JSON, on input.

    {"points": [{"id", "side", "prefixes"}], "most": bytes of each packet, 0 for all}

It prints a line of JSON, empty or with the reason why it cannot start ({"error", "code"}), and then records
(record.py), until its standard input ends. The kernel's rules end with it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from harness.capture import rules
from harness.capture.record import encode, mark
from harness.errors import HarnessError, PrivilegeError, UnavailableError
from harness.netlink.nflog import Nflog
from harness.netlink.nfnetlink import Nfnetlink

_BATCH, _BATCHES = 256, 16
"""Packets to receive at a time, and how often before writing to the pipe."""
_MARK_S: Final = 0.05
"""How often an idle node sends a mark, for which other nodes' records wait."""
_MOST_WAITING: Final = 64 << 20
"""Bytes that may wait in this process; beyond them it stops receiving, and the kernel counts lost packets."""
_NO_NFLOG: Final = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


def begin(order: Mapping[str, Any]) -> tuple[Nflog, Nfnetlink]:
    """Make the kernel log packets until the returned sockets are closed. Raises HarnessError."""
    try:
        log = Nflog()
    except PermissionError:
        raise PrivilegeError("recording packets needs CAP_NET_ADMIN in the node's network namespace") from None
    except OSError as problem:
        if problem.errno not in _NO_NFLOG:
            raise
        raise UnavailableError(
            "this kernel has no NFLOG, which harness capture needs (CONFIG_NETFILTER_NETLINK_LOG)"
        ) from None
    netlink = Nfnetlink()
    rules.install(netlink, log.group, order["points"], order["most"])
    return log, netlink


def run(log: Nflog) -> None:
    """Write packets until standard input ends; never block on output, which would delay timestamps."""
    os.set_blocking(1, False)
    waiting, size, ends = deque[memoryview](), 0, False
    while not (ends and not waiting):
        reads = [0, log.fileno()] if size < _MOST_WAITING and not ends else []
        ready, writable, _ = select.select(reads, [1] if waiting else [], [], _MARK_S)
        ends = ends or (0 in ready and not os.read(0, 1))
        if ready or not (waiting or ends):
            size += _receive(log, waiting)
        if writable:
            size -= (written := os.write(1, waiting[0]))
            waiting[0] = waiting[0][written:]
            if not waiting[0]:
                waiting.popleft()


def _receive(log: Nflog, waiting: deque[memoryview]) -> int:
    """Append received packets to ``waiting``; return the number of bytes."""
    size = 0
    for _ in range(_BATCHES):
        now = time.time_ns()
        found = log.receive(_BATCH)
        waiting.append(memoryview(encode(found) if found else mark(now)))
        size += len(waiting[-1])
        if not found:
            break
    return size


def main() -> None:
    """Record as the order on standard input says."""
    try:
        order = json.loads(sys.stdin.buffer.readline())
        log, netlink = begin(order)
    except HarnessError as error:
        os.write(1, json.dumps({"error": str(error), "code": error.exit_code}).encode() + b"\n")
        return
    except OSError as problem:
        os.write(1, json.dumps({"error": problem.strerror, "code": HarnessError.exit_code}).encode() + b"\n")
        return
    with contextlib.suppress(OSError):  # refused in containers
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.write(1, b"{}\n")
    with contextlib.suppress(BrokenPipeError):
        run(log)
    netlink.close()


if __name__ == "__main__":
    main()
