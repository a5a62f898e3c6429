"""ExoGym's Trainer, one rank per process: with a small copy of ExoGym, and with the real one where it is available."""

import functools
import inspect
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from harness.errors import InputError, UnavailableError
from harness.model.torchrun import STEP_FILE
from harness.training.exogym.exchange import alike, values
from harness.training.exogym.installed import check_installed, load
from harness.training.exogym.trainer import Trainer, check_folders
from tests.support.exogym_source import on_all_ranks, real, small

SCRIPT = """
import os
import torch
import torch.nn.functional as F
from torch.utils.data import TensorDataset, random_split
from harness.errors import InputError
from harness.training.exogym import Trainer
from exogym.strategy import Strategy

RANK = int(os.environ["RANK"])

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 3)
        self.register_buffer("shift", torch.randn(3))
        self.register_buffer("count", torch.tensor(RANK + 5))

    def forward(self, batch):
        return F.cross_entropy(self.layer(batch[0]) + self.shift, batch[1])

class Local(Strategy):
    '''Sends nothing: so the mean at the end is the Trainer's own.'''
    lr = 0.1

    def _init_node(self, model, rank, num_nodes):
        super()._init_node(model, rank, num_nodes)
        SEEN.append({name: value.tolist() for name, value in model.state_dict().items()})
        self.optim = torch.optim.SGD(model.parameters(), lr=self.lr)

    def step(self):
        self.optim.step()
        TRAINED[:] = [value.tolist() for value in self.model.parameters()]
        super().step()

SEEN, TRAINED = [], []
truth = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(2))
data = TensorDataset(inputs, (inputs @ truth).argmax(1))
usual = dict(max_steps=5, batch_size=8, val_size=0, run_name="test")
"""


@pytest.fixture(params=["small", "real"])
def exogym(request, tmp_path):
    """The folder that has ExoGym in it."""
    if request.param == "small":
        return small(tmp_path)
    folder, reason = real()
    if folder is None:
        pytest.skip(reason)
    return folder


def flat(values):
    return [number for value in values for number in (flat(value) if isinstance(value, list) else [value])]


@pytest.mark.torch
def test_each_rank_trains_on_its_share_and_gets_the_mean_of_all(exogym, tmp_path, monkeypatch):
    (tmp_path / "steps").touch()
    monkeypatch.setenv(STEP_FILE, str(tmp_path / "steps"))
    told = on_all_ranks(
        tmp_path,
        SCRIPT
        + """
torch.manual_seed(RANK)  # as where a script has no seed: models differ until they are told
torch.rand(RANK)
model = Net()
torch.manual_seed(7)
trainer = Trainer(model, data, data, device="cpu")
result = trainer.fit(num_epochs=1, strategy=Local(), num_nodes=2, **usual)
told["next"] = torch.rand(1).item()
torch.manual_seed(7)
told["expected"] = torch.rand(1).item()
told["begin"] = SEEN[0]
told["own"] = list(TRAINED)
told["mean"] = [value.tolist() for value in result.parameters()]
told["buffers"] = [result.shift.tolist(), result.count.item()]
told["untouched"] = model.count.item()
again = trainer.fit(strategy=Local(), **usual)
told["again"] = [value.tolist() for value in again.parameters()]
""",
        exogym,
    )
    first, second = told
    assert first["begin"] == second["begin"], "all begin with rank 0's model, also before a strategy copies it"
    assert first["own"] != second["own"]
    assert first["mean"] == second["mean"]
    expected = [(a + b) / 2 for a, b in zip(flat(first["own"]), flat(second["own"]), strict=True)]
    assert flat(first["mean"]) == pytest.approx(expected, abs=1e-6)
    assert first["buffers"] == second["buffers"] == [first["begin"]["shift"], 5]
    assert [one["untouched"] for one in told] == [5, 6]
    assert [one["next"] for one in told] == [one["expected"] for one in told], "the script's random numbers are its own"
    steps = (tmp_path / "steps").read_text().split()
    assert Counter(steps) == dict.fromkeys("12345", 4), "2 ranks said each of 2 fits' steps"
    assert first["again"] == second["again"], "a second fit takes the process group that is there"


