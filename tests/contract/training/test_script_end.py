"""How a script that leaves its process group may end: `harness run` explains it by what C++ prints."""

import os
import subprocess
import sys

import pytest

from harness.networks.rank_process import TERMINATED
from tests.support.workload import PATIENCE, free_port

SCRIPT = """
import os, sys, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
tensor = torch.ones(1000)
dist.all_reduce(tensor)
if os.environ["RANK"] == "1":
    time.sleep(2)  # a slow link: rank 0 is through with its work, and gloo's thread of it is not
future = dist.all_reduce(tensor, async_op=True).get_future().then(lambda _: None)
if os.environ["RANK"] == "1" or "orderly" in sys.argv:
    future.wait()
if "orderly" in sys.argv:
    dist.barrier()
    dist.destroy_process_group()
print("done", flush=True)
"""


@pytest.mark.torch
@pytest.mark.parametrize("way", ["left", "orderly"])
def test_threads_of_a_process_group_that_is_left_abort_pythons_end(tmp_path, way):
    """pytorch #190489: gloo's thread enters Python while that ends, and is ended within C++ code."""
    pytest.importorskip("torch")
    program = tmp_path / "program.py"
    program.write_text(SCRIPT)
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(program), way],
            env=os.environ | world | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=PATIENCE) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [out for out, _ in outputs] == [b"done\n"] * 2, "all work is done"
    aborted = way == "left"
    assert (ranks[0].returncode, TERMINATED in outputs[0][1].splitlines()) == ((-6, True) if aborted else (0, False))
    assert ranks[1].returncode == 0
