"""Single collectives over a real link, as recorded: a round trip at least for what needs one."""

import json
import textwrap

import pytest

from harness.model.collectives_hook import collectives_environment
from harness.networks.launch import launch
from tests.support.live import needs, network, up
from tests.support.plans import shape

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
for number in range(10):
    work = dist.all_reduce(tensor, async_op=True)
    time.sleep(1)
    work.wait()
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.timing
def test_an_all_reduce_takes_two_delays_and_ends_when_it_is_complete(tmp_path):
    plan = network("fully_connected", 2, shape(delay="50ms", rate="100mbit"))
    lines = []
    with up(plan, folder=tmp_path / "state") as net:
        extra = {**collectives_environment(net.backend.environ), "HARNESS_RUN_DIR": str(tmp_path)}
        argv = [net.backend.python, "-c", textwrap.dedent(SCRIPT)]
        outcome = launch(net.backend, plan, argv, lambda *line: lines.append(line), extra_env=extra)
    assert outcome.code == 0, lines
    for rank in range(2):
        recorded = [json.loads(line) for line in (tmp_path / f"collectives-{rank}.jsonl").read_text().splitlines()]
        found = [line for line in recorded if line["op"] == "all_reduce"]
        assert len(found) == 20
        for line in found:
            assert line["bytes"] == 4000
            assert 2 * DELAY <= line["seconds"] < 0.5, "until it was waited for, a second"