@pytest.mark.torch
def test_a_model_crosses_the_links_once_and_not_at_all_where_a_seed_makes_it_equal(exogym, tmp_path):
    told = on_all_ranks(
        tmp_path,
        """
import torch.distributed as dist
SENT = []
def counted(tensor, *args, inner=dist.broadcast, **kwargs):
    SENT.append(tensor.numel() * tensor.element_size())
    return inner(tensor, *args, **kwargs)
dist.broadcast = counted
"""
        + SCRIPT
        + """
class Large(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 3000)

    def forward(self, batch):
        return F.cross_entropy(self.layer(batch[0]), batch[1])

size = sum(one.numel() * one.element_size() for one in Large().parameters())
for name, seed in (("equal", 0), ("differs", RANK)):
    torch.manual_seed(seed)
    model = Large()
    SENT.clear()
    Trainer(model, data, data).fit(strategy=Local(), **usual)
    told[name] = sum(SENT) / size
""",
        exogym,
    )
    for one in told:
        assert one["equal"] < 0.1
        assert 1 <= one["differs"] < 1.1


@pytest.mark.torch
def test_all_ranks_have_the_name_of_rank_0s_run(exogym, tmp_path):
    told = on_all_ranks(
        tmp_path,
        SCRIPT
        + """
import warnings
for key, name in (("own", f"mnist_20261127_02310{RANK + 1}"), ("default", None)):
    trainer = Trainer(Net(), data, data)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.manual_seed(0)
        trainer.fit(strategy=Local(), **usual | {"run_name": name})
    told[key] = trainer.config.run_name
    told[key + " warning"] = [str(one.message) for one in seen if "run_name" in str(one.message)]
""",
        exogym,
    )
    assert [one["own"] for one in told] == ["mnist_20261127_023101"] * 2
    assert told[0]["default"] == told[1]["default"]
    (warning,) = told[1]["own warning"]
    assert "'mnist_20261127_023102' on rank 1 and 'mnist_20261127_023101' on rank 0" in warning
    assert told[0]["own warning"] == told[1]["default warning"] == []


@pytest.mark.torch
def test_tensors_of_every_type_are_compared():
    torch = pytest.importorskip("torch")
    made = [torch.ones(2, 2, dtype=kind) for kind in (torch.float32, torch.bfloat16, torch.int64, torch.bool)]
    made += [torch.tensor(3), torch.empty(0), torch.ones(3, requires_grad=True)]
    assert values(made) == values([one.clone() for one in made])
    for place, one in enumerate(made):
        if one.numel():
            other = [*made[:place], torch.zeros_like(one), *made[place + 1 :]]
            assert values(other) != values(made), one.dtype


def test_where_exogym_cannot_write_its_files_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_folders("logs", "checkpoints/a")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["checkpoints", "logs"]
    monkeypatch.chdir("/proc")  # where root may not write either
    with pytest.raises(InputError, match=r"logs cannot be written by user .*: 'chown .* FOLDER'"):
        check_folders("logs")


