"""Counts what a node's interface sends while strategies train: `python -c "$(cat this)" CASES`, as torchrun starts it.

It runs in nodes that have harness and torch and nothing else of ours. CASES is JSON: a list of {"name", "strategy",
"options", "neighbours" of each rank, "warm" and "steps"}. Prints one JSON object per case.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from harness.training.no_compiler import leave_out_compiler
from harness.training.strategies.base import CommClock, StrategyContext
from harness.training.strategies.catalogue import find_strategy
from harness.training.strategies.option_values import read_options


def counters():
    """(bytes, packets) that the interface sent, and segments that TCP sent again."""
    folder = Path("/sys/class/net", os.environ["GLOO_SOCKET_IFNAME"], "statistics")
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Tcp:")
    again = int(values[names.index("RetransSegs")])
    return [*(int((folder / name).read_text()) for name in ("tx_bytes", "tx_packets")), again]


def count(case, rank, size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 12))
    optimizer = partial(torch.optim.SGD, lr=0.01)
    kind = find_strategy(case["strategy"])
    options = read_options(case["strategy"], kind.Options, case["options"])
    strategy = kind(
        StrategyContext(model, optimizer, rank, size, tuple(case["neighbours"][rank]), CommClock()), options
    )
    draws = torch.Generator().manual_seed(rank)

    def train(steps):
        for _ in range(steps):
            examples = torch.randn(8, 64, generator=draws)
            strategy.step(lambda module, examples=examples: module(examples).square().mean())
        strategy.settle()
        dist.barrier()

    train(case["warm"])
    before = counters()
    train(case["steps"])
    sent, packets, again = (after - earlier for after, earlier in zip(counters(), before, strict=True))
    said = strategy.bytes_per_step() * case["steps"]
    dist.barrier()
    return {"name": case["name"], "said": said, "sent": sent, "packets": packets, "again": again}


def main():
    torch.set_num_threads(1)
    leave_out_compiler()
    torch.set_deterministic_debug_mode("error")
    dist.init_process_group("gloo")
    for case in json.loads(sys.argv[1]):
        print(json.dumps(count(case, dist.get_rank(), dist.get_world_size())), flush=True)
    dist.barrier()
    dist.destroy_process_group()
    assert "torch._dynamo.utils" not in sys.modules, "no strategy needs torch's compiler"


main()
