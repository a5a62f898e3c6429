"""What ranks exchange beside training: the first model, its mean at the end, and small facts."""

from __future__ import annotations

import atexit
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import partial
from numbers import Number
from typing import Any

from harness.training.group import blamed, check_environment


class ModelExchange:
    """The process group that the script has made, or a new one from torchrun's variables.

    A new group is destroyed when the script ends; otherwise gloo's threads may abort the process (pytorch #179291).

    Args:
        environment: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

    Raises:
        InputError: these are not set.
        HarnessError: a rank cannot be reached.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        check_environment(environment)
        import torch
        import torch.distributed as dist

        self._torch: Any = torch
        self._dist: Any = dist
        if not dist.is_initialized():
            where = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
            with blamed(int(environment["RANK"]), f"connecting {environment['WORLD_SIZE']} ranks at {where}"):
                dist.init_process_group("gloo")
            atexit.register(_end, dist)
        self.rank: int = dist.get_rank()
        self.size: int = dist.get_world_size()

    def differing(self, parts: Mapping[str, bytes]) -> list[str]:
        """The names of the parts that differ among ranks."""
        digests = [int.from_bytes(hashlib.sha256(part).digest()[:7], "big") for part in parts.values()]
        both = self._torch.tensor([digests, [-digest for digest in digests]])
        self._dist.all_reduce(both, op=self._dist.ReduceOp.MAX)
        largest, negated = both.tolist()
        return [name for name, most, least in zip(parts, largest, negated, strict=True) if most != -least]

    def copy_from_first(self, tensors: Iterable[Any]) -> None:
        """Copy rank 0's values into the tensors, by one broadcast."""
        todo = [tensor for tensor in tensors if tensor.numel()]
        with self._torch.no_grad():
            parts = [tensor.detach().reshape(-1).view(self._torch.uint8) for tensor in todo]
            if not parts:
                return
            flat = self._torch.cat(parts)
            self._dist.broadcast(flat, src=0)
            for tensor, part in zip(todo, flat.split([part.numel() for part in parts]), strict=True):
                tensor.copy_(part.clone().view(tensor.dtype).view_as(tensor))

    def from_first(self, text: str) -> str:
        """Rank 0's text."""
        box = [text]
        self._dist.broadcast_object_list(box, src=0)
        return box[0]

    def average(self, tensors: Iterable[Any]) -> None:
        """Replace the tensors by their mean over ranks, by one all_reduce per type.

        Whole numbers (a count of batches) become rank 0's.
        """
        kinds: dict[Any, list[Any]] = {}
        for tensor in tensors:
            kinds.setdefault(tensor.dtype, []).append(tensor)
        with self._torch.no_grad():
            for kind, group in kinds.items():
                if not (kind.is_floating_point or kind.is_complex):
                    self.copy_from_first(group)
                    continue
                flat = self._torch.cat([tensor.detach().reshape(-1) for tensor in group]).div_(self.size)
                self._dist.all_reduce(flat)
                for tensor, part in zip(group, flat.split([tensor.numel() for tensor in group]), strict=True):
                    tensor.copy_(part.view_as(tensor))


def _end(dist: Any) -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def outline(dataset: Any) -> bytes:
    """A digest by which datasets are compared without reading them: kind, length, indices of a split, tensors."""
    digest = hashlib.sha256()
    while dataset is not None:
        length = len(dataset) if hasattr(dataset, "__len__") else None
        digest.update(f"{type(dataset).__qualname__} {length};".encode())
        if (indices := getattr(dataset, "indices", None)) is not None:
            digest.update(repr([int(index) for index in indices]).encode())
        for tensor in getattr(dataset, "tensors", ()):
            digest.update(_bytes(tensor))
        dataset = getattr(dataset, "dataset", None)
    return digest.digest()


def alike(value: Any) -> str:
    """A text for a value that is equal on all ranks: plain values in full, all else by its name or type.

    A repr will not do: a function's has its address in it.
    """
    if value is None or isinstance(value, Number | str | bytes):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{alike(key)}: {alike(one)}' for key, one in value.items()))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(alike, value))}]"
    if isinstance(value, Set):
        return f"{{{', '.join(sorted(map(alike, value)))}}}"
    if isinstance(value, partial):
        return f"partial({alike(value.func)}, {alike(value.args)}, {alike(value.keywords)})"
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', '')}.{named.__qualname__}"


def values(tensors: Iterable[Any]) -> bytes:
    """A digest of the tensors' values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(_bytes(tensor))
    return digest.digest()


def _bytes(tensor: Any) -> bytes:
    """A tensor's values as bytes; numpy does not have all of torch's types (bfloat16)."""
    import torch

    return bytes(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


@contextmanager
def without_broadcast(node: type) -> Iterator[None]:
    """Disable the broadcast of every parameter in ExoGym's TrainNode: all ranks have rank 0's already."""
    module = sys.modules[node.__module__]
    own = getattr(module, "broadcast", None)
    if own is None:
        yield
        return
    module.broadcast = lambda *_, **__: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.broadcast = own  # type: ignore[attr-defined]


@contextmanager
def kept_random_numbers() -> Iterator[None]:
    """Restore the random generators of torch, numpy and Python at the end of the block."""
    import random

    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
