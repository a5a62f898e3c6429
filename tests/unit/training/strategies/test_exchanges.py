"""The predicted exchanges of a strategy have the bytes that the strategy states."""

import pytest

from harness.model.plan_options import PlanOptions
from harness.predict.exchanges import exchanges
from harness.training.strategies.catalogue import TABLE, find_strategy
from harness.training.strategies.option_values import read_options

pytestmark = pytest.mark.torch

SIDE = 256
CASES = [
    *((name, {}) for name in TABLE),
    ("ddp", {"compress": "fp16"}),
    ("fedavg", {"H": 7}),
    ("diloco", {"H": 7}),
    ("streaming-diloco", {"H": 12, "fragments": 3}),
    ("streaming-diloco", {"H": 12, "quantise": "int4"}),
    ("sparta", {"p": 0.1, "interval": 3}),
    ("demo", {"topk": 8}),
    ("gossip", {"H": 4}),
]


@pytest.fixture(scope="module")
def group():
    """A process group of this process alone, which strategies need."""
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.usefixtures("group")
def test_bytes_per_step(name, options, monkeypatch):
    import torch

    from harness.training.strategies.base import CommClock, StrategyContext

    monkeypatch.setattr("harness.training.strategies.gossip.Gossip._exchange", lambda _, own: [own] * 3)
    model = torch.nn.Sequential(*(torch.nn.Linear(SIDE, SIDE, bias=False) for _ in range(6)))
    setup = StrategyContext(model, lambda ps: torch.optim.SGD(ps, lr=0.1), 0, 4, (1, 2, 3), CommClock())
    kind = find_strategy(name)
    said = kind(setup, read_options(name, kind.Options, options)).bytes_per_step()
    plan = PlanOptions(nodes=4).plan()
    found = sum(one.sent(plan, 0) / one.every for one in exchanges(name, options, 6 * SIDE**2, 4))
    assert found == pytest.approx(said, rel=0.01)
