"""A gloo process group from torchrun's variables, and one-line errors that name rank and action."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from harness.errors import HarnessError, InputError, UnavailableError
from harness.installed import INSTALL_TORCH
from harness.training.device import backend_of, find_device, prepare

_NEEDED: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SOURCE_PLACE: Final = re.compile(r"(\[[^]]*\.cc?p?p?:\d+\] ?)+")
"""The source positions that gloo and torch print before each cause: ``[/pytorch/.../pair.cc:537] ``."""
_GLOO: Final = "/gloo/"
"""Part of the source positions that gloo prints."""


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise InputError if these are not torchrun's variables for at least 2 ranks."""
    missing = [name for name in _NEEDED if not environment.get(name)]
    if missing:
        raise InputError(f"{', '.join(missing)} not set; run this under `harness run` or torchrun")
    if not environment["RANK"].isdecimal() or not environment["WORLD_SIZE"].isdecimal():
        raise InputError("RANK and WORLD_SIZE must be whole numbers")
    if int(environment["WORLD_SIZE"]) < 2:
        raise InputError("a collective needs at least 2 ranks")


class GroupError(HarnessError):
    """A collective failed because a rank of the process group cannot be reached."""


class ProcessGroup:
    """The process group. The constructor returns when all ranks are connected.

    Attributes:
        rank: of this process in the group.
        size: of the group.
        global_rank: of this process in the job: RANK.
        members: the global ranks of the group, in its order.
        device: where this process computes.

    Args:
        environment: torchrun's variables.
        timeout: seconds until a collective, or connecting, counts as failed.
        device: cpu, cuda or auto.
        transport: of GPU tensors, gloo or nccl.

    Raises:
        UnavailableError: there is no torch, or no GPU.
        HarnessError: a rank cannot be reached.
    """

    def __init__(
        self, environment: Mapping[str, str], timeout: float, device: str = "cpu", transport: str = "gloo"
    ) -> None:
        self.torch, self.dist = import_torch()
        self.rank = self.global_rank = int(environment["RANK"])
        self.size = int(environment["WORLD_SIZE"])
        self.members = tuple(range(self.size))
        self.device: Any = find_device(device, transport, self.rank)
        where = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        with blamed(self.rank, f"connecting {self.size} ranks at {where}"):
            self.dist.init_process_group(backend_of(transport), timeout=timedelta(seconds=timeout))

    @property
    def ended(self) -> bool:
        """Whether the group has ended because its members form another one (elastic/)."""
        return False

    def largest(self, values: Iterable[float]) -> list[float]:
        """The maximum over ranks of each value."""
        tensor = self.torch.tensor(list(values), dtype=self.torch.float64)
        self.dist.all_reduce(tensor, op=self.dist.ReduceOp.MAX)
        return list(tensor.tolist())

    def agreed(self, number: int) -> bool:
        """Whether all ranks have the same number, of at most 53 bits."""
        return self.largest([number, -number]) == [number, -number]

    def of_rank_0(self, value: float) -> float:
        """The value that rank 0 of the group has."""
        tensor = self.torch.tensor(value, dtype=self.torch.float64)
        with blamed(self.global_rank, "receiving from rank 0"):
            self.dist.broadcast(tensor, src=0)
        return float(tensor)

    def close(self) -> None:
        """Wait for all ranks, some of which may still receive from this one, then destroy the group."""
        self.wait_for_all()
        self.destroy()

    def wait_for_all(self) -> None:
        """Wait for all ranks."""
        with blamed(self.rank, "waiting for the last rank"):
            self.dist.barrier()

    def destroy(self) -> None:
        """Destroy the group, without waiting for others."""
        self.dist.destroy_process_group()


def import_torch() -> tuple[Any, Any]:
    """torch, with one thread, and torch.distributed. Raises UnavailableError."""
    prepare(os.environ)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    try:
        import torch
        import torch.distributed as dist
    except ImportError as error:
        raise UnavailableError(f"PyTorch is missing ({error}): {INSTALL_TORCH}") from None
    torch.set_num_threads(1)
    return torch, dist


@contextmanager
def blamed(rank: int, action: str) -> Iterator[None]:
    """Turn a failure of the block into a HarnessError that names rank, action and cause in one line.

    If gloo or torch's store has failed, it is a GroupError.
    """
    try:
        yield
    except (HarnessError, OSError, RuntimeError, ValueError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        cause = _SOURCE_PLACE.sub("", line).partition(". This is typically ")[0]
        kind = GroupError if _of_the_group(error) else HarnessError
        raise kind(f"rank {rank}: {action}: {cause}") from error


def _of_the_group(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, GroupError) or "DistError" in names or _GLOO in str(error)
