"""Sends the state of rank 0 to all members of a group, over the shaped links."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.distributed as dist

_PART: Final = 1 << 20
"""Bytes sent by one collective, so that each ends before the group's timeout on slow links too."""


def shared(state: Mapping[str, Any] | None, rank: int, device: Any) -> tuple[Mapping[str, Any], int]:
    """The state of rank 0 of the group, and the bytes that each member receives of it. A collective.

    Args:
        state: tensors and plain values; ignored on other ranks than 0.
        rank: of this process in the group.
        device: where the tensors go.
    """
    data = io.BytesIO()
    if rank == 0:
        torch.save(dict(state or {}), data)
    size = torch.tensor(data.getbuffer().nbytes)
    dist.broadcast(size, src=0)
    message = torch.frombuffer(bytearray(data.getbuffer()), dtype=torch.uint8) if rank == 0 else _room(int(size))
    for work in [dist.broadcast(part, src=0, async_op=True) for part in message.split(_PART)]:
        work.wait()
    if rank == 0:
        return state or {}, int(size)
    received: Mapping[str, Any] = torch.load(io.BytesIO(message.numpy().tobytes()), device, weights_only=True)
    return received, int(size)


def _room(size: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.uint8)
