"""What needs a GPU: scripts/check-gpu runs it where there is one, CI never. Nodes are namespaces and share it."""

import json
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here"),
    pytest.mark.links,
    pytest.mark.namespaces,
]

NODES = 3
STRATEGIES = {
    "ddp": [],
    "ddp-fp16": ["--option", "compress=fp16"],
    "ddp-powersgd": ["--option", "compress=powersgd", "--option", "rank=2"],
    "fedavg": ["--option", "H=5"],
    "diloco": ["--option", "H=5"],
    "streaming-diloco": ["--option", "H=6", "--option", "quantise=int4"],
    "sparta": [],
    "demo": ["--option", "chunk=16", "--option", "topk=16"],
    "gossip": [],
}
COLLECTIVES = "all_reduce,broadcast,all_gather,reduce_scatter,all_to_all,send_recv,barrier"


def harness(*words, code=0, env=None):
    argv = [sys.executable, "-m", "harness", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, env={**os.environ, **(env or {})})
    assert done.returncode == code, (
        f"{' '.join(argv[2:])}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done


def trained(folder, *words, nodes=NODES, network=("-p", "local")):
    """The lines of every rank's record of a run of the trainer."""
    program = [sys.executable, "-m", "harness.training.train", *words, "--out", folder]
    harness("run", "-n", nodes, *network, "--name", f"gpu-{os.getpid()}", "--", *program)
    return [[json.loads(line) for line in (folder / f"rank-{rank}.jsonl").open()] for rank in range(nodes)]


def losses(lines):
    return [line["loss"] for line in lines if line["kind"] == "eval"]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_learns_on_the_gpu_as_on_the_cpu(name, tmp_path):
    words = ["--strategy", name.removesuffix("-fp16").removesuffix("-powersgd"), *STRATEGIES[name]]
    words += ["--steps", "30", "--evaluate-every", "15", "--checkpoint-every", "0"]
    found = {}
    for device in ("cpu", "cuda"):
        ranks = trained(tmp_path / device, *words, "--device", device)
        assert ranks[0][0]["device"].startswith(device)
        found[device] = losses(ranks[0])
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=1e-3)  # one and the same model to begin with
    assert found["cuda"][-1] == pytest.approx(found["cpu"][-1], rel=0.05)
    assert found["cuda"][-1] < found["cuda"][0]


def test_a_text_model_learns_on_the_gpu(tmp_path):
    words = ["--task", "text", "--strategy", "diloco", "--option", "H=10", "--steps", "20", "--device", "cuda"]
    before, *_, after = losses(trained(tmp_path, *words, nodes=2)[0])
    assert after < before - 0.2


def test_a_run_goes_on_from_a_checkpoint_of_the_gpu(tmp_path):
    words = ["--strategy", "diloco", "--option", "H=4", "--checkpoint-every", "10", "--device", "cuda"]
    whole = losses(trained(tmp_path / "whole", *words, "--steps", "20", "--evaluate-every", "10")[0])
    trained(tmp_path / "parts", *words, "--steps", "10", "--evaluate-every", "10")
    parts = losses(trained(tmp_path / "parts", *words, "--steps", "20", "--evaluate-every", "10", "--resume")[0])
    assert parts[-1] == pytest.approx(whole[-1], rel=1e-4)


def bench(*words, network=("-p", "local"), nodes=NODES):
    name = f"gpu-bench-{os.getpid()}"
    harness("up", "-n", nodes, *network, "--name", name)
    try:
        return json.loads(harness("bench", "--name", name, "--json", "--seconds", "2", *words).stdout)
    finally:
        harness("down", "--name", name)


def test_every_collective_of_gloo_is_right_on_the_gpu():
    """The workload compares every result with what it must be."""
    found = bench("--device", "cuda", "--collectives", COLLECTIVES, "--sizes", "1KiB,1MiB")
    assert found["device"].startswith("cuda:0")
    assert len(found["rows"]) == 13


