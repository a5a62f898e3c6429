"""Encodes numbers in 8 or 4 bits each, and decodes them.

Blocks of 256 numbers share a scale, the largest magnitude of the block as float32. Per number:

* ``int8``: a whole number from -127 to 127 in units of scale / 127.
* ``int4``: one of the 15 levels -7/7 ... 7/7 of the scale.
* ``e3m0``: a sign, three bits of exponent and no mantissa, the 4-bit float of Streaming DiLoCo (arXiv:2501.18512):
  0 and plus or minus 2^-6, 2^-5 ... 1 of the scale.

Each number is rounded to the nearest. A message has the scales, then the codes, two of 4 bits in a byte.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.training.strategies.sent_bytes import BLOCK, Kind

_POWERS: Final = [2.0**exponent for exponent in range(-6, 1)]
_LEVELS: Final = {
    "int4": torch.arange(-7, 8) / 7,
    "e3m0": torch.tensor([-power for power in reversed(_POWERS)] + [0.0, *_POWERS]),
}


def encode(values: Tensor, kind: Kind) -> Tensor:
    """A message (uint8) of float32 numbers in one dimension."""
    count = len(values)
    blocks = pad(values, (0, -count % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    ratios = (blocks / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).view(-1)[:count]
    if kind == "int8":
        codes = (ratios * 127).round().to(torch.int8).view(torch.uint8)
    else:
        levels = _LEVELS[kind].to(values.device)
        pairs = pad(torch.bucketize(ratios, (levels[1:] + levels[:-1]) / 2).to(torch.uint8), (0, count % 2))
        codes = pairs[::2] | pairs[1::2] << 4
    return torch.cat([scales.view(torch.uint8), codes])


def decode(message: Tensor, count: int, kind: Kind) -> Tensor:
    """The numbers of a message, as float32.

    Args:
        message: what ``encode`` made.
        count: of the numbers.
        kind: of their codes.
    """
    head = 4 * -(-count // BLOCK)
    scales, codes = message[:head].clone().view(torch.float32), message[head:]
    if kind == "int8":
        ratios = codes.view(torch.int8) / 127
    else:
        ratios = _LEVELS[kind].to(message.device)[torch.stack([codes & 15, codes >> 4], 1).view(-1)[:count].long()]
    return ratios * scales.repeat_interleave(BLOCK)[:count]
