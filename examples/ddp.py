"""DistributedDataParallel on scikit-learn's digits: a script as any for torchrun, which knows nothing of harness.

torchrun --nproc-per-node 2 examples/ddp.py
harness run -n 2 -p wan -- python examples/ddp.py
"""

import os
import sys

import torch
import torch.distributed as dist
import torch.distributed.nn  # before init_process_group: imported later, it keeps the group alive (docs/exogym.md)
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

EPOCHS = int(os.environ.get("EPOCHS", "2"))


def main() -> int:
    """Train; 0 where the loss fell and all ranks have the same parameters, else 1."""
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels))
    sampler = DistributedSampler(data, seed=0)
    loader = DataLoader(data, batch_size=64, sampler=sampler)

    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    model = DistributedDataParallel(net)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if dist.get_rank() == 0:
            print(f"epoch {epoch + 1}/{EPOCHS}: loss {losses[0]:.3f} -> {losses[-1]:.3f}", flush=True)

    mine = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    first = mine.clone()
    dist.broadcast(first, src=0)
    good = losses[-1] < losses[0] / 2 and torch.equal(mine, first)
    print(f"rank {dist.get_rank()} of {dist.get_world_size()}: {'good' if good else 'BAD'}", flush=True)
    dist.barrier()
    del model  # one that outlives its process group may hang at the end (pytorch #56297)
    dist.destroy_process_group()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
