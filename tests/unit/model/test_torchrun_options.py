"""Which variables a torchrun on the command line must not find."""

import pytest

from harness.model.torchrun_options import left_out

OWN = {"NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "RDZV_ENDPOINT", "LOCAL_ADDR"}


@pytest.mark.parametrize(
    "command",
    [
        "torchrun --nnodes 1 x.py",
        "torchrun --nnodes=1 --nproc-per-node 2 x.py",
        "/opt/bin/torchrun --nproc_per_node=2 --nnodes 1:1 x.py",
        "torchrun --standalone x.py",
        "python -m torch.distributed.run --standalone -m my.module",
        "torchrun --rdzv-backend c10d --rdzv-endpoint localhost:0 x.py",
        "torchrun --rdzv_backend=c10d --rdzv_endpoint=127.0.0.1:29400 x.py",
        "torchrun --rdzv-backend c10d --rdzv-endpoint [::1]:0 x.py",
        "torchrun --master-addr localhost x.py",
        "torchrun --master_addr ::1 --master_port 29600 x.py",
        "torchrun --master_port=29600 --nnodes=1 --nproc_per_node=1 -- x.py",
        "python -m torch.distributed.launch --use-env --nnodes 1 x.py",
    ],
)
def test_a_job_of_one_node_finds_nothing_of_the_others(command):
    assert left_out(command.split()) == OWN
    assert left_out(["sh", "-c", f"cd /work && {command}"]) == OWN


@pytest.mark.parametrize(
    "command",
    [
        "torchrun --master-addr 10.77.0.1 x.py",
        "torchrun --nnodes 2 --node-rank 1 --master_addr=node-0 --master_port=29600 x.py",
        "torchrun --master-port 29600 x.py",
    ],
)
def test_the_address_of_the_master_wins_over_the_endpoint(command):
    assert left_out(command.split()) == {"RDZV_ENDPOINT"}


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "torchrun --nproc-per-node 2 x.py",
        "torchrun --nproc-per-node 2 x.py --standalone --nnodes 1",  # options of x.py
        "torchrun --nnodes 2 -- x.py --standalone",
        "torchrun --no-python ./run.sh --nnodes 1",
        "torchrun -m my.module --standalone",
        "torchrun --nnodes 2 x.py",
        "torchrun --nnodes 1:2 --rdzv-backend c10d x.py",
        "torchrun --rdzv-backend c10d --rdzv-endpoint node-1:29400 --master-port 1 x.py",
        "python train.py --nnodes 1",
        "torchrun",
        "torchrun --nnodes",
    ],
)
def test_everything_else_finds_them(command):
    assert left_out(command.split()) == frozenset()


def test_a_shell_command_that_does_not_parse_is_read_by_words():
    assert left_out(["sh", "-c", "echo it's; torchrun --standalone x.py"]) == OWN
