from dataclasses import dataclass
from typing import Literal

import pytest

from harness.errors import InputError
from harness.training.strategies.option_values import at_least, positive, read_options, share, under_one


@dataclass(frozen=True)
class Some:
    H: int = 10
    rate: float = 0.5
    fast: bool = False
    name: str = "x"
    kind: Literal["none", "int8"] = "none"

    def __post_init__(self):
        at_least("H", self.H, 1)


@dataclass(frozen=True)
class Needing:
    p: float


def read(**given):
    return read_options("some", Some, given)


def test_texts_and_values_over_defaults():
    assert read() == Some()
    texts = read(H="20", rate="1e-3", fast="yes", name="y", kind="int8")
    assert texts == read(H=20, rate=0.001, fast=True, name="y", kind="int8") == Some(20, 0.001, True, "y", "int8")
    assert read(rate=2) == Some(rate=2.0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"h": 5}, "strategy some has no option 'h'; "),
        ({"rat": 5}, r"no option 'rat'; did you mean 'rate'\?"),
        ({"H": "many"}, "strategy some: H=many: write a whole number"),
        ({"H": 2.5}, "write a whole number"),
        ({"H": True}, "write a whole number"),
        ({"H": None}, "write a whole number"),
        ({"H": 0}, "strategy some: H=0: at least 1"),
        ({"rate": "fast"}, "write a number"),
        ({"rate": "nan"}, "write a number"),
        ({"rate": "inf"}, "write a number"),
        ({"fast": "perhaps"}, "write true or false"),
        ({"kind": "int4"}, "strategy some: kind=int4: choose one of none, int8"),
    ],
)
def test_what_makes_no_sense_names_strategy_and_option(given, told):
    with pytest.raises(InputError, match=told):
        read(**given)


def test_an_option_without_a_default_must_be_given():
    assert read_options("own", Needing, {"p": "0.1"}) == Needing(0.1)
    with pytest.raises(InputError, match="strategy own: option 'p' has no default: give it"):
        read_options("own", Needing, {})


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (lambda value: at_least("x", value, 1), [1, 5], [0, -1]),
        (lambda value: share("x", value), [1e-9, 1], [0, 1.1, -1]),
        (lambda value: under_one("x", value), [0, 0.999], [1, -0.1]),
        (lambda value: positive("x", value), [1e-9, 7], [0, -1]),
    ],
)
def test_bounds(check, good, bad):
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(InputError, match=f"x={value:g}: "):
            check(value)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("ddp", {"compress": "zip"}, "choose one of none, fp16, bf16, powersgd"),
        ("ddp", {"rank": 0}, "rank=0: at least 1"),
        ("fedavg", {"H": 0}, "H=0: at least 1"),
        ("diloco", {"H": 0}, "H=0: at least 1"),
        ("diloco", {"outer_lr": 0}, "outer_lr=0: over 0"),
        ("diloco", {"outer_momentum": 1}, "outer_momentum=1: at least 0 and under 1"),
        ("streaming-diloco", {"H": 4, "fragments": 5}, "fragments=5: at most one per step, H=4"),
        ("streaming-diloco", {"H": 4, "overlap": 4}, "overlap=4: less than H=4"),
        ("streaming-diloco", {"overlap": -1}, "overlap=-1: at least 0"),
        ("streaming-diloco", {"alpha": 1}, "alpha=1: at least 0 and under 1"),
        ("sparta", {"p": 2}, "strategy sparta: p=2: a share over 0 and at most 1"),
        ("sparta", {"interval": 0}, "interval=0: at least 1"),
        ("demo", {"topk": 0}, "topk=0: at least 1"),
        ("demo", {"chunk": 0}, "chunk=0: at least 1"),
        ("demo", {"decay": 1}, "decay=1: at least 0 and under 1"),
        ("demo", {"lr": -1}, "lr=-1: at least 0"),
        ("gossip", {"H": 0}, "H=0: at least 1"),
        ("local", {"H": 1}, "strategy local has no option 'H'; it has none"),
    ],
)
def test_every_strategy_refuses_what_makes_no_sense(name, given, told):
    from harness.training.strategies.catalogue import find_strategy

    with pytest.raises(InputError, match=told):
        read_options(name, find_strategy(name).Options, given)
