"""Federated averaging with Flower: its server on rank 0, a client on every other rank. Knows nothing of harness.

    harness run -n 4 -t star -p mobile -- python examples/flower_fedavg.py

Rank 0 is the star's centre. The server ends after its rounds, and its clients with it.
"""

import os
import sys

import flwr
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

ROUNDS, LOCAL_STEPS, PORT = 5, 20, 29533


class Client(flwr.client.NumPyClient):
    """Trains on its part of the digits."""

    def __init__(self, number: int, clients: int) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        pixels, labels = load_digits(return_X_y=True)
        self.inputs = torch.tensor(pixels / 16, dtype=torch.float32)[number::clients]
        self.targets = torch.tensor(labels)[number::clients]

    def get_parameters(self, config: dict[str, object]) -> list[np.ndarray]:
        """The weights."""
        return [value.numpy() for value in self.net.state_dict().values()]

    def _set(self, parameters: list[np.ndarray]) -> None:
        names = self.net.state_dict()
        self.net.load_state_dict({name: torch.tensor(value) for name, value in zip(names, parameters, strict=True)})

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, object]
    ) -> tuple[list[np.ndarray], int, dict[str, float]]:
        """Some steps from the server's weights."""
        self._set(parameters)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-2)
        for _ in range(LOCAL_STEPS):
            batch = torch.randint(len(self.inputs), (64,))
            optimizer.zero_grad()
            cross_entropy(self.net(self.inputs[batch]), self.targets[batch]).backward()
            optimizer.step()
        return self.get_parameters(config), len(self.inputs), {}

    def evaluate(self, parameters: list[np.ndarray], config: dict[str, object]) -> tuple[float, int, dict[str, float]]:
        """The loss of the server's weights on this client's digits."""
        self._set(parameters)
        with torch.no_grad():
            return cross_entropy(self.net(self.inputs), self.targets).item(), len(self.inputs), {}


def main() -> int:
    """Serve or take part; the server says how the loss fell."""
    rank, clients = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]) - 1
    if rank:
        client = Client(rank - 1, clients).to_client()
        flwr.client.start_client(server_address=f"{os.environ['MASTER_ADDR']}:{PORT}", client=client)
        return 0
    everyone = {"min_fit_clients": clients, "min_evaluate_clients": clients, "min_available_clients": clients}
    history = flwr.server.start_server(
        server_address=f"0.0.0.0:{PORT}",
        config=flwr.server.ServerConfig(num_rounds=ROUNDS),
        strategy=flwr.server.strategy.FedAvg(**everyone),
    )
    losses = [loss for _, loss in history.losses_distributed]
    good = losses[-1] < losses[0]
    print(f"{ROUNDS} rounds, {clients} clients: loss {losses[0]:.3f} -> {losses[-1]:.3f}: {'good' if good else 'BAD'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
