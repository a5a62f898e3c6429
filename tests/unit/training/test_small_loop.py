"""What harness.training.small_loop reads and tells, and the model that it trains."""

import pytest

from harness.training.small_loop import main, percentile, step_line, summary
from tests.support.workload import ALONE, needs_torch


def record(**values):
    return {
        "step": 12,
        "time": 1.0,
        "seconds_comm": 0.0831,
        "seconds_compute": 0.0032,
        "bytes": 1 << 20,
        "loss": 0.5321,
    } | values


def test_a_step_is_one_line():
    assert step_line(record(), 100, 4) == (
        "step 12/100  loss 0.532  all_reduce 83.1 ms  bus bandwidth 151 Mbit/s  compute 3 ms"
    )


@pytest.mark.parametrize(("comm", "told"), [(100.0, "0.126"), (1.0, "12.6"), (0.001, "12583")])
def test_bandwidth_is_told_in_whole_numbers_or_three_digits(comm, told):
    assert f"bus bandwidth {told} Mbit/s" in step_line(record(seconds_comm=comm), 100, 4)


def test_the_summary_has_median_and_95th_percentile():
    comm = [n / 1000 for n in range(1, 101)]
    assert summary([2.0, 0.5, 0.25], comm, 31.26) == (
        "100 steps in 31.3 s  loss 2.000 -> 0.250  all_reduce median 50.5 ms, p95 95.0 ms"
    )


def test_percentiles_are_values_that_occurred():
    assert percentile([3, 1, 2], 0.95) == 3
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([7], 0.95) == 7
    assert percentile(range(20), 0.95) == 18


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "75B"], "is under 76B, one hidden unit"),
        (["--size", "1parsec"], "unknown unit 'parsec'"),
        (["--pause", "5"], "'5' is not a time: unknown unit ''"),
        (["--steps", "0"], "not a whole number from 1"),
        (["--timeout", "inf"], "not a number of seconds over 0"),
        (["--collective", "gossip"], "invalid choice: 'gossip'"),
    ],
)
def test_bad_arguments_are_told(words, message, capsys, monkeypatch):
    for name, value in ALONE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.torch
@needs_torch
class TestModel:
    @pytest.fixture
    def make(self):
        import torch

        from harness.training.small_model import Model

        return lambda size, rank=0: Model(torch, size, rank)

    @pytest.mark.parametrize("size", [76, 79, 1000, 65536, 1 << 20])
    def test_gradients_have_the_size_asked_and_little_of_it_is_padding(self, make, size):
        found, _ = make(size).gradients()
        assert len(found) == size // 4
        assert len(found) - int(found.count_nonzero()) < 18 + len(found) // 1000

    def test_ranks_begin_alike_with_samples_of_their_own(self, make):
        one, other = make(1000, 0), make(1000, 1)
        assert one.digest() == other.digest()
        assert one.gradients()[1] != other.gradients()[1]

    @pytest.mark.parametrize("size", [76, 1000, 1 << 20])
    def test_loss_falls(self, make, size):
        model = make(size)
        first = model.gradients()[1]
        for _ in range(50):
            model.apply(model.gradients()[0])
        assert model.gradients()[1] < first / 2

    def test_any_parameter_changes_the_digest(self, make):
        model = make(1000)
        seen = {model.digest()}
        for place in (0, 100, 249):
            model.parameters.data[place] += 1e-6
            seen.add(model.digest())
        assert len(seen) == 4
