"""Which parameters are drawn."""

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture
def draw():
    from harness.training.strategies.sparta import draw

    return draw


@pytest.mark.parametrize(("total", "count"), [(1000, 7), (10, 10), (83, 8), (5, 1)])
def test_one_of_each_range(draw, total, count):
    drawn = draw(total, count, 3, 4)
    edges = [number * total // count for number in range(count + 1)]
    for index, start, end in zip(drawn.tolist(), edges, edges[1:], strict=False):
        assert start <= index < end


def test_every_parameter_has_its_turn(draw):
    seen = {index for step in range(400) for index in draw(50, 5, 0, step).tolist()}
    assert seen == set(range(50))


def test_the_draw_follows_from_seed_and_step(draw):
    assert draw(10**6, 100, 1, 2).tolist() == draw(10**6, 100, 1, 2).tolist()
    draws = {tuple(draw(10**6, 100, seed, step).tolist()) for seed in (-1, 0, 1, 2**32) for step in (0, 1, 2**32)}
    assert len(draws) == 12
