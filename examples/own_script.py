"""A plain PyTorch script with options of its own, which knows nothing of harness: examples/own_script.yaml compares it.

torchrun --nproc-per-node 2 examples/own_script.py --lr 0.1
harness run -n 2 -p wan -- python examples/own_script.py --lr 0.1
harness experiment run examples/own_script.yaml
"""

import argparse

import torch
import torch.distributed as dist
import torch.distributed.nn  # before init_process_group: imported later, it keeps the group alive (docs/exogym.md)
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--steps", type=int, default=100)
options = parser.parse_args()

dist.init_process_group("gloo")
torch.manual_seed(options.seed)
pixels, labels = load_digits(return_X_y=True)
inputs, targets = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
inputs, held_out = inputs[:1500], inputs[1500:]
net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
model = DistributedDataParallel(net)
optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9)
chance = torch.Generator().manual_seed(1000 * options.seed + dist.get_rank())
for step in range(1, options.steps + 1):
    batch = torch.randint(0, len(inputs), (64,), generator=chance)
    optimizer.zero_grad()
    cross_entropy(model(inputs[batch]), targets[batch]).backward()
    optimizer.step()
    if step % 10 == 0 and dist.get_rank() == 0:
        with torch.no_grad():
            loss = cross_entropy(net(held_out), targets[1500:])
        print(f"step {step}: loss {loss:.4f}", flush=True)
dist.barrier()
del model  # one that outlives its process group may hang at the end (pytorch #56297)
dist.destroy_process_group()
