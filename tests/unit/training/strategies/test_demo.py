"""The transform that DeMo sends parts of."""

import math

import pytest

pytestmark = pytest.mark.torch


def test_it_is_the_orthonormal_dct_2():
    """Against its definition, term by term."""
    import torch

    from harness.training.strategies.demo import basis

    values = [3.0, -1.0, 4.0, 1.0, -5.0]
    n = len(values)
    expected = [
        math.sqrt((1 if k == 0 else 2) / n)
        * sum(value * math.cos(math.pi * k * (2 * i + 1) / (2 * n)) for i, value in enumerate(values))
        for k in range(n)
    ]
    assert (basis(n) @ torch.tensor(values)).tolist() == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(basis(n) @ basis(n).T, torch.eye(n), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "count", "area"),
    [((64, 256), 64, 256), ((10, 12), 1, 120), ((17, 8), 17, 8), ((40,), 4, 10), ((1,), 1, 1), ((6, 3, 5), 1, 90)],
)
def test_blocks_and_their_inverse(shape, count, area):
    import torch

    from harness.training.strategies.demo import Blocks

    blocks = Blocks(shape, 16)
    assert (blocks.count, blocks.area) == (count, area)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    waves = blocks.forward(tensor)
    assert waves.shape == (count, area)
    assert torch.allclose(blocks.inverse(waves), tensor, atol=1e-5)
    assert waves.square().sum().item() == pytest.approx(tensor.square().sum().item(), rel=1e-4)


def test_a_block_is_transformed_in_both_directions():
    import torch

    from harness.training.strategies.demo import Blocks, basis

    tensor = torch.arange(24.0).view(4, 6)
    waves = Blocks((4, 6), 3).forward(tensor)
    first = tensor[:2, :3]
    assert torch.allclose(waves[0].view(2, 3), basis(2) @ first @ basis(3).T, atol=1e-5)


def test_largest_divisor():
    from harness.training.strategies.demo import largest_divisor

    assert [largest_divisor(12, limit) for limit in (100, 12, 11, 5, 1)] == [12, 12, 6, 4, 1]
    assert largest_divisor(127, 64) == 1
