"""A container's share of a CPU: it cannot limit itself, because its cgroup is read-only; Docker can.

The share limits all that runs in the container, including the agent and links in user space.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from harness.errors import HarnessError, UnavailableError
from harness.linux.cgroup import CpuController, quota_us
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus, NodeStatus

_POLL_SECONDS: Final = 0.2


def own_cpu() -> CpuStatus | None:
    """The limit and counters of this container; None if they cannot be read."""
    try:
        return CpuController.find().own_group().read()
    except (HarnessError, OSError, LookupError, ValueError):
        return None


def with_cpu(status: NodeStatus, requested: CpuShare | None, held: CpuStatus | None) -> NodeStatus:
    """The status with the CPU limit, if there is or should be one. A limit that nobody asked for is no mismatch."""
    if held is None or (requested is None and held.applied is None):
        return status
    return status.with_cpu(held, requested or held.applied)


def await_share(
    requested: CpuShare | None,
    container: str,
    seconds: float,
    say: Callable[[str], None],
    held: Callable[[], CpuStatus | None] = own_cpu,
) -> None:
    """Wait until the container has its share; log once how to set it.

    Args:
        requested: the share; None: no limit.
        container: its name.
        seconds: to wait at most.
        say: logs a line.
        held: reads the current limit.

    Raises:
        UnavailableError: nobody set it in time.
    """
    if requested is None:
        return
    quota, period = quota_us(requested)
    remedy = f"docker update --cpu-period {period} --cpu-quota {quota} {container}"
    deadline, said = time.monotonic() + seconds, False
    while (found := held()) is None or found.applied != requested:
        if time.monotonic() > deadline:
            raise UnavailableError(f"container {container} is not limited to {requested} of a CPU core; run: {remedy}")
        if not said:
            said = True
            say(f"a container cannot limit itself to {requested} of a CPU core; waiting until somebody runs: {remedy}")
        time.sleep(_POLL_SECONDS)
