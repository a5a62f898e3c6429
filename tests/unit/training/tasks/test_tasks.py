"""Tasks: shapes, determinism, and no training on held-out data."""

import dataclasses
import importlib.util

import pytest

from harness.errors import InputError
from harness.training.tasks.catalogue import make_task
from harness.training.tasks.task_options import TASKS, TaskOptions

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]

TEXT = "".join(chr(97 + (7 * place * place + place // 3) % 26) for place in range(3000))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(TEXT)
    return TaskOptions("text", batch=4, width=32, layers=2, context=16, data=str(path))


@pytest.fixture(params=["digits", "text"])
def options(request):
    return TaskOptions(batch=8, width=16) if request.param == "digits" else request.getfixturevalue("text")


def rows(batch):
    return {tuple(row.tolist()) for row in batch}


def test_a_model_learns_from_batches_of_its_shape(options):
    import torch

    task = make_task(options, 0, 2, seed=1)
    model = task.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    first = float(task.loss(model, task.batch(1)).detach())
    for step in range(1, 31):
        inputs, wanted = task.batch(step)
        assert len(inputs) == len(wanted) == options.batch
        optimizer.zero_grad()
        task.loss(model, (inputs, wanted)).backward()
        optimizer.step()
    assert float(task.loss(model, task.batch(1)).detach()) < first


def test_model_and_batches_follow_from_the_seed(options):
    import torch

    one, same, rank, seed = (make_task(options, *place) for place in ((0, 2, 5), (0, 2, 5), (1, 2, 5), (0, 2, 6)))

    def flat(task):
        torch.rand(3)  # what others draw must not matter
        return torch.cat([parameter.flatten() for parameter in task.model().parameters()])

    assert torch.equal(flat(one), flat(same))
    assert torch.equal(flat(one), flat(rank))
    assert not torch.equal(flat(one), flat(seed))
    assert all(torch.equal(a, b) for a, b in zip(one.batch(7), same.batch(7), strict=True))
    for other in (rank.batch(7), seed.batch(7), one.batch(8)):
        assert not torch.equal(one.batch(7)[0], other[0])


def test_evaluation_is_the_same_on_all_ranks_and_changes_nothing(options):
    import torch

    scores = set()
    for rank in range(2):
        task = make_task(options, rank, 2, seed=0)
        model = task.model()
        scores |= {task.evaluate(model), task.evaluate(model)}
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.is_grad_enabled()
    (score,) = scores
    assert score.loss > 1
    assert (score.accuracy is None) == (options.name == "text")


def test_digits_nobody_learns_from_what_is_held_out():
    """Compare indices, not pixels: some of the 1797 digits are equal."""
    from harness.training.tasks.images import load_digits

    images = load_digits()
    assert (len(images.train[0]), len(images.test[0]), images.classes) == (1433, 364, 10)
    assert images.train[0].shape[1] == 64
    assert 0 <= float(images.train[0].min()) < float(images.train[0].max()) <= 1
    held = rows(images.test[0])
    learned = set()
    for rank in range(3):
        task = make_task(TaskOptions(batch=100), rank, 3, seed=0)
        for step in range(1, 6):
            learned |= rows(task.batch(step)[0])
    assert learned == rows(images.train[0])
    assert not learned & (held - rows(images.train[0]))
    assert len(held - rows(images.train[0])) > 300
    assert sorted(set(images.test[1].tolist())) == list(range(10))


def test_digits_ranks_say_what_they_have():
    facts = [make_task(TaskOptions(shards="dirichlet:0.1"), rank, 4, seed=2).facts() for rank in range(4)]
    assert sum(one["examples"] for one in facts) == 1433
    assert all(sum(one["of_label"]) == one["examples"] and len(one["of_label"]) == 10 for one in facts)


@pytest.mark.parametrize("shards", ["iid", "dirichlet:0.3"])
def test_text_nobody_learns_from_what_is_held_out(text, shards):
    """The last tenth has characters that occur nowhere else."""
    from pathlib import Path

    alphabet = sorted({*TEXT, *"0123456789"})
    Path(text.data).write_text(TEXT[:2700] + ("0123456789" * 30))
    options = dataclasses.replace(text, shards=shards, batch=64)
    held = {alphabet.index(character) for character in "0123456789"}
    for rank in range(2):
        task = make_task(options, rank, 2, seed=0)
        for step in range(1, 40):
            inputs, wanted = task.batch(step)
            assert not held & {*inputs.flatten().tolist(), *wanted.flatten().tolist()}
            assert (inputs[:, 1:] == wanted[:, :-1]).all()


@pytest.mark.parametrize("shards", ["iid", "dirichlet:0.1"])
def test_every_window_of_the_text_has_one_rank(text, shards):
    facts = [make_task(dataclasses.replace(text, shards=shards), rank, 2, 0).facts() for rank in range(2)]
    assert sum(one["windows"] for one in facts) == 2700 - 16 - 1


def test_a_later_character_never_changes_an_earlier_score(text):
    import torch

    task = make_task(text, 0, 2, seed=0)
    model = task.model().eval()
    inputs, _ = task.batch(1)
    with torch.no_grad():
        scores = model(inputs)
        for place in (5, 15):
            changed = inputs.clone()
            changed[:, place] = (changed[:, place] + 1) % task.facts()["alphabet"]
            others = model(changed)
            assert torch.allclose(others[:, :place], scores[:, :place], atol=1e-6)
            assert not torch.allclose(others[:, place:], scores[:, place:], atol=1e-4)


def test_the_text_model_is_as_large_as_promised_and_begins_with_an_even_guess():
    import math

    task = make_task(TaskOptions("text"), 0, 4, seed=0)
    model = task.model()
    assert 1e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 10e6
    facts = task.facts()
    assert facts["characters"] > 300_000
    assert task.evaluate(model).loss == pytest.approx(math.log(facts["alphabet"]), rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "digit"}, "task 'digit' is unknown; did you mean 'digits'?"),
        ({"shards": "dirichlet:x"}, "shards 'dirichlet:x': write iid"),
        ({"data": "mine.csv"}, "task digits has no use for data"),
        ({"name": "mnist", "layers": 6}, "task mnist has no use for layers"),
        ({"optimizer": "adam"}, "optimizer 'adam' is unknown; did you mean 'adamw'?"),
        ({"lr": 0.0}, "task digits: lr must be a number over 0, not 0.0"),
        ({"lr": float("inf")}, "lr must be a number over 0, not inf"),
        ({"batch": 0}, "batch must be a number over 0"),
        ({"name": "text", "width": 48}, "task text: width 48 is not a multiple of 32"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError) as error:
        TaskOptions(**options)
    assert message in str(error.value)


def test_options_come_back_from_json():
    options = TaskOptions("text", shards="dirichlet:0.5", width=64, data="/some/where")
    assert TaskOptions.from_json(vars(options)) == options
    assert options.name in TASKS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (b"short", "a text of 5 characters is too short for windows of 16"),
    ],
)
def test_a_text_that_cannot_be_learned(text, tmp_path, content, message):
    path = tmp_path / "other.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        make_task(dataclasses.replace(text, data=str(path)), 0, 2, 0)


def test_more_ranks_than_examples(text):
    with pytest.raises(InputError, match="1433 examples are too few for 2000 ranks"):
        make_task(TaskOptions(), 0, 2000, 0)


def test_mnist_that_is_not_there_is_told_with_the_remedy(tmp_path):
    from harness.errors import HarnessError

    with pytest.raises(HarnessError, match=r"torchvision"):
        make_task(TaskOptions("mnist", data=str(tmp_path)), 0, 2, 0)