@pytest.mark.torch
def test_ranks_that_do_not_begin_alike_are_told_what_differs(exogym, tmp_path):
    told = on_all_ranks(
        tmp_path,
        SCRIPT
        + """
def refused(name, train, strategy=None, **arguments):
    try:
        Trainer(Net(), train, data).fit(strategy=strategy or Local(), **usual | arguments)
    except InputError as error:
        told[name] = str(error)

torch.manual_seed(RANK)
refused("split", random_split(data, [48, 16])[0])
refused("drawn", TensorDataset(torch.randn(64, 8), data.tensors[1]))
refused("steps", data, max_steps=4 + RANK)
refused("workers", data, dataloader_kwargs={"prefetch_factor": 2 + RANK})
refused("nodes", data, num_nodes=3)
refused("batch", data, minibatch_size=9)
told["factory"] = []
def factory(rank, num_nodes, train_dataset):
    told["factory"].append([rank, num_nodes, train_dataset])
    return random_split(data, [48 - rank, 16 + rank])[0]
padding = [lambda batch: batch for _ in range(1000 * RANK + 1)]  # so that addresses differ
alike = {"worker_init_fn": padding[-1]}
Trainer(Net(), factory, data).fit(strategy=Local(), **usual, dataloader_kwargs=alike)
""",
        exogym,
    )
    for rank, one in enumerate(told):
        assert "not the same on all nodes: train_dataset" in one["split"]
        assert "not the same on all nodes: train_dataset" in one["drawn"]
        assert "not the same on all nodes: fit's arguments" in one["steps"]
        assert "not the same on all nodes: fit's arguments" in one["workers"]
        assert "harness run --nodes 3" in one["nodes"]
        assert "minibatch_size=9" in one["batch"]
        assert one["factory"] == [[rank, 2, True]]


@pytest.mark.torch
def test_keywords_go_where_this_version_wants_them(tmp_path):
    first, second = on_all_ranks(
        tmp_path,
        SCRIPT
        + """
trainer = Trainer(Net(), data, data, later_option=1)
import time
time.time = lambda: 1_000_000_000.5 + 1000 * RANK  # clocks differ
trainer.fit(strategy=Local(), wandb_project="w", seed=3, clip=0.5, **usual | {"run_name": None})
config = trainer.config
told.update(rank=config.rank, nodes=config.num_nodes, device=str(config.device), clip=config.clip)
told.update(minibatch=config.minibatch_size, kwargs=config.kwargs, project=config.wandb_project, run=config.run_name)
""",
        small(tmp_path),
    )
    assert (first["rank"], second["rank"], first["nodes"], first["device"]) == (0, 1, 2, "cpu")
    assert (first["clip"], first["minibatch"]) == (0.5, 8)
    run = first["kwargs"].pop("run_name")
    assert first["kwargs"] == {"wandb_project": "w", "seed": 3, "later_option": 1}
    assert (first["project"], first["run"]) == ("w", run)
    assert run == second["run"] == time.strftime("%Y%m%d_%H%M%S", time.localtime(1_000_000_000))


@pytest.mark.torch
@pytest.mark.parametrize("own", [False, True], ids=["made by us", "the script's own"])
def test_the_process_group_that_fit_makes_ends_with_the_script(tmp_path, own):
    told = on_all_ranks(
        tmp_path,
        SCRIPT
        + f"""
import atexit
import torch.distributed as dist

@atexit.register
def last():
    open(f"left-{{RANK}}", "w").write(str(dist.is_initialized()))
    if dist.is_initialized():
        dist.destroy_process_group()

if {own}:
    dist.init_process_group("gloo")
for _ in range(2):
    Trainer(Net(), data, data).fit(strategy=Local(), **usual)
told["before the end"] = dist.is_initialized()
""",
        small(tmp_path),
    )
    assert told == [{"before the end": True}] * 2
    assert [(tmp_path / f"left-{rank}").read_text() for rank in range(2)] == [str(own)] * 2


class Anything:
    def method(self):
        pass


def test_what_is_compared_of_arguments_has_no_address_in_it():
    def made():
        return {
            "collate_fn": lambda batch: batch,
            "worker_init_fn": functools.partial(lambda number, seed: None, seed=3),
            "sampler": Anything(),
            "kind": Anything,
            "bound": Anything().method,
            "builtin": str.upper,
            "nested": [{"deep": (Anything(), {"b", "a"})}],
        }

    one, other = made(), made()
    assert repr(one) != repr(other)
    assert alike(one) == alike(other)
    assert "0x" not in alike(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, True),
        (0.1, 0.2),
        ("a", "b"),
        ("1", 1),
        (None, 0),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}),
        (Path("a"), Path("b")),
        (functools.partial(print, 1), functools.partial(print, 2)),
        (print, len),
    ],
)
def test_other_arguments_are_told_apart(one, other):
    assert alike(one) != alike(other)


