"""A job that torchrun starts again when a rank dies: it goes on from its last snapshot. Knows nothing of harness.

    torchrun --standalone --nproc-per-node 2 --max-restarts 1 examples/elastic.py --folder snapshots --die-at 10
    harness run -n 2 -p wan -- \\
        torchrun --rdzv-backend c10d --max-restarts 1 examples/elastic.py --folder snapshots --die-at 10

A job that ended well leaves its snapshot: remove it before the next one.
"""

import argparse
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.nn  # before init_process_group: imported later, it keeps the group alive (docs/exogym.md)
from torch.nn.parallel import DistributedDataParallel

STEPS = 20


def main() -> int:
    """Train from the last snapshot, if there is one; 0 where the loss is small at the end, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the snapshot; each node may have its own")
    parser.add_argument("--die-at", type=int, help="step at which the last rank ends, in a job that begins anew")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    snapshot = options.folder / "snapshot.pt"
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()

    torch.manual_seed(0)
    net = torch.nn.Linear(16, 1)
    next_step = torch.zeros(1, dtype=torch.int64)
    if rank == 0 and snapshot.exists():
        next_step[0], weights = torch.load(snapshot)
        net.load_state_dict(weights)
    dist.broadcast(next_step, src=0)
    begin = int(next_step)
    model = DistributedDataParallel(net)  # gives all ranks the weights of rank 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    truth = torch.linspace(-1, 1, 16)
    for step in range(begin, STEPS):
        if begin == 0 and step == options.die_at and rank == size - 1:
            print(f"rank {rank}: dies at step {step}", flush=True)
            os._exit(3)
        inputs = torch.randn(64, 16, generator=torch.Generator().manual_seed(step * size + rank))
        loss = (model(inputs).squeeze(1) - inputs @ truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.save((step + 1, net.state_dict()), part := options.folder / f"snapshot-{rank}.part")
        part.replace(snapshot)
    error = (net.weight - truth).abs().max().item()
    print(f"rank {rank} of {size}: steps {begin} to {STEPS}, the weights are off by {error:.3f}", flush=True)
    del model  # one that outlives its process group may hang at the end (pytorch #56297)
    dist.destroy_process_group()
    return 0 if error < 0.2 else 1


if __name__ == "__main__":
    sys.exit(main())
