"""The options of the strategies that ship. Pure: they can be checked without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import InputError
from harness.training.strategies.option_values import at_least, positive, share, under_one


@dataclass(frozen=True)
class NoOptions:
    """The options of a strategy that has none."""


@dataclass(frozen=True)
class DdpOptions:
    """Compression of the gradients, by torch's own communication hooks."""

    compress: Literal["none", "fp16", "bf16", "powersgd"] = "none"
    """What is sent instead of float32 gradients."""
    rank: int = 1
    """PowerSGD's: the rank of its approximation."""

    def __post_init__(self) -> None:
        at_least("rank", self.rank, 1)


@dataclass(frozen=True)
class FedAvgOptions:
    """How often ranks average."""

    H: int = 10
    """Local steps between two averages."""

    def __post_init__(self) -> None:
        at_least("H", self.H, 1)


@dataclass(frozen=True)
class DiLoCoOptions:
    """How often there is an outer step, and its optimizer."""

    H: int = 50
    """Inner steps between two outer steps."""
    outer_lr: float = 0.7
    """Learning rate of the outer step."""
    outer_momentum: float = 0.9
    """Momentum of the outer step (Nesterov's); 0: none."""

    def __post_init__(self) -> None:
        at_least("H", self.H, 1)
        positive("outer_lr", self.outer_lr)
        under_one("outer_momentum", self.outer_momentum)


@dataclass(frozen=True)
class StreamingDiLoCoOptions:
    """When each fragment is sent, how, and how it is applied."""

    H: int = 50
    """Steps between two outer steps of the same fragment."""
    fragments: int = 2
    """Parts of the model that meet in turn."""
    overlap: int = 1
    """Steps computed while a fragment is in flight; 0 waits for it."""
    alpha: float = 0.5
    """Weight of a rank's own parameters when a fragment arrives."""
    outer_lr: float = 0.4
    """Learning rate of the outer step."""
    outer_momentum: float = 0.9
    """Momentum of the outer step (Nesterov's); 0: none."""
    quantise: Literal["none", "int8", "int4", "e3m0"] = "none"
    """How the outer gradients are sent."""

    def __post_init__(self) -> None:
        at_least("H", self.H, 1)
        at_least("fragments", self.fragments, 1)
        at_least("overlap", self.overlap, 0)
        under_one("alpha", self.alpha)
        positive("outer_lr", self.outer_lr)
        under_one("outer_momentum", self.outer_momentum)
        if self.fragments > self.H:
            raise InputError(f"fragments={self.fragments}: at most one per step, H={self.H}")
        if self.overlap >= self.H:
            raise InputError(f"overlap={self.overlap}: less than H={self.H}")


@dataclass(frozen=True)
class SpartaOptions:
    """How much is averaged, and how often. The default of p is that of the authors' code."""

    p: float = 0.005
    """Share of the parameters that is averaged at a time."""
    interval: int = 1
    """Steps between two averages."""

    def __post_init__(self) -> None:
        share("p", self.p)
        at_least("interval", self.interval, 1)


@dataclass(frozen=True)
class DeMoOptions:
    """How much is exchanged, and the optimizer. Defaults of chunk, topk and decay as in the authors' code."""

    chunk: int = 64
    """The longest side of a block: 64 x 64 in matrices, 64 in vectors."""
    topk: int = 32
    """Coefficients sent per block."""
    decay: float = 0.999
    """Of the momentum, per step."""
    weight_decay: float = 0.0
    """Parameters are reduced by lr times this share per step."""
    lr: float = 0.0
    """Learning rate; 0: that of the workload's optimizer."""

    def __post_init__(self) -> None:
        at_least("chunk", self.chunk, 1)
        at_least("topk", self.topk, 1)
        under_one("decay", self.decay)
        at_least("weight_decay", self.weight_decay, 0)
        at_least("lr", self.lr, 0)


@dataclass(frozen=True)
class GossipOptions:
    """How often neighbours exchange parameters."""

    H: int = 1
    """Steps between two averages."""

    def __post_init__(self) -> None:
        at_least("H", self.H, 1)
