"""Fully sharded data parallel on gloo and CPU: every rank keeps a share of each layer. Knows nothing of harness.

    torchrun --nproc-per-node 2 examples/fsdp.py
    harness run -n 2 -p datacenter -- python examples/fsdp.py

It is torch's `fully_shard` (FSDP2): layers travel before they are used (all_gather), gradients after (reduce_scatter).
"""

import gc
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

STEPS = 20


def main() -> int:
    """Train; 0 where the loss fell and each rank held only its share, else 1."""
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    whole = sum(parameter.numel() for parameter in model.parameters())
    mesh = init_device_mesh("cpu", (size,))
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh)
    mine = sum(parameter.to_local().numel() for parameter in model.parameters())

    truth = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        inputs = torch.randn(64, 64, generator=torch.Generator().manual_seed(step * size + rank))
        loss = cross_entropy(model(inputs), (inputs @ truth).argmax(1))
        loss.backward()
        optimizer.step()
        dist.all_reduce(loss, op=dist.ReduceOp.AVG)
        losses.append(loss.item())
    good = losses[-1] < losses[0] / 2 and mine < whole
    if rank == 0:
        print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}", flush=True)
    print(f"rank {rank} of {size}: {mine} of {whole} parameters: {'good' if good else 'BAD'}", flush=True)
    dist.barrier()
    dist.destroy_process_group()
    return 0 if good else 1


if __name__ == "__main__":
    code = main()
    gc.collect()  # FSDP's cycles keep gloo's threads, which at Python's end abort now and then (pytorch #179291)
    sys.exit(code)
