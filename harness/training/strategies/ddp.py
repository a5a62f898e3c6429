"""Synchronous data parallelism: every step averages the gradients, as they are computed.

Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, VLDB 2020, arXiv:2006.15704.
torch's communication hooks can compress what is sent; gloo adds float16 and bfloat16 like float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, Final

import numpy as np
from torch import Tensor, nn
from torch.distributed import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from harness.training.strategies.base import Strategy, StrategyContext
from harness.training.strategies.sent_bytes import all_reduce_sent
from harness.training.strategies.strategy_options import DdpOptions

_KNOWN: Final = signature(DistributedDataParallel).parameters
_SYNC_BUFFERS: Final = "forward_sync_buffers" if "forward_sync_buffers" in _KNOWN else "broadcast_buffers"
"""The first since torch 2.13."""
Hook = Callable[[Any, GradBucket], Future[Tensor]]
_HOOKS: dict[str, Hook] = {
    "none": default_hooks.allreduce_hook,
    "fp16": default_hooks.fp16_compress_hook,
    "bf16": default_hooks.bf16_compress_hook,
    "powersgd": powerSGD_hook,
}


class Ddp(Strategy):
    """torch's DistributedDataParallel. All ranks have the same parameters after every step.

    Sends 2 (n - 1)/n of the gradients' bytes in every step; half of that with fp16 and bf16; with powersgd, after two
    uncompressed steps, r (rows + columns) numbers of a matrix of rows x columns instead of rows * columns.

    The counted wait begins when all gradients are computed. It includes what PowerSGD computes between its messages, in
    gloo's threads (P is orthogonalised, Q is computed).
    """

    Options = DdpOptions
    paper = "Li et al., PyTorch Distributed, VLDB 2020, arXiv:2006.15704; PowerSGD: Vogels et al., arXiv:1905.13727"

    def __init__(self, setup: StrategyContext, options: DdpOptions) -> None:
        super().__init__(setup, options)
        self._memory: Any = make_memory(options.rank, setup.seed) if options.compress == "powersgd" else None
        self._ready = 0.0
        self._warm = False
        self._wrapped = DistributedDataParallel(
            _Callable(setup.model), init_sync=False, bucket_cap_mb=self._bucket_mb(), **{_SYNC_BUFFERS: False}
        )
        self._wrapped.register_comm_hook(None, _named(self._average))
        self._fix_buckets()

    @property
    def module(self) -> nn.Module:
        return self._wrapped

    def backward(self, loss: Tensor) -> None:
        """Compute gradients while finished buckets are averaged."""
        super().backward(loss)
        self.setup.clock.settle()
        self.setup.clock.add(time.perf_counter() - self._ready)

    def abandon(self) -> None:
        """Drop torch's wrapper: destroyed after its group, it may hang (pytorch #56297)."""
        vars(self).pop("_wrapped", None)

    def bytes_per_step(self) -> float:
        """One all_reduce of all gradients, or of their compressed form."""
        size: float = self.size_bytes
        if self.options.compress in ("fp16", "bf16"):
            size /= 2
        elif self.options.compress == "powersgd":
            numbers = sum(parameter.numel() for parameter in self.parameters)
            shapes = [tuple(parameter.shape) for parameter in self.parameters]
            size *= numbers_sent(shapes, self.options.rank) / numbers
        return all_reduce_sent(size, self.setup.size)

    def state(self) -> dict[str, Any]:
        return super().state() | ({"powersgd": saved(self._memory)} if self._memory else {})

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        if self._memory:
            restore(self._memory, state["powersgd"])

    def _average(self, bucket: GradBucket) -> Future[Tensor]:
        """Start to average a bucket; at the last one, all gradients are computed."""
        if not self._warm:
            buffer = bucket.buffer()
            done: Future[Tensor] = Future(devices=[buffer.device] if buffer.is_cuda else None)
            done.set_result(buffer)
            return done
        future = _HOOKS[self.options.compress](self._memory, bucket)
        if bucket.is_last():
            self.setup.clock.settle()
            self._ready = time.perf_counter()
        return future

    def _fix_buckets(self) -> None:
        """Make DDP order its buckets now, by two backward passes of zeros that send nothing.

        DDP orders them in the forward pass of its second step, by two broadcasts, which would count as computing. The
        order decides how gradients are added up, and which bucket has which memory of PowerSGD; so a resumed run must
        begin with the order of the first attempt.
        """
        for _ in range(2):
            self._wrapped().backward()
        self.optimizer.zero_grad(set_to_none=True)
        self._warm = True

    def _bucket_mb(self) -> int | None:
        """One bucket for PowerSGD: its hook blocks threads of gloo, which has two; two buckets would block for ever."""
        return None if self._memory is None else self.size_bytes // 2**20 + 1


class _Callable(nn.Module):
    """The model; without arguments it returns a zero that depends on all of its parameters."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **more: Any) -> Any:
        if args or more:
            return self.model(*args, **more)
        return sum(parameter.sum() * 0 for parameter in self.model.parameters() if parameter.requires_grad)


def _named(average: Callable[[GradBucket], Future[Tensor]]) -> Hook:
    """A hook that DDP accepts: it refuses string annotations, and torch's own bf16 hook on gloo by its name."""

    def hook(_, bucket):  # type: ignore[no-untyped-def]  # noqa: ANN001
        return average(bucket)

    return hook


FIRST: Final = 2
"""Uncompressed steps: the fewest that torch allows with error feedback."""
_MIN_RATE: Final = 2
"""A matrix is compressed if that at least halves it: the hook's default ``min_compression_rate``."""
_MEMORY: Final = ("error_dict", "p_memory_dict", "q_memory_dict")


def make_memory(rank: int, seed: int) -> PowerSGDState:
    """A new memory, with the same seed on all ranks. The epsilon keeps gradients of zeros from becoming NaN."""
    return PowerSGDState(
        None,
        matrix_approximation_rank=rank,
        start_powerSGD_iter=FIRST,
        min_compression_rate=_MIN_RATE,
        orthogonalization_epsilon=1e-8,
        random_seed=seed % 2**32,
    )


def numbers_sent(shapes: Iterable[tuple[int, ...]], rank: int) -> int:
    """Number of elements averaged per step: P and Q of each compressed matrix, all elements of the others.

    Args:
        shapes: of the parameters; the first dimension is a matrix's rows.
        rank: of the approximation.
    """
    total = 0
    for shape in shapes:
        rows, columns = shape[0], int(np.prod(shape[1:]))
        small = (rows + columns) * min(rows, columns, rank)
        total += small if small * _MIN_RATE < rows * columns else rows * columns
    return total


def saved(memory: PowerSGDState) -> dict[str, Any]:
    """The state of a memory: tensors and plain values."""
    kind, keys, *rest = memory.rng.get_state()
    return {
        "iter": memory.iter,
        "rng": [kind, keys.tolist(), *rest],
        **{name: getattr(memory, name) for name in _MEMORY},
    }


def restore(memory: PowerSGDState, state: Mapping[str, Any]) -> None:
    """The inverse of ``saved``."""
    kind, keys, *rest = state["rng"]
    memory.rng.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    memory.iter = state["iter"]
    for name in _MEMORY:
        setattr(memory, name, dict(state[name]))
