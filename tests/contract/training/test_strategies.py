"""What each strategy does to parameters: four real processes with real gloo, over loopback, in one launch."""

import json
from functools import cache
from pathlib import Path

import pytest

from harness.training.strategies.catalogue import TABLE
from tests.support.workload import RANKS, workload

pytestmark = pytest.mark.torch

OWN = str(Path(__file__).parents[3] / "examples" / "my_strategy.py")
STEPS, CUT = 10, 5
"""The cut is between two meetings of all that have H=4, while fragments are under way."""

VARIANTS = {
    "local": ("local", {}),
    "ddp": ("ddp", {}),
    "ddp fp16": ("ddp", {"compress": "fp16"}),
    "ddp bf16": ("ddp", {"compress": "bf16"}),
    "ddp powersgd": ("ddp", {"compress": "powersgd", "rank": 1}),
    "fedavg": ("fedavg", {"H": 4}),
    "diloco": ("diloco", {"H": 4}),
    "streaming": ("streaming-diloco", {"H": 4, "overlap": 2}),
    "streaming int8": ("streaming-diloco", {"H": 4, "overlap": 3, "quantise": "int8"}),
    "streaming int4": ("streaming-diloco", {"H": 4, "overlap": 2, "quantise": "int4"}),
    "streaming e3m0": ("streaming-diloco", {"H": 4, "overlap": 2, "quantise": "e3m0"}),
    "sparta": ("sparta", {"p": 0.1}),
    "demo": ("demo", {"chunk": 4, "topk": 3, "weight_decay": 0.1}),
    "gossip": ("gossip", {"H": 2}),
    "own": (OWN, {"period": 2}),
}
LINE = [[1], [0, 2], [1, 3], [2]]


def case(strategy, options=None, **more):
    return {"strategy": strategy, "options": options or {}, "steps": STEPS, **more}


