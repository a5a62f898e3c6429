"""A plain training loop with DistributedDataParallel: its loss is in the record of its run, scenarios follow its steps.

harness run -n 2 -p wan --record -- python examples/plain_loop.py --lr 0.1
"""

import argparse

import torch
import torch.distributed as dist
import torch.distributed.nn  # before init_process_group: imported later, it keeps the group alive (docs/exogym.md)
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import harness


def main() -> None:
    """Learn what a random linear classifier answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    teacher, net = torch.nn.Linear(64, 10), torch.nn.Linear(64, 10)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), options.lr)
    torch.manual_seed(1 + dist.get_rank())
    for step in range(options.steps):
        inputs = torch.randn(128, 64)
        loss = cross_entropy(model(inputs), teacher(inputs).argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        harness.log(step=step, loss=loss)
        harness.step(step + 1)
    dist.barrier()
    del model  # one that outlives its process group may hang at the end (pytorch #56297)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
