"""A job in which rank 1 dies, and rank 0 comes late when it is started again: a script for torchrun.

As on a machine or over a link where one rank takes longer. Rank 1 must not connect to where rank 0 was before.
"""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

been_here = Path(sys.argv[1])  # each node may have its own
rank, again = int(os.environ["RANK"]), been_here.exists()
if again and rank == 0:
    time.sleep(4)
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
been_here.touch()
if rank == 1 and not again:
    os._exit(3)
dist.all_reduce(total)
print(f"rank {rank}: again={again}, {total.item():g}", flush=True)
dist.destroy_process_group()