def cases():
    made = {}
    for name, (strategy, options) in VARIANTS.items():
        made[name] = case(strategy, options)
        made[f"{name}, cut"] = case(strategy, options, cut=CUT)
    apart = {"optimizer": "none", "own_start": 1.0}
    return made | {
        "sgd ddp": case("ddp", optimizer="sgd"),
        "sgd ddp fp16": case("ddp", {"compress": "fp16"}, optimizer="sgd"),
        "sgd ddp bf16": case("ddp", {"compress": "bf16"}, optimizer="sgd"),
        "sgd ddp powersgd": case("ddp", {"compress": "powersgd"}, optimizer="sgd"),
        "like diloco": case("streaming-diloco", {"H": 4, "overlap": 0, "fragments": 1, "alpha": 0, "outer_lr": 0.7}),
        "streaming precise": case("streaming-diloco", {"H": 4, "overlap": 3}),
        "demo dense": case("demo", {"topk": 10**6}, optimizer="sgd"),
        "sparta apart": case("sparta", {"p": 0.1, "interval": 2}, **apart),
        "sparta apart, other seed": case("sparta", {"p": 0.1, "interval": 2}, seed=1, **apart),
        "gossip apart": case("gossip", neighbours=LINE, **apart | {"steps": 40}),
        "own sgd": case(OWN, optimizer="sgd"),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of every case on every rank."""
    with workload(tmp_path_factory.mktemp("strategies")) as job:
        job.start("tests.support.strategy_job", STRATEGY_CASES=json.dumps(cases()))
        job.succeed()
        return [json.loads(job.output(rank)[-1]) for rank in range(RANKS)]


@pytest.fixture
def paths(results):
    """Of a case, every rank's parameters before the first step and after each one: ranks x (steps + 1) x 83."""
    import torch

    def of(name):
        return torch.tensor([result[name]["path"] for result in results], dtype=torch.float64)

    return of


def agreement(path):
    """The steps after which all ranks had the same parameters."""
    return [step for step in range(path.shape[1]) if (path[:, step] == path[0, step]).all()]


@cache
def reference(kind, **options):
    """The same training without our strategies, all ranks in this process: ranks x (steps + 1) x 83."""
    import torch
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    from tests.support.strategy_job import OPTIMIZERS, batch, loss_of, make_model

    models = [make_model() for _ in range(RANKS)]
    optimizers = [OPTIMIZERS[options.get("optimizer", "adamw")](model.parameters()) for model in models]
    outer = parameters_to_vector(models[0].parameters()).detach()
    velocity = torch.zeros_like(outer)
    path = [[parameters_to_vector(model.parameters()).detach() for model in models]]
    for step in range(STEPS):
        for rank, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            optimizer.zero_grad()
            losses = [loss_of(model, batch(step, other)) for other in range(RANKS)]
            (sum(losses) / RANKS if kind in ("joint", "sign", "vote") else losses[rank]).backward()
            if kind == "vote":
                votes = 0
                for loss in [loss_of(model, batch(step, other)) for other in range(RANKS)]:
                    votes += torch.cat([g.view(-1) for g in torch.autograd.grad(loss, list(model.parameters()))]).sign()
                vector_to_parameters(votes.sign(), [p.grad for p in model.parameters()])
            if kind == "sign":
                for parameter in model.parameters():
                    parameter.grad.sign_()
            optimizer.step()
        vectors = [parameters_to_vector(model.parameters()).detach() for model in models]
        mean = sum(vectors) / RANKS
        if kind == "average" and (step + 1) % 4 == 0:
            vectors = [mean] * RANKS
        elif kind == "outer" and (step + 1) % 4 == 0:
            velocity = 0.9 * velocity + (outer - mean)
            outer = outer - 0.7 * (outer - mean + 0.9 * velocity)
            vectors = [outer] * RANKS
        for model, vector in zip(models, vectors, strict=True):
            vector_to_parameters(vector.clone(), model.parameters())
        path.append(vectors)
    return torch.stack([torch.stack(vectors) for vectors in path], 1).double()


# All of them


def test_every_strategy_that_ships_is_tried():
    assert {strategy for strategy, _ in VARIANTS.values()} == {*TABLE, OWN}, "see VARIANTS above"


@pytest.mark.parametrize("name", VARIANTS)
def test_another_run_goes_the_same_way_bit_for_bit_though_it_is_cut_and_resumed(results, name):
    for result in results:
        assert result[name]["path"] == result[f"{name}, cut"]["path"]
        assert result[name]["path"][0] != result[name]["path"][-1]


@pytest.mark.parametrize("name", VARIANTS)
def test_waits_are_counted(results, name):
    for result in results:
        assert (result[name]["waited"] > 0) == (name != "local")


@pytest.mark.parametrize(
    ("name", "steps"),
    {
        "local": [0],
        "ddp": range(STEPS + 1),
        "ddp fp16": range(STEPS + 1),
        "ddp bf16": range(STEPS + 1),
        "ddp powersgd": range(STEPS + 1),
        "fedavg": [0, 4, 8],
        "diloco": [0, 4, 8],
        "like diloco": [0, 4, 8],
        "demo": range(STEPS + 1),
        "own sgd": range(STEPS + 1),
    }.items(),
)
def test_ranks_agree_to_the_bit_when_they_should_and_only_then(paths, name, steps):
    assert agreement(paths(name)) == list(steps)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("local", "alone", {}),
        ("ddp", "joint", {}),
        ("sgd ddp", "joint", {"optimizer": "sgd"}),
        ("fedavg", "average", {}),
        ("diloco", "outer", {}),
        ("like diloco", "outer", {}),
        ("demo dense", "sign", {"optimizer": "sgd"}),
        ("own sgd", "vote", {"optimizer": "sgd"}),
    ],
)
def test_it_does_what_a_plain_computation_in_one_process_does(paths, name, kind, options):
    difference = (paths(name) - reference(kind, **options)).abs().max()
    assert difference < 2e-5


# One by one


@pytest.mark.parametrize(("name", "most"), [("sgd ddp fp16", 1e-3), ("sgd ddp bf16", 1e-2)])
def test_half_the_bits_go_nearly_the_same_way(paths, name, most):
    difference = (paths(name) - paths("sgd ddp")).abs().max()
    assert 0 < difference < most


