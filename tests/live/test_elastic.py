"""An elastic job of torchrun, one agent in each node, goes on while a scenario kills a node, and takes it in again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.networks.backends import DOCKER
from tests.support.live import addressing, needs, own, runtime_name

pytestmark = [
    *needs(),
    pytest.mark.full,
    pytest.mark.torch,
    pytest.mark.skipif(runtime_name() == DOCKER, reason="its script lies on this machine"),
]
SCRIPT = """
import os, time
import torch, torch.distributed as dist
from datetime import timedelta
from pathlib import Path
from harness import step

worlds = Path(os.environ["WORLDS"])
dist.init_process_group("gloo", timeout=timedelta(seconds=30))
size = dist.get_world_size()
if dist.get_rank() == 0:
    with worlds.open("a") as file:
        print(size, file=file)
dist.barrier()
complete = worlds.read_text().split()[-2:] == ["2", "3"]
for number in range(10 if complete else 10_000):
    ones = torch.ones(1000)
    dist.all_reduce(ones)
    assert ones[0] == size
    step(number)
    time.sleep(0.05)
dist.barrier()
dist.destroy_process_group()
print("done", flush=True)
"""


def test_an_elastic_job_goes_on_without_a_node_and_takes_it_in_again(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "profile.yaml").write_text("rate: 1gbit\ndelay: 1ms\n")
    (tmp_path / "scenario.yaml").write_text("events:\n  - {at: step 20, kill: {node: 2}, back: 20s}\n")
    torchrun = Path(sys.executable).with_name("torchrun")
    argv = [sys.executable, "-m", "harness", "run", "-n", "3", "-p", str(tmp_path / "profile.yaml")]
    argv += ["--name", own("elastic"), "--subnet", str(addressing().ipv4_net), "--timeout", "4m"]
    argv += ["--scenario", str(tmp_path / "scenario.yaml"), "--"]
    argv += [str(torchrun), "--nnodes", "2:3", "--nproc-per-node", "1", "--max-restarts", "50"]
    argv += ["--rdzv-backend", "c10d", "--rdzv-conf", "last_call_timeout=3,join_timeout=200"]
    argv += ["--monitor-interval", "0.5", "train.py"]
    worlds = tmp_path / "worlds"
    env = {**os.environ, "WORLDS": str(worlds), "PYTHONPATH": os.getcwd()}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert worlds.read_text().split()[-3:] == ["3", "2", "3"]
    assert {f"[{rank}] done" for rank in range(3)} <= {*done.stdout.splitlines()}
