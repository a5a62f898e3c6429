"""COLLECTIVES=1 docker compose up: a job that knows nothing of it has its collectives recorded, as another user."""

import json

import pytest

from tests.support.compose import project

pytestmark = [pytest.mark.docker, pytest.mark.torch]

JOB = """
import time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
dist.barrier()
time.sleep(0.5)
dist.all_reduce(torch.ones(1000))
dist.barrier()
dist.destroy_process_group()
"""
DELAY = 0.03


def test_a_job_of_compose_records_each_collective(tmp_path):
    with project(tmp_path, NODES=2, COLLECTIVES=1, PROFILE="/work/far.yaml", COMMAND="python job.py") as net:
        (net.work / "far.yaml").write_text("delay: 30ms\nrate: 100mbit\n")
        (net.work / "job.py").write_text(JOB)
        net.run()
        for rank in range(2):
            (path,) = net.runs.glob(f"*/collectives-{rank}.jsonl")
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert [line["op"] for line in lines] == ["barrier", "all_reduce", "barrier"]
            assert (lines[1]["bytes"], lines[1]["ranks"]) == (4000, 2)
            assert lines[1]["seconds"] >= 2 * DELAY
