"""A test of a training job across bad networks, as CI would run it.

pytest examples/test_convergence.py
"""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

import harness

pytest.importorskip("torch")


def train(steps: int, patience: float = 60.0) -> list[float]:
    """Data-parallel training of a small network, on every node; losses by step.

    Args:
        steps: how many.
        patience: seconds until a collective that does not end counts as failed.
    """
    import torch
    import torch.distributed as dist
    import torch.distributed.nn  # before init_process_group: imported later, it keeps the group alive (docs/exogym.md)
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    group = dist.new_group(timeout=timedelta(seconds=patience))
    torch.manual_seed(0)
    teacher = torch.randn(64, 1)
    model = DistributedDataParallel(
        torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)), process_group=group
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
    torch.manual_seed(1 + dist.get_rank())
    losses = []
    for step in range(steps):
        inputs = torch.randn(128, 64)
        loss = torch.nn.functional.mse_loss(model(inputs), inputs @ teacher)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0:
            print(f"step {step}: loss {losses[-1]:.2f}")
    dist.barrier()
    del model  # one that outlives its process group may hang at the end (pytorch #56297)
    dist.destroy_process_group()
    return losses


def test_it_converges_across_a_mobile_network(shaped_network: Callable[..., harness.ShapedNetwork]) -> None:
    """One to ten MB/s, 50 to 200 ms each way, 1 % loss: slow, and as good as anywhere."""
    net = shaped_network(nodes=2, profile="mobile", seed=1)
    for losses in net.run(train, 8, timeout=300):
        assert sum(losses[-3:]) < sum(losses[:3]) / 2


def test_it_fails_cleanly_where_the_network_is_cut(shaped_network: Callable[..., harness.ShapedNetwork]) -> None:
    """The job ends with an error that says what was waited for; it does not hang."""
    net = shaped_network(nodes=2, profile="wan")
    call = net.start(train, 100_000, patience=5)
    while call.running and net.stats()[0, 1].sent_bytes < 500_000:
        time.sleep(0.1)
    net.partition("0|1")
    with pytest.raises(harness.RankError, match=r"(?i)timed out|timeout"):
        call.result(timeout=120)
