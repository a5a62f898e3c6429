"""What the strategies that ship send, and when. Pure: the strategies themselves need PyTorch.

tests/unit/training/strategies/test_exchanges.py compares the bytes with each strategy's ``bytes_per_step``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import InputError, quoted
from harness.model.plan import NetworkPlan
from harness.model.suggest import suggest
from harness.training.strategies.option_values import read_options
from harness.training.strategies.sent_bytes import all_gather_sent, all_reduce_sent, encoded_size
from harness.training.strategies.strategy_options import (
    DdpOptions,
    DeMoOptions,
    DiLoCoOptions,
    FedAvgOptions,
    GossipOptions,
    NoOptions,
    SpartaOptions,
    StreamingDiLoCoOptions,
)

WIDTH: Final = 4
"""Bytes of a parameter: float32."""


@dataclass(frozen=True)
class Exchange:
    """One collective of a strategy.

    Args:
        collective: all_reduce, all_gather (``size`` is that of all blocks) or send_recv (with all neighbours).
        size: bytes.
        every: steps from one exchange to the next.
        hidden: steps that continue during the exchange.
    """

    collective: str
    size: float
    every: int = 1
    hidden: int = 0

    def sent(self, plan: NetworkPlan, rank: int) -> float:
        """Payload bytes that a rank sends."""
        if self.collective == "all_reduce":
            return all_reduce_sent(self.size, plan.size)
        if self.collective == "all_gather":
            return all_gather_sent(self.size / plan.size, plan.size)
        return self.size * len(plan.neighbours(rank))


def _ddp(size: float, _: int, options: DdpOptions) -> list[Exchange]:
    if options.compress == "powersgd":
        raise InputError("what powersgd sends depends on the shapes of a model's matrices: predict none, fp16 or bf16")
    return [Exchange("all_reduce", size / (1 if options.compress == "none" else 2))]


def _averaged(size: float, _: int, options: DiLoCoOptions | FedAvgOptions) -> list[Exchange]:
    return [Exchange("all_reduce", size, options.H)]


def _streaming(size: float, ranks: int, options: StreamingDiLoCoOptions) -> list[Exchange]:
    part = size / options.fragments
    if options.quantise == "none":
        one = Exchange("all_reduce", part, options.H, options.overlap)
    else:
        message = encoded_size(round(part / WIDTH), options.quantise)
        one = Exchange("all_gather", message * ranks, options.H, options.overlap)
    return [one] * options.fragments


def _sparta(size: float, _: int, options: SpartaOptions) -> list[Exchange]:
    return [Exchange("all_reduce", size * options.p, options.interval)]


def _gossip(size: float, _: int, options: GossipOptions) -> list[Exchange]:
    return [Exchange("send_recv", size, options.H)]


def _demo(size: float, ranks: int, options: DeMoOptions) -> list[Exchange]:
    area = options.chunk**2
    place = 1 if area <= 2**8 else 2 if area <= 2**15 else 4
    message = size / WIDTH / area * min(options.topk, area) * (4 + place)  # where sides are multiples of chunk
    return [Exchange("all_gather", message * ranks)]


_EXCHANGES: Final[Mapping[str, tuple[type[Any], Callable[[float, int, Any], list[Exchange]]]]] = {
    "local": (NoOptions, lambda *_: []),
    "ddp": (DdpOptions, _ddp),
    "fedavg": (FedAvgOptions, _averaged),
    "diloco": (DiLoCoOptions, _averaged),
    "streaming-diloco": (StreamingDiLoCoOptions, _streaming),
    "sparta": (SpartaOptions, _sparta),
    "demo": (DeMoOptions, _demo),
    "gossip": (GossipOptions, _gossip),
}


def exchanges(strategy: str, options: Mapping[str, Any], parameters: int, ranks: int) -> list[Exchange]:
    """The exchanges of a rank.

    Args:
        strategy: the name of a strategy that ships.
        options: of the strategy, as texts or values.
        parameters: number of float32 parameters of the model.
        ranks: number of ranks.

    Raises:
        InputError: there is no such strategy or option, or its bytes cannot be predicted.
    """
    if strategy not in _EXCHANGES:
        raise InputError(f"strategy {quoted(strategy)} cannot be predicted; {suggest(strategy, list(_EXCHANGES))}")
    kind, sent = _EXCHANGES[strategy]
    return sent(float(parameters * WIDTH), ranks, read_options(strategy, kind, options))
