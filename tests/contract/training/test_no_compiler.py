"""Optimizers train without torch's compiler, but it can still be used. (That no strategy needs it:
tests/support/strategy_bytes.py.)"""

import subprocess
import sys

import pytest

from tests.support.workload import needs_torch

pytestmark = [pytest.mark.torch, needs_torch]

PROGRAM = """
import sys
import torch
from harness.training.no_compiler import leave_out_compiler

leave_out_compiler()
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.AdamW([weight], lr=0.5)
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
torch.optim.SGD([weight], lr=0.1).load_state_dict(torch.optim.SGD([weight], lr=0.2).state_dict())
assert weight.tolist() != [1.0] * 3
assert not {"sympy", "torch._dynamo.utils"} & set(sys.modules)

compiled = []

def backend(graph, inputs):
    compiled.append(graph)
    return graph.forward

print(torch.compile(lambda x: x * 2 + 1, backend=backend)(torch.ones(1)).tolist(), len(compiled))
optimizer.step()
"""


def test_the_compiler_comes_when_it_is_asked_for_and_not_before():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (0, "[3.0] 1\n"), done.stderr
