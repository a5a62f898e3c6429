"""Says which job it is part of: its rank, how many there are, and what their ranks add up to."""

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1])
dist.all_reduce(total)
print(f"rank {dist.get_rank()} of {dist.get_world_size()}, together {total.item()}", flush=True)
dist.destroy_process_group()
