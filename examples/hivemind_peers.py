"""Decentralised training with hivemind: peers find each other in a DHT and average their gradients. Knows no harness.

    harness run -n 3 -p wan -- python examples/hivemind_peers.py

Rank 0's DHT node is the first peer. The others get its address, which has its key in it, from a TCPStore at rank 0.
"""

import os
import socket
import sys
import time

import hivemind
import torch
from sklearn.datasets import load_digits
from torch.distributed import TCPStore
from torch.nn.functional import cross_entropy

EPOCHS, BATCH = 3, 64


def main() -> int:
    """Train; 0 where the loss halved, else 1."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=rank == 0)
    peers = [] if rank == 0 else [store.get("first peer").decode()]
    dht = hivemind.DHT(
        initial_peers=peers,
        host_maddrs=[f"/ip4/{socket.gethostbyname(socket.gethostname())}/tcp/0"],
        use_relay=False,
        use_auto_relay=False,
        start=True,
    )
    if rank == 0:
        store.set("first peer", str(dht.get_visible_maddrs()[0]))

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = hivemind.Optimizer(
        dht=dht,
        run_id="digits",
        params=model.parameters(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-2),
        batch_size_per_step=BATCH,
        target_batch_size=10 * BATCH * size,
        matchmaking_time=5.0,
        averaging_timeout=20.0,
        verbose=rank == 0,
    )
    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(pixels / 16, dtype=torch.float32)[rank::size], torch.tensor(labels)[rank::size]
    losses = []
    while optimizer.local_epoch < EPOCHS:
        batch = torch.randint(len(inputs), (BATCH,))
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs[batch]), targets[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    good = losses[-1] < losses[0]
    text = "good" if good else "BAD"
    print(f"rank {rank}: {EPOCHS} epochs, loss {losses[0]:.3f} -> {losses[-1]:.3f}: {text}", flush=True)
    store.add("done", 1)
    while store.add("done", 0) < size:  # a peer that leaves is missed in the averaging of the others
        time.sleep(0.1)
    optimizer.shutdown()
    dht.shutdown()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
