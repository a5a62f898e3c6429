"""What a run sends and computes: formulas, held against the real models and strategies."""

import importlib.util

import pytest

from harness.experiment.spec import Variant
from harness.experiment.traffic import Traffic, evaluation_seconds, parameters, step_seconds, traffic_of
from harness.training.tasks.catalogue import make_task
from harness.training.tasks.task_options import TaskOptions

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing")
TEXT = TaskOptions("text")
WHOLE = 4 * parameters(TEXT)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture
def ranks():
    """A group of four whose other three only seem to be there."""
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield
    dist.destroy_process_group()


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("width", [None, 5, 32])
def test_a_network_for_digits(width):
    options = TaskOptions(width=width)
    assert parameters(options) == count(make_task(options, 0, 2, 0).model())


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("width", [16, 7])
def test_a_network_for_mnist(width):
    import torch

    from harness.training.tasks.images import Images, ImageTask
    from harness.training.tasks.sharding import Sharding

    some = torch.rand(100, 28 * 28), torch.arange(100) % 10
    task = ImageTask(Images(some, some), 0, 1, 0, 4, Sharding.parse("iid"), width)
    assert parameters(TaskOptions("mnist", width=width)) == count(task.model())


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize(("width", "layers", "context"), [(None, 3, 128), (64, 2, 48), (96, 1, 16)])
def test_a_network_for_text(width, layers, context):
    options = TaskOptions("text", width=width, layers=layers, context=context)
    task = make_task(options, 0, 2, 0)
    exact = count(task.model())
    assert parameters(options, task.facts()["alphabet"]) == exact
    assert parameters(options) == pytest.approx(exact, rel=0.05)


@pytest.mark.torch
@needs_torch
def test_what_an_evaluation_looks_at():
    from harness.experiment import traffic

    task = make_task(TaskOptions(), 0, 2, 0)
    assert traffic._HELD_OUT["digits"] == task.facts()["held_out"]


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ddp", {}),
        ("ddp", {"compress": "fp16"}),
        ("ddp", {"compress": "powersgd", "rank": 2}),
        ("fedavg", {}),
        ("diloco", {}),
        ("diloco", {"H": 7}),
        ("streaming-diloco", {}),
        ("streaming-diloco", {"fragments": 3, "quantise": "int4"}),
        ("streaming-diloco", {"quantise": "int8"}),
        ("sparta", {}),
        ("sparta", {"p": 0.1, "interval": 5}),
        ("demo", {}),
        ("demo", {"topk": 4}),
        ("gossip", {"H": 3}),
    ],
)
@pytest.mark.usefixtures("ranks")
def test_strategies_say_about_the_same_themselves(name, options):
    """Within a tenth; PowerSGD and DeMo, which send by matrix, within a factor of 3."""
    import torch

    from harness.training.strategies.base import CommClock, StrategyContext
    from harness.training.strategies.catalogue import find_strategy
    from harness.training.strategies.option_values import read_options

    kind, model = find_strategy(name), make_task(TEXT, 0, 4, 0).model()
    setup = StrategyContext(model, lambda of: torch.optim.SGD(of, lr=0.1), 0, 4, (1, 3), CommClock())
    said = kind(setup, read_options(name, kind.Options, options)).bytes_per_step()
    traffic = traffic_of(Variant(name, options), 4, TEXT)
    assert traffic
    ours = traffic.sent_bytes / traffic.every * (2 if traffic.to_neighbours else 1)
    factor = 3 if name == "demo" or "compress" in options else 1.1
    assert said / factor < ours < said * factor


def test_what_strategies_send():
    plain = Traffic(1, 6, 1.5 * WHOLE)
    assert traffic_of(Variant("ddp"), 4, TEXT) == plain
    assert traffic_of(Variant("/x/mine.py"), 4, TEXT) == plain
    assert traffic_of(Variant("/x/mine.py", {"H": "4"}), 4, TEXT) == Traffic(4, 6, 1.5 * WHOLE)
    assert traffic_of(Variant("local"), 4, TEXT) is None
    assert traffic_of(Variant("ddp"), 1, TEXT) is None
    assert traffic_of(Variant("ddp", {"compress": "bf16"}), 4, TEXT) == Traffic(1, 6, 0.75 * WHOLE)
    assert traffic_of(Variant("fedavg"), 4, TEXT) == Traffic(10, 6, 1.5 * WHOLE)
    assert traffic_of(Variant("diloco"), 4, TEXT) == Traffic(50, 6, 1.5 * WHOLE)
    assert traffic_of(Variant("streaming-diloco", {"fragments": 5}), 4, TEXT) == Traffic(10, 6, 0.3 * WHOLE)
    assert traffic_of(Variant("sparta", {"interval": 7, "p": 0.1}), 4, TEXT) == Traffic(
        7, 6, pytest.approx(0.15 * WHOLE)
    )
    assert traffic_of(Variant("gossip", {"H": 3}), 4, TEXT) == Traffic(3, 1, WHOLE, to_neighbours=True)
    assert traffic_of(Variant("demo"), 4, TEXT).sent_bytes < 0.1 * WHOLE


@pytest.mark.parametrize("value", ["ten", "0", 0, -3, None, "nan", "inf"])
def test_what_is_no_number_over_0_is_the_default(value):
    assert traffic_of(Variant("diloco", {"H": value}), 4, TEXT).every == 50
    assert traffic_of(Variant("sparta", {"p": value}), 4, TEXT) == traffic_of(Variant("sparta"), 4, TEXT)


def test_what_was_measured_of_a_core():
    """On the build machine: 0.014 s for 128 digits, 0.25 s for 8 windows of 128 characters."""
    assert step_seconds(TaskOptions(batch=128)) == pytest.approx(0.014, rel=0.2)
    assert step_seconds(TaskOptions("text", batch=8)) == pytest.approx(0.25, rel=0.2)
    assert step_seconds(TaskOptions("mnist", batch=128)) == pytest.approx(0.1, rel=0.2)
    assert evaluation_seconds(TaskOptions()) == pytest.approx(0.012, rel=0.2)
