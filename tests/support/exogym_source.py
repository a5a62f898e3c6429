"""ExoGym for tests: a small one of our own with the same parts, and the real one where it can be had."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from tests.support import warm_python
from tests.support.workload import PATIENCE, free_port

RANKS = 2
NEEDED = ("tqdm", "einops", "psutil")

_COMMON = """
from dataclasses import dataclass, field
from typing import Any

@dataclass
class TrainConfig:
    model: Any
    train_dataset: Any
    val_dataset: Any
    strategy: Any
    num_nodes: int
    rank: int = None
    device: Any = None
    devices: Any = None
    port: int = 12355
    num_epochs: int = 1
    max_steps: int = None
    batch_size: int = 16
    minibatch_size: int = 16
    shuffle: bool = True
    val_size: int = 64
    val_interval: int = 100
    autocast: bool = False
    checkpoint_interval: int = None
    correlation_interval: int = None
    save_dir: str = "./checkpoints"
    dataloader_kwargs: dict = None
    kwargs: dict = field(default_factory=dict)
    clip: float = None  # as a later version might have
"""

_TRAIN_NODE = """
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

def broadcast(tensor, src=0):
    return dist.broadcast(tensor, src=src)

class TrainNode:
    def __init__(self, config):
        torch.manual_seed(config.kwargs.get("seed", 42))
        self.config = config
        data = config.train_dataset
        if callable(data):
            self.loader = DataLoader(data(config.rank, config.num_nodes, train_dataset=True), config.minibatch_size)
        else:
            sampler = DistributedSampler(data, config.num_nodes, config.rank, config.shuffle)
            self.loader = DataLoader(data, config.minibatch_size, sampler=sampler)
        for _, param in config.model.named_parameters():
            broadcast(param.data, src=0)

    def train(self):
        done = 0
        while done < self.config.max_steps:
            for batch in self.loader:
                self.config.strategy.zero_grad()
                self.config.model(tuple(batch)).backward()
                self.config.strategy.step()
                done += 1
                if done == self.config.max_steps:
                    break
        return self.config.model.state_dict()
"""

_STRATEGY = """
class Strategy:
    def __init__(self, **kwargs):
        pass

    def _init_node(self, model, rank, num_nodes):
        self.model, self.rank, self.num_nodes, self.local_step = model, rank, num_nodes, 0

    def zero_grad(self):
        self.optim.zero_grad()

    def step(self):
        self.local_step += 1
"""


_END = """
import atexit, json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump(told, file)
atexit._run_exitfuncs()
sys.stdout.flush()
os._exit(0)  # torch's threads abort what comes then now and then: terminate called without an active exception
"""


def small(folder: Path) -> Path:
    """A folder with a package `exogym` of these parts, and nothing that communicates."""
    package = folder / "small" / "exogym"
    package.mkdir(parents=True)
    for name, text in {"common": _COMMON, "train_node": _TRAIN_NODE, "strategy": _STRATEGY, "__init__": ""}.items():
        (package / f"{name}.py").write_text(text)
    return package.parent


def real() -> tuple[Path | None, str]:
    """The folder that has the real one in it, or why there is none; HARNESS_EXOGYM may name a checkout."""
    named = os.environ.get("HARNESS_EXOGYM")
    spec = None if named else importlib.util.find_spec("exogym")
    folder = Path(named) if named else Path(*spec.submodule_search_locations).parent if spec else None
    if folder is None or not (folder / "exogym" / "train_node.py").exists():
        return None, "no ExoGym: let HARNESS_EXOGYM name a checkout of github.com/exo-explore/gym"
    if missing := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        return None, f"ExoGym needs {', '.join(missing)}: pip install --no-deps {' '.join(NEEDED)}"
    return folder, ""


def on_all_ranks(folder: Path, source: str, *packages: Path | None) -> list[dict]:
    """What each rank put into its dict `told`: a program on loopback with torchrun's variables."""
    program = folder / "program.py"
    program.write_text(f"told = {{}}\n{source}\n{_END}")
    port = str(free_port())
    paths = [str(path) for path in (*packages, *filter(None, sys.path)) if path]
    everyone = {
        **os.environ,
        "WORLD_SIZE": str(RANKS),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    files = [folder / f"told-{rank}.json" for rank in range(RANKS)]
    logs = [folder / f"log-{rank}.txt" for rank in range(RANKS)]
    running = []
    try:
        for rank in range(RANKS):
            with logs[rank].open("w") as log:
                env = everyone | {"RANK": str(rank), "LOCAL_RANK": "0"}
                running.append(warm_python.start("program", [str(files[rank])], env, log, log, folder=folder))
        codes = [process.wait(PATIENCE) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait(PATIENCE)
    assert not any(codes), "\n".join(log.read_text() for log in logs)
    return [json.loads(file.read_text()) for file in files]