def test_the_order_of_keywords_does_not_count():
    assert alike({"a": 1, "b": 2}) == alike({"b": 2, "a": 1})


# The real one alone

STRATEGIES = """
from exogym.strategy import *
from exogym.strategy.strategy import SimpleReduceStrategy

spec = OptimSpec(torch.optim.AdamW, lr=1e-2)
strategies = {
    "simple reduce": SimpleReduceStrategy(optim_spec=spec),
    "fedavg": FedAvgStrategy(optim_spec=spec, H=5),
    "fedavg of islands": FedAvgStrategy(optim_spec=spec, H=5, island_size=1),
    "diloco": DiLoCoStrategy(optim_spec=spec, H=5),
    "sparta": SPARTAStrategy(optim_spec=spec, p_sparta=0.2),
    "sparta and diloco": SPARTADiLoCoStrategy(inner_optim_spec=spec, p_sparta=0.2, H=5),
    "demo": DeMoStrategy(lr=1e-2),
}
for name, strategy in strategies.items():
    torch.manual_seed(0)
    model = Net()
    result = Trainer(model, data, data).fit(
        num_epochs=1, strategy=strategy, num_nodes=2, max_steps=20, batch_size=8, val_size=16, val_interval=10,
        run_name=name, checkpoint_interval=10, save_dir="saved")
    told[name] = [model(data.tensors).item(), result(data.tensors).item(), result.layer.weight.tolist()]
"""


@pytest.mark.torch
def test_every_strategy_of_exogym(tmp_path):
    folder, reason = real()
    if folder is None:
        pytest.skip(reason)
    first, second = on_all_ranks(tmp_path, SCRIPT + STRATEGIES, folder)
    assert len(first) == 7
    assert first == second
    for name, (before, after, _) in first.items():
        assert after < before, name
        assert "validation.csv" in os.listdir(tmp_path / "logs" / name)
        saved = [path.parent.name for path in (tmp_path / "saved" / "unnamed" / name).rglob("checkpoint.pt")]
        assert sorted(saved) == ["0", "1"]


@pytest.mark.torch
def test_the_signatures_are_those_of_exogym(monkeypatch):
    folder, reason = real()
    if folder is None:
        pytest.skip(reason)
    monkeypatch.syspath_prepend(str(folder))
    from exogym.trainer import Trainer as Theirs

    for method in ("__init__", "fit", "find_minibatch_size", "clear_minibatch_cache"):
        ours = list(inspect.signature(getattr(Trainer, method)).parameters)
        theirs = list(inspect.signature(getattr(Theirs, method)).parameters)
        assert ours[: len(theirs)] == theirs, method


# Where it is not there


def test_a_missing_exogym_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "exogym", None)
    with pytest.raises(UnavailableError, match=r"ExoGym is missing: pip install .*git\+https://github.com/"):
        check_installed()


def test_the_empty_package_of_the_index_is_told_from_exogym(tmp_path):
    stub = tmp_path / "exogym"
    stub.mkdir()
    (stub / "__init__.py").write_text("")
    code = "from harness.training.exogym import Trainer"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"UnavailableError: {stub / '__init__.py'} is only called exogym" in done.stderr
    assert "pip install --no-deps git+https://github.com/exo-explore/gym" in done.stderr


def test_what_exogym_itself_lacks_is_told(tmp_path, monkeypatch):
    folder = small(tmp_path)
    (folder / "exogym" / "train_node.py").write_text("import no_such_module_at_all")
    for name in [name for name in sys.modules if name.partition(".")[0] == "exogym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(UnavailableError, match=r"no_such_module_at_all.*pip install"):
        load()


def test_outside_of_a_job_it_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.training.exogym.trainer.load", lambda: None)
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="harness run"):
        Trainer(None, [], []).fit(1, object(), 2)


def test_a_strategy_is_needed():
    with pytest.raises(InputError, match="strategy"):
        Trainer(None, [], []).fit(1)
