"""What a run computes and sends, by formulas that need no PyTorch: for the estimate alone. The models' sizes are exact;
what strategies send is near enough, and what they count themselves is in their records (``bytes_per_step``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from harness.experiment.spec import Variant
from harness.training.tasks.task_options import TaskOptions

_SIDES: Final = {"digits": 8, "mnist": 28}
_CLASSES: Final = 10
_HELD_OUT: Final = {"digits": 364, "mnist": 10_000, "text": 32}
"""Examples that an evaluation looks at."""
_ALPHABET: Final = 100
"""About as many characters as the Python manual has; of a text of the user's nothing is known here."""
_FLOAT: Final = 4
_BLOCK: Final = 256
"""Numbers that share a scale, where Streaming DiLoCo quantises."""
_CODE_BYTES: Final = {"int8": 1.0, "int4": 0.5, "e3m0": 0.5}
_EVERY: Final = {"fedavg": 10, "diloco": 50, "streaming-diloco": 50}
"""Steps between two rounds, where no option says; others communicate in every step."""
_BASE_SECONDS: Final = 0.003
_MAC_SECONDS: Final = 2.2e-10
"""Of a core: forward and backward, per multiplication of the forward pass; measured: 0.014 s for 128 digits."""
_TEXT_SECONDS: Final = 1.7e-10
"""Of a core, per parameter and character; measured: 0.25 s for 1.4 million parameters and 8 x 128 characters."""
_OPTIMIZER_SECONDS: Final = 1e-8
"""Of a core, per parameter."""


def parameters(task: TaskOptions, characters: int = _ALPHABET) -> int:
    """How many numbers the model has.

    Args:
        task: see harness/training/tasks/images.py and text.py for its model.
        characters: of the text's alphabet.
    """
    if task.name == "text":
        width = task.width or 192
        block = 12 * width**2 + 13 * width
        return (2 * characters + task.context + 2) * width + task.layers * block
    side, width = _SIDES[task.name], task.width or 16
    first, second = 10 * width, 2 * width * (9 * width + 1)
    return first + second + (2 * width * (side // 2) ** 2 + 1) * _CLASSES


def step_seconds(task: TaskOptions) -> float:
    """Of a core for each rank and step."""
    return _BASE_SECONDS + _OPTIMIZER_SECONDS * parameters(task) + _example_seconds(task) * task.batch


def evaluation_seconds(task: TaskOptions) -> float:
    """Of a core for each rank: forward only, a third of the work."""
    return _BASE_SECONDS + _example_seconds(task) * _HELD_OUT[task.name] / 3


def _example_seconds(task: TaskOptions) -> float:
    if task.name == "text":
        return _TEXT_SECONDS * parameters(task) * task.context
    side, width = _SIDES[task.name], task.width or 16
    convolutions = side**2 * 9 * (width + 2 * width**2)
    return _MAC_SECONDS * (convolutions + 2 * width * (side // 2) ** 2 * _CLASSES)


@dataclass(frozen=True)
class Traffic:
    """What a strategy sends.

    Args:
        every: steps between two rounds.
        hops: messages that follow one another in a round.
        sent_bytes: of each rank and round, to the next rank; or to each neighbour.
        to_neighbours: whether ranks talk to all of their neighbours, and to nobody else.
    """

    every: float
    hops: int
    sent_bytes: float
    to_neighbours: bool = False


def traffic_of(variant: Variant, size: int, task: TaskOptions) -> Traffic | None:
    """What a strategy sends, one of the user's own as ddp does; None: nothing.

    Args:
        variant: the strategy.
        size: number of ranks.
        task: of which the model is.
    """
    if variant.strategy == "local" or size < 2:
        return None
    every = _option(variant, "H", _option(variant, "interval", _EVERY.get(variant.strategy, 1)))
    whole = float(_FLOAT * parameters(task))
    gathered, reduced = size - 1, 2 * (size - 1) / size
    if variant.strategy == "gossip":
        return Traffic(every, 1, whole, to_neighbours=True)
    if variant.strategy == "demo":
        side = _option(variant, "chunk", 64)
        share = min(1.0, _option(variant, "topk", 32) / side**2)
        return Traffic(every, size - 1, gathered * whole * share * 1.5)  # a place takes half of what a value takes
    if variant.strategy == "streaming-diloco":
        fragments = max(1.0, _option(variant, "fragments", 2))
        code = _CODE_BYTES.get(str(variant.options.get("quantise")))
        if code is None:
            return Traffic(every / fragments, 2 * (size - 1), reduced * whole / fragments)
        small = whole / _FLOAT * (code + _FLOAT / _BLOCK)
        return Traffic(every / fragments, size - 1, gathered * small / fragments)
    return Traffic(every, 2 * (size - 1), reduced * whole * _share(variant, task))


def _share(variant: Variant, task: TaskOptions) -> float:
    """Of the numbers, what an all_reduce is of."""
    if variant.strategy == "sparta":
        return min(1.0, _option(variant, "p", 0.005))
    compress = str(variant.options.get("compress")) if variant.strategy == "ddp" else ""
    if compress in ("fp16", "bf16"):
        return 0.5
    if compress == "powersgd":  # of a matrix of side x side, 2 side numbers per rank of its approximation
        side = (task.width or 192) if task.name == "text" else 64
        return min(1.0, 2 * _option(variant, "rank", 1) / side)
    return 1.0


def _option(variant: Variant, name: str, default: float) -> float:
    """A number over 0; the default for a text that nobody could check: PyTorch may be in the nodes only."""
    try:
        value = float(variant.options[name])
    except (KeyError, TypeError, ValueError):
        return default
    return value if 0 < value < math.inf else default
