"""How a script that leaves its process group may end: `harness run` explains it by what C++ prints."""

import os
import subprocess
import sys
from contextlib import ExitStack
from tempfile import TemporaryFile

import pytest

from harness.networks.rank_process import TERMINATED
from tests.support import warm_python
from tests.support.workload import PATIENCE, free_port

SCRIPT = """
import os, sys, time
import torch
import torch.distributed as dist


class Last:
    def __del__(self, mkdir=os.mkdir):
        mkdir("python-ends")


if os.environ["RANK"] == "0":
    sys.modules["last"] = Last()  # Python's end has begun when it is taken out of there
dist.init_process_group("gloo")
tensor = torch.ones(1000)
dist.all_reduce(tensor)
if os.environ["RANK"] == "1" and "left" in sys.argv:
    while not os.path.exists("python-ends"):  # a slow link: rank 0 is through, and gloo's thread of it is not
        time.sleep(0.01)
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
    with ExitStack() as at_end:
        ranks, outputs = [], []
        for rank in range(2):
            outputs.append([at_end.enter_context(TemporaryFile("w+")) for _ in range(2)])
            env = os.environ | world | {"RANK": str(rank)}
            process = warm_python.start(program, [way], env, *outputs[-1], folder=tmp_path)
            at_end.callback(process.wait, PATIENCE)
            at_end.callback(process.kill)
            ranks.append(process)
        codes = [process.wait(PATIENCE) for process in ranks]
        for file in (file for both in outputs for file in both):
            file.seek(0)
        said = [(out.read(), error.read().splitlines()) for out, error in outputs]
    assert [out for out, _ in said] == ["done\n"] * 2, "all work is done"
    aborted = way == "left"
    assert (codes[0], TERMINATED.decode() in said[0][1]) == ((-6, True) if aborted else (0, False))
    assert codes[1] == 0


DATA_PARALLEL = """
import os, sys
import torch
import torch.distributed as dist
if "first" in sys.argv:
    import torch.distributed.nn
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(2, 2))
model(torch.ones(1, 2)).sum().backward()
dist.barrier()
del model
dist.destroy_process_group()
threads = [open(f"/proc/self/task/{one}/comm").read() for one in os.listdir("/proc/self/task")]
print(any("gloo" in name for name in threads), flush=True)
os._exit(0)
"""


@pytest.mark.torch
@pytest.mark.parametrize("words", [[], ["first"]])
def test_a_group_that_is_made_before_torchs_functions_keeps_its_threads(tmp_path, words):
    """Their defaults are the group that there is when torch.distributed.nn is imported, by DistributedDataParallel."""
    pytest.importorskip("torch")
    program = tmp_path / "program.py"
    program.write_text(DATA_PARALLEL)
    world = {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, program, *words], env=os.environ | world, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, f"{not words}\n"), done.stderr
