"""Hugging Face Accelerate on shaped links. Knows nothing of harness; the file must not be called accelerate.py.

    harness run -n 4 -p wan -- python examples/accelerate_ddp.py

Accelerate finds RANK, WORLD_SIZE and MASTER_ADDR in its environment and takes gloo. Several processes in every node:

    harness run -n 2 -p wan -- torchrun --nproc-per-node 2 examples/accelerate_ddp.py
"""

import sys

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 2


def main() -> int:
    """Train; 0 where the loss halved and all ranks agree on it, else 1."""
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels))
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    model, optimizer, loader = accelerator.prepare(net, optimizer, DataLoader(data, batch_size=64, shuffle=True))
    losses = []
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            losses.append(accelerator.reduce(loss.detach(), "mean").item())
    good = losses[-1] < losses[0] / 2
    rank, size = accelerator.process_index, accelerator.num_processes
    print(f"rank {rank} of {size}: loss {losses[0]:.3f} -> {losses[-1]:.3f}: {'good' if good else 'BAD'}", flush=True)
    accelerator.end_training()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
