"""Which rank has which examples, and their order in batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.training.tasks.sharding import Sharding, batch_indices

SEEDS = st.integers(0, 2**32)
SHARDINGS = st.one_of(st.just(Sharding()), st.floats(0.01, 1000).map(Sharding))


@given(SHARDINGS, st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(1, 20), SEEDS)
@settings(deadline=None)
def test_every_example_has_one_rank_and_no_rank_has_nothing(sharding, labels, ranks, seed):
    labels = np.array(labels, dtype=np.int64)
    if len(labels) < ranks:
        with pytest.raises(InputError, match=f"{len(labels)} examples are too few for {ranks} ranks"):
            sharding.divide(labels, ranks, seed)
        return
    shards = sharding.divide(labels, ranks, seed)
    assert len(shards) == ranks
    assert min(map(len, shards)) >= 1
    assert sorted(np.concatenate(shards).tolist()) == list(range(len(labels)))
    again = sharding.divide(labels, ranks, seed)
    assert [one.tolist() for one in again] == [one.tolist() for one in shards]


def test_evenly_means_shards_of_one_size_and_another_seed_another_division():
    labels = np.zeros(103, dtype=np.int64)
    shards = Sharding().divide(labels, 4, 0)
    assert sorted(map(len, shards)) == [25, 26, 26, 26]
    assert shards[0].tolist() != Sharding().divide(labels, 4, 1)[0].tolist()


def test_the_smaller_alpha_the_more_unlike_are_the_shards():
    labels = np.repeat(np.arange(10), 200)

    def spread(alpha):
        """The share of a rank's most frequent label, averaged over ranks and seeds; 0.1 would be IID."""
        found = []
        for seed in range(5):
            for shard in Sharding(alpha).divide(labels, 4, seed):
                found.append(np.bincount(labels[shard]).max() / len(shard))
        return np.mean(found)

    assert spread(100) < 0.15 < spread(1) < spread(0.05)
    assert spread(0.05) > 0.3


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 5), SEEDS, st.integers(0, 7))
@settings(deadline=None)
def test_batches_go_through_all_examples_once_an_epoch(examples, size, epochs, seed, rank):
    shard = np.arange(1000, 1000 + examples, dtype=np.int64)
    steps = -(-examples * epochs // size)
    taken = np.concatenate([batch_indices(shard, size, step, seed, rank) for step in range(1, steps + 1)])
    for epoch in range(epochs):
        assert sorted(taken[epoch * examples : (epoch + 1) * examples].tolist()) == shard.tolist()


def test_a_batch_follows_from_seed_rank_and_step_alone():
    shard = np.arange(50, dtype=np.int64)
    third = batch_indices(shard, 8, 3, seed=5, rank=1).tolist()
    assert third == batch_indices(shard, 8, 3, seed=5, rank=1).tolist()
    others = [(3, 5, 0), (3, 6, 1), (4, 5, 1)]
    assert all(third != batch_indices(shard, 8, step, seed, rank).tolist() for step, seed, rank in others)


@pytest.mark.parametrize(("text", "alpha"), [("iid", None), ("dirichlet:0.3", 0.3), ("dirichlet:10", 10.0)])
def test_written_as(text, alpha):
    assert Sharding.parse(text) == Sharding(alpha)


@pytest.mark.parametrize("text", ["", "IID!", "dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:nan",
                                  "dirichlet:inf", "zipf:0.3"])  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match=r"write iid, or dirichlet:ALPHA"):
        Sharding.parse(text)
