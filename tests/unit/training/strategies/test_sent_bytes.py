import pytest

from harness.training.strategies.sent_bytes import all_gather_sent, all_reduce_sent


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_all_ranks_together_send_what_all_must_get(ranks):
    """An all_reduce moves each of n - 1 partial sums, then each of n - 1 results, of every byte."""
    assert ranks * all_reduce_sent(1200, ranks) == pytest.approx(1200 * 2 * (ranks - 1))
    assert ranks * all_gather_sent(1200, ranks) == pytest.approx(1200 * ranks * (ranks - 1))


def test_a_rank_alone_sends_nothing():
    assert all_reduce_sent(100, 1) == all_gather_sent(100, 1) == 0
