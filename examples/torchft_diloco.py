"""DiLoCo with torchft: every node is a replica group that may come and go. Knows nothing of harness.

    harness run -n 3 -p wan -- python examples/torchft_diloco.py

Rank 0 also runs torchft's lighthouse, by which the groups find each other; each advertises its host name.
"""

import os
import socket
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torchft import Manager, ProcessGroupGloo
from torchft.coordination import LighthouseServer
from torchft.local_sgd import DiLoCo

ROUNDS, SYNC_EVERY, PORT = 4, 10, 29510


def main() -> int:
    """Train; 0 where the loss halved and all groups took part to the end, else 1."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    lighthouse = LighthouseServer(bind=f"[::]:{PORT}", min_replicas=size, join_timeout_ms=10_000) if rank == 0 else None
    store = dist.TCPStore(socket.gethostname(), 0, is_master=True, wait_for_workers=False)  # of this group alone

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    inner = torch.optim.AdamW(model.parameters(), lr=5e-3)
    outer = torch.optim.SGD(model.parameters(), lr=0.7, momentum=0.9, nesterov=True)
    manager = Manager(
        pg=ProcessGroupGloo(timeout=timedelta(seconds=30)),
        load_state_dict=lambda state: model.load_state_dict(state["model"]),
        state_dict=lambda: {"model": model.state_dict()},
        min_replica_size=size,
        use_async_quorum=False,
        rank=0,
        world_size=1,
        store_addr=socket.gethostname(),
        store_port=store.port,
        lighthouse_addr=f"http://{os.environ['MASTER_ADDR']}:{PORT}",
        replica_id=f"group-{rank}-",
        hostname=socket.gethostname(),
    )
    pixels, labels = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(pixels / 16, dtype=torch.float32)[rank::size], torch.tensor(labels)[rank::size]
    losses = []
    with DiLoCo(manager, [model], inner, outer, sync_every=SYNC_EVERY, pin_memory=False):
        while manager.current_step() < ROUNDS:
            batch = torch.randint(len(inputs), (64,))
            inner.zero_grad()
            loss = cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()
            inner.step()
            losses.append(loss.item())
    good = losses[-1] < losses[0] / 2 and manager.num_participants() == size
    print(
        f"rank {rank}: {manager.current_step()} rounds with {manager.num_participants()} groups,"
        f" loss {losses[0]:.3f} -> {losses[-1]:.3f}: {'good' if good else 'BAD'}",
        flush=True,
    )
    time.sleep(2)  # the others may still ask for the quorum of the last round
    manager.shutdown()
    if lighthouse:
        lighthouse.shutdown()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
