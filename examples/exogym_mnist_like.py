"""An ExoGym script as its example/mnist.py, on digits that need no download. Only the first import is not ExoGym's.

    harness run -n 4 -p wan -- python examples/exogym_mnist_like.py --strategy diloco

With `from exogym.trainer import Trainer` it is an ExoGym script again. docs/exogym.md says how to install ExoGym.
"""

import argparse
import os
import time

import torch
from exogym.strategy import DeMoStrategy, DiLoCoStrategy, FedAvgStrategy, SPARTADiLoCoStrategy, SPARTAStrategy
from exogym.strategy.optim import OptimSpec
from exogym.strategy.strategy import SimpleReduceStrategy, Strategy
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Subset, TensorDataset

from harness.training.exogym import Trainer


class Model(nn.Module):
    """As ExoGym wants it: called with a batch, it returns the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The loss of (images, labels)."""
        images, labels = batch
        return cross_entropy(self.net(images), labels)


def make_strategy(name: str, interval: int) -> Strategy:
    """ExoGym's strategy of that name; those that communicate now and then do so every interval steps."""
    spec = OptimSpec(torch.optim.AdamW, lr=3e-3)
    return {
        "simple_reduce": lambda: SimpleReduceStrategy(optim_spec=spec),
        "fedavg": lambda: FedAvgStrategy(optim_spec=spec, H=interval),
        "diloco": lambda: DiLoCoStrategy(optim_spec=spec, H=interval),
        "sparta": lambda: SPARTAStrategy(optim_spec=spec, p_sparta=0.05),
        "sparta_diloco": lambda: SPARTADiLoCoStrategy(inner_optim_spec=spec, p_sparta=0.05, H=interval),
        "demo": lambda: DeMoStrategy(lr=1e-3),
    }[name]()


def main() -> None:
    """Train with each strategy that was asked for, and tell the loss of the averaged model."""
    names = ["simple_reduce", "fedavg", "diloco", "sparta", "sparta_diloco", "demo"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategy", choices=names, nargs="+", default=names)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--interval", type=int, default=10, help="H")
    options = parser.parse_args()

    pixels, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels))
    train, val = Subset(digits, range(1500)), Subset(digits, range(1500, len(digits)))
    held_out = digits[list(val.indices)]
    nodes = int(os.environ.get("WORLD_SIZE", "4"))
    for name in options.strategy:
        torch.manual_seed(0)
        began = time.perf_counter()
        trainer = Trainer(Model(), train, val)
        trained = trainer.fit(
            num_epochs=10,
            max_steps=options.steps,
            strategy=make_strategy(name, options.interval),
            num_nodes=nodes,
            batch_size=32,
            val_size=128,
            val_interval=options.steps,
            run_name=f"digits_{name}",
        )
        seconds = time.perf_counter() - began
        with torch.no_grad():
            accuracy = (trained.net(held_out[0]).argmax(1) == held_out[1]).float().mean().item()
            loss = trained(held_out).item()
        print(
            f"{name}: loss {loss:.4f}, {accuracy:.1%} right on {len(val)} held-out digits, {seconds:.1f} s", flush=True
        )


if __name__ == "__main__":
    main()
