"""Numbers in few bits."""

import pytest

pytestmark = pytest.mark.torch
LEVELS = {
    "int8": [number / 127 for number in range(-127, 128)],
    "int4": [number / 7 for number in range(-7, 8)],
    "e3m0": [sign * 2.0**-power for sign in (-1, 1) for power in range(7)] + [0.0],
}


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 1000])
def test_every_number_becomes_the_nearest_level_of_its_block(kind, count):
    import torch

    from harness.training.strategies.quantise import decode, encode
    from harness.training.strategies.sent_bytes import BLOCK, encoded_size

    values = torch.randn(count, generator=torch.Generator().manual_seed(count)) * 3
    message = encode(values, kind)
    assert message.dtype == torch.uint8
    assert len(message) == encoded_size(count, kind)
    found = decode(message, count, kind)
    for start in range(0, count, BLOCK):
        block, back = values[start : start + BLOCK], found[start : start + BLOCK]
        levels = torch.tensor(LEVELS[kind]) * block.abs().max()
        nearest = (block[:, None] - levels).abs().min(1).values
        assert torch.allclose((block - back).abs(), nearest, atol=1e-6)


@pytest.mark.parametrize("kind", LEVELS)
def test_levels_are_kept(kind):
    import torch

    from harness.training.strategies.quantise import decode, encode

    values = torch.tensor(LEVELS[kind]) * 5
    assert torch.allclose(decode(encode(values, kind), len(values), kind), values)


@pytest.mark.parametrize("kind", LEVELS)
def test_nothing_stays_nothing_and_the_largest_stays_exact(kind):
    import torch

    from harness.training.strategies.quantise import decode, encode

    assert (decode(encode(torch.zeros(300), kind), 300, kind) == 0).all()
    values = torch.zeros(300)
    values[7], values[299] = -1e30, 1e-30
    assert torch.equal(decode(encode(values, kind), 300, kind), values)


def test_sizes():
    """A scale per 256 numbers."""
    from harness.training.strategies.sent_bytes import encoded_size

    assert encoded_size(512, "int8") == 512 + 8
    assert encoded_size(513, "int4") == encoded_size(513, "e3m0") == 257 + 12
