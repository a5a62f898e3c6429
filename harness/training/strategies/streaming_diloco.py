"""Streaming DiLoCo: sends one fragment of the parameters at a time, in few bits, while the ranks go on computing.

Douillard et al., Streaming DiLoCo with overlapping communication: Towards a Distributed Free Lunch, arXiv:2501.18512,
algorithm 2. Layers are assigned to fragments in turn (the paper's strided pattern; a layer is a module with its own
parameters). Each fragment has its outer step every H steps, fragments at evenly spread steps. What is sent
at step t is applied at step t + overlap: parameters = alpha * own + (1 - alpha) * outer. Outer gradients are measured
from the fragment's last outer parameters, which are the same on all ranks, as in meta-pytorch/torchft's local_sgd.py.

gloo adds no numbers of 4 or 8 bits, so quantised gradients are gathered whole by every rank, which adds them up as
float32: nothing is rounded twice, as in the paper. Per number a rank then sends n - 1 codes instead of
2 (n - 1)/n float32: less than float32 for fewer than 8 (int8) or 16 (int4, e3m0) ranks, more beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import SGD

from harness.errors import InputError
from harness.training.strategies.base import Strategy, StrategyContext, flat, scatter_back
from harness.training.strategies.quantise import decode, encode
from harness.training.strategies.sent_bytes import all_gather_sent, all_reduce_sent, encoded_size
from harness.training.strategies.strategy_options import StreamingDiLoCoOptions


@dataclass
class _InFlight:
    fragment: int
    due: int
    parts: list[Tensor]
    """The buffers: the mean itself, or every rank's message."""
    work: dist.Work | None
    """None: it has arrived."""


class StreamingDiLoCo(Strategy):
    """Ranks always differ a little, by alpha and overlap; the outer parameters are the same on all ranks.

    Sends, every H steps, 2 (n - 1)/n of the parameters' bytes; or n - 1 times the parameters in 8 or 4 bits each.
    """

    Options = StreamingDiLoCoOptions
    paper = "Douillard et al., Streaming DiLoCo, arXiv:2501.18512"

    def __init__(self, setup: StrategyContext, options: StreamingDiLoCoOptions) -> None:
        super().__init__(setup, options)
        self._fragments = _dealt(setup.model, options.fragments)
        self._anchors = [nn.Parameter(flat(self._own(number))) for number in range(options.fragments)]
        momentum = options.outer_momentum
        self._outer = SGD(self._anchors, lr=options.outer_lr, momentum=momentum, nesterov=momentum > 0)
        self._in_flight: list[_InFlight] = []

    def share_parameters(self) -> None:
        """Start and apply the fragments that are due at this step."""
        H, fragments = self.options.H, self.options.fragments
        for number in range(fragments):
            if (self.steps - number * H // fragments) % H == 0:
                self._in_flight.append(self._start(number))
        for one in [one for one in self._in_flight if one.due == self.steps]:
            self._in_flight.remove(one)
            self._apply(one)

    @property
    def busy(self) -> bool:
        """Whether a fragment is in flight."""
        return bool(self._in_flight)

    def settle(self) -> None:
        """Receive the fragments in flight; they are applied when they are due, also by a resumed run."""
        with self.setup.clock.waiting():
            for one in self._in_flight:
                if one.work is not None:
                    one.work.wait()
                    one.work = None

    def abandon(self) -> None:
        """Forget the fragments in flight: they are sent again in the next round."""
        self._in_flight.clear()

    def bytes_per_step(self) -> float:
        """An all_reduce of each fragment in H steps; quantised, an all_gather."""
        if self.options.quantise == "none":
            sent = all_reduce_sent(self.size_bytes, self.setup.size)
        else:
            sizes = [encoded_size(len(anchor), self.options.quantise) for anchor in self._anchors]
            sent = sum(all_gather_sent(size, self.setup.size) for size in sizes)
        return sent / float(self.options.H)

    def state(self) -> dict[str, Any]:
        return super().state() | {
            "anchors": [anchor.data for anchor in self._anchors],
            "outer": self._outer.state_dict(),
            "under_way": [{"fragment": o.fragment, "due": o.due, "parts": o.parts} for o in self._in_flight],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        for anchor, saved in zip(self._anchors, state["anchors"], strict=True):
            anchor.data.copy_(saved)
        self._outer.load_state_dict(state["outer"])
        self._in_flight = [_InFlight(**saved, work=None) for saved in state["under_way"]]

    def _own(self, number: int) -> list[Tensor]:
        return [parameter.data for parameter in self._fragments[number]]

    def _start(self, number: int) -> _InFlight:
        delta = self._anchors[number].data - flat(self._own(number))
        if self.options.quantise == "none":
            parts = [delta.div_(self.setup.size)]
            work = dist.all_reduce(parts[0], async_op=True)
        else:
            message = encode(delta, self.options.quantise)
            parts = [torch.empty_like(message) for _ in range(self.setup.size)]
            work = dist.all_gather(parts, message, async_op=True)
        return _InFlight(number, self.steps + self.options.overlap, parts, work)

    def _apply(self, one: _InFlight) -> None:
        if one.work is not None:
            with self.setup.clock.waiting():
                one.work.wait()
        anchor = self._anchors[one.fragment]
        if self.options.quantise == "none":
            anchor.grad = one.parts[0]
        else:
            decoded = [decode(part, len(anchor), self.options.quantise) for part in one.parts]
            anchor.grad = torch.stack(decoded).mean(0)
        self._outer.step()
        anchor.grad = None
        own = self._own(one.fragment)
        scatter_back(torch.lerp(anchor.data, flat(own), self.options.alpha), own)


def _dealt(model: nn.Module, fragments: int) -> list[list[nn.Parameter]]:
    """The model's parameters by fragment; those of one layer stay together."""
    seen: set[nn.Parameter] = set()
    layers = []
    for module in model.modules():
        new = [parameter for parameter in module.parameters(recurse=False) if parameter not in seen]
        seen.update(new)
        layers += [new] if new else []
    if fragments > len(layers):
        raise InputError(f"fragments={fragments}: the model has only {len(layers)} layers with parameters")
    return [list(chain.from_iterable(layers[number::fragments])) for number in range(fragments)]