def test_gloo_moves_a_gpu_s_tensors_through_the_shaped_link(tmp_path):
    """16 MiB at 200 Mbit/s to one other node: 0.67 s, whatever the GPU could do."""
    topology = tmp_path / "slow.yaml"
    topology.write_text("nodes: 2\ntopology: line\n")
    profile = tmp_path / "slow-profile.yaml"
    profile.write_text("delay: 1ms\nrate: 200mbit\n")
    found = bench(
        "--device", "cuda", "--collectives", "broadcast", "--sizes", "16MiB", network=("-p", profile), nodes=2
    )
    (row,) = found["rows"]
    assert 0.95 < row["seconds_median"] / (16 * 2**20 * 8 / 200e6) < 1.25


def test_nccl_goes_through_the_shaped_link_and_no_other_way(tmp_path):
    """NCCL takes ranks for ones of different machines, by their host names, so that they may share a GPU."""
    profile = tmp_path / "slow-profile.yaml"
    profile.write_text("delay: 1ms\nrate: 200mbit\n")
    words = ["--device", "cuda", "--transport", "nccl", "--collectives", "broadcast", "--sizes", "16MiB"]
    (row,) = bench(*words, network=("-p", profile), nodes=2)["rows"]
    assert 0.95 < row["seconds_median"] / (16 * 2**20 * 8 / 200e6) < 1.25


def test_a_script_of_one_s_own_computes_on_the_gpu(tmp_path):
    program = tmp_path / "own.py"
    program.write_text(
        "import torch, torch.distributed as dist\n"
        "from torch.nn.parallel import DistributedDataParallel\n"
        "dist.init_process_group('gloo')\n"
        "torch.manual_seed(dist.get_rank())\n"
        "model = DistributedDataParallel(torch.nn.Linear(64, 8).cuda(), device_ids=[0])\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for _ in range(5):\n"
        "    optimizer.zero_grad(); model(torch.randn(16, 64).cuda()).square().mean().backward(); optimizer.step()\n"
        "total = sum(p.double().sum() for p in model.parameters()).cpu()\n"
        "all_of = [torch.zeros_like(total) for _ in range(dist.get_world_size())]\n"
        "dist.all_gather(all_of, total)\n"
        "assert all(one == all_of[0] for one in all_of), all_of\n"
        "print('equal on', torch.cuda.get_device_name(0)); dist.barrier(); dist.destroy_process_group()\n"
    )
    out = harness(
        "run", "-n", NODES, "-p", "wan", "--record", "--name", f"gpu-own-{os.getpid()}", "--", sys.executable, program
    )
    assert out.stdout.count("equal on") == NODES


def test_exogym_trains_on_the_gpu(tmp_path):
    from tests.support import exogym_source

    folder, why = exogym_source.real()
    if folder is None:
        pytest.skip(why)
    program = tmp_path / "gym.py"
    program.write_text(
        "import torch\n"
        "from torch.utils.data import TensorDataset\n"
        "from exogym.strategy.diloco import DiLoCoStrategy\n"
        "from harness.training.exogym.trainer import Trainer\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.layer = torch.nn.Linear(8, 1)\n"
        "    def forward(self, batch):\n"
        "        x, y = batch; return torch.nn.functional.mse_loss(self.layer(x), y)\n"
        "torch.manual_seed(0)\n"
        "x = torch.randn(256, 8); data = TensorDataset(x, x.sum(1, keepdim=True))\n"
        "net = Net(); before = float(net((x, x.sum(1, keepdim=True))))\n"
        "trainer = Trainer(net, data, data, device='cuda')\n"
        "made = trainer.fit(strategy=DiLoCoStrategy(H=4), max_steps=16, val_size=16, num_epochs=2)\n"
        "after = float(made.cpu()((x, x.sum(1, keepdim=True)))); assert after < before, (before, after)\n"
        "print('learned', before, after)\n"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    words = ("run", "-n", 2, "-p", "local", "--name", f"gpu-gym-{os.getpid()}", "--", sys.executable, program)
    assert harness(*words, env=env).stdout.count("learned") == 2
