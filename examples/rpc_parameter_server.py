"""A parameter server on rank 0 and trainers on all others, by torch.distributed.rpc. Knows nothing of harness.

    harness run -n 4 -t star -p wan -- python examples/rpc_parameter_server.py

Every trainer computes gradients on its own data and sends them to rank 0, which answers with the new weights; nobody
waits for the other trainers (Li et al., Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014).
"""

import os
import sys
import threading

import torch
import torch.distributed.rpc as rpc
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

STEPS = 80


def make_model() -> torch.nn.Module:
    """The model, the same on every rank."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


class Server:
    """The weights, and the optimizer that changes them."""

    def __init__(self) -> None:
        self.model = make_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.3)
        self.lock = threading.Lock()

    def update(self, gradients: list[torch.Tensor]) -> list[torch.Tensor]:
        """Take a step with these gradients; the weights after it."""
        with self.lock:
            for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
                parameter.grad = gradient
            self.optimizer.step()
            return [parameter.detach().clone() for parameter in self.model.parameters()]


server = Server()
"""That of rank 0 is used."""


def update(gradients: list[torch.Tensor]) -> list[torch.Tensor]:
    """Called by the trainers, on rank 0."""
    return server.update(gradients)


def train(rank: int, trainers: int) -> bool:
    """Train against rank 0's server on this rank's part of the digits; whether the loss halved."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels / 16, dtype=torch.float32)[rank - 1 :: trainers]
    targets = torch.tensor(labels)[rank - 1 :: trainers]
    model = make_model()
    losses: list[float] = []
    for step in range(STEPS):
        batch = torch.randint(len(inputs), (64,), generator=torch.Generator().manual_seed(step))
        loss = cross_entropy(model(inputs[batch]), targets[batch])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        weights = rpc.rpc_sync("rank0", update, args=([gradient.detach() for gradient in gradients],))
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.data.copy_(weight)
        losses.append(loss.item())
    good = losses[-1] < losses[0] / 2
    print(f"rank {rank}: loss {losses[0]:.3f} -> {losses[-1]:.3f}: {'good' if good else 'BAD'}", flush=True)
    return good


def main() -> int:
    """Serve or train; rank 0 waits in shutdown until all have trained."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    rpc.init_rpc(f"rank{rank}", rank=rank, world_size=size)
    good = rank == 0 or train(rank, size - 1)
    rpc.shutdown()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
