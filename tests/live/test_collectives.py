"""`harness run --record --collectives` over a real link: what takes a round trip at least is recorded as such."""

import json
import subprocess

import pytest

from tests.support.cli import HARNESS
from tests.support.live import addressing, needs, own, runtime_name

pytestmark = [*needs(), pytest.mark.torch]

DELAY = 0.05
SCRIPT = """
import time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
tensor = torch.ones(1000)
dist.barrier()
time.sleep(0.5)
for number in range(10):
    dist.all_reduce(tensor)
for number in range(5):
    work = dist.all_reduce(tensor, async_op=True)
    time.sleep(1)
    work.wait()
dist.barrier()
dist.destroy_process_group()
"""


def recorded(harness, folder, *command):
    harness.env["HARNESS_NAME"] = own("collectives")
    profile = folder.with_name("far.yaml")
    profile.write_text("delay: 50ms\nrate: 100mbit\n")
    network = ["-n", "2", "--profile", str(profile), "--subnet", str(addressing().ipv4_net)]
    words = [*HARNESS, "run", *network, "--subnet6", str(addressing().ipv6_net), "--record", "--runs", str(folder)]
    return subprocess.run(
        [*words, "--collectives", "--runtime", runtime_name(), "--", *command],
        env=harness.env,
        capture_output=True,
        text=True,
        timeout=170,
    )


@pytest.mark.timing
@pytest.mark.xdist_group("training")
def test_an_all_reduce_takes_two_delays_and_ends_when_it_is_complete(harness, tmp_path):
    done = recorded(harness, tmp_path / "runs", "python3", "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    assert "no collectives" not in done.stderr
    assert "collectives are not" not in done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    for rank in range(2):
        lines = [json.loads(line) for line in (folder / f"collectives-{rank}.jsonl").read_text().splitlines()]
        found = [line for line in lines if line["op"] == "all_reduce"]
        assert len(found) == 15
        known = [line for line in found if line["seconds"] is not None]
        assert len(known) >= 12, "the recorder pauses for 50 ms at each reading"
        for line in known:
            assert (line["bytes"], line["ranks"]) == (4000, 2)
            assert 2 * DELAY <= line["seconds"] < 0.7, "a second later it was waited for"


def test_a_job_without_collectives_is_told_so(harness, tmp_path):
    done = recorded(harness, tmp_path / "runs", "python3", "-c", "print(1 + 1)")
    assert done.returncode == 0, done.stderr
    assert "no collectives were recorded: no Python process of the job had a process group" in done.stderr