def test_powersgd_begins_with_two_uncompressed_steps(paths):
    same = (paths("sgd ddp powersgd") == paths("sgd ddp")).all(-1).all(0)
    assert same.tolist() == [True, True, True] + [False] * (STEPS - 2)


def test_a_fragment_arrives_when_it_is_due_and_is_mixed(paths):
    """H=4, two fragments, the first sent after steps 4 and 8, the second after 2, 6 and 10; overlap 3, alpha 1/2."""
    import torch

    path, alone = paths("streaming precise"), reference("alone")
    body = torch.arange(83) >= 27  # registered last, so the second fragment
    assert (path[:, :5] - alone[:, :5]).abs().max() < 2e-5, "what was sent after step 2 is applied after step 5"
    assert (path[:, 5] - alone[:, 5])[:, ~body].abs().max() < 2e-5
    begin, sent = alone[0, 0], alone[:, 2].mean(0)
    outer = begin - 0.4 * 1.9 * (begin - sent)
    expected = (alone[:, 5] + outer) / 2
    assert (path[:, 5] - expected)[:, body].abs().max() < 2e-5


def test_eight_bits_go_nearly_the_same_way(paths):
    precise = paths("streaming precise")
    difference = (paths("streaming int8") - precise).abs().max()
    assert 0 < difference < 0.05 * (precise[:, -1] - precise[:, 0]).abs().max()


def test_sparta_averages_its_share_and_nothing_else(paths):
    path = paths("sparta apart")
    assert (path[:, 1] == path[:, 0]).all(), "interval 2"
    before, after = path[:, 1], path[:, 2]
    chosen = (after != before).any(0)
    assert chosen.sum() == 8
    assert (after[:, chosen] - before[:, chosen].mean(0)).abs().max() < 1e-6


def test_sparta_draws_by_seed_and_step(paths):
    path, other = paths("sparta apart"), paths("sparta apart, other seed")
    first, later = ((path[:, step] != path[:, step - 1]).any(0) for step in (2, 4))
    assert (first != later).any()
    assert (first != (other[:, 2] != other[:, 1]).any(0)).any()


def test_gossip_keeps_the_mean_and_comes_to_a_consensus(paths):
    path = paths("gossip apart")
    assert (path.mean(0) - path[:, 0].mean(0)).abs().max() < 1e-5
    spread = path.std(0).amax(-1)
    assert spread[-1] < 1e-3 * spread[0]


def test_gossip_weighs_by_the_greater_degree_of_both(paths):
    import torch

    third = 1 / 3
    weights = torch.tensor(
        [[2 * third, third, 0, 0], [third, third, third, 0], [0, third, third, third], [0, 0, third, 2 * third]],
        dtype=torch.float64,
    )
    path = paths("gossip apart")
    assert (path[:, 1] - weights @ path[:, 0]).abs().max() < 1e-6


def test_what_is_said_to_be_sent(results):
    """83 float32 are 332 bytes; in an all_reduce, each of 4 ranks sends 1.5 times that."""
    said = {name: results[1][name]["bytes"] for name in VARIANTS}
    assert said == pytest.approx(
        {
            "local": 0,
            "ddp": 498,
            "ddp fp16": 249,
            "ddp bf16": 249,
            "ddp powersgd": 1.5 * 4 * (3 + 11 + 8 + 14),
            "fedavg": 498 / 4,
            "diloco": 498 / 4,
            "streaming": 498 / 4,
            "streaming int8": 3 * (83 + 2 * 4) / 4,
            "streaming int4": 3 * (14 + 28 + 2 * 4) / 4,
            "streaming e3m0": 3 * (14 + 28 + 2 * 4) / 4,
            "sparta": 1.5 * 4 * 8,
            "demo": 3 * 5 * (2 * 3 + 3 + 4 * 3 + 2 * 3),
            "gossip": 2 * 332 / 2,
            "own": 1.5 * 83 / 2,
        }
    )
