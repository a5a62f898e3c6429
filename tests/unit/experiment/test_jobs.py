"""How many runs go on at a time, and what each of them has of its own."""

import os
from ipaddress import ip_network

import pytest

from harness.errors import InputError
from harness.experiment.jobs import check_files, read_jobs, slots
from harness.experiment.measure import Measure
from harness.experiment.spec import Experiment
from harness.experiment.variants import CommandVariant, OwnCommand


@pytest.fixture
def cores(monkeypatch):
    def have(number):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))

    return have


@pytest.mark.parametrize(
    ("text", "nodes", "runs", "jobs"),
    [
        ("1", 4, 9, 1),
        ("3", 4, 9, 3),
        ("3", 4, 2, 2),
        ("auto", 4, 9, 2),
        ("auto", 16, 9, 1),
        ("auto", 2, 3, 3),
        ("2", 1, 0, 1),
    ],
)
def test_as_many_as_asked_for_and_no_more_than_there_are(cores, text, nodes, runs, jobs):
    cores(8)
    assert read_jobs(text, nodes, runs) == jobs


@pytest.mark.parametrize("text", ["0", "-1", "", "many", "1.5", "²"])
def test_what_is_no_number_of_runs(text):
    with pytest.raises(InputError, match="--jobs"):
        read_jobs(text, 2, 9)


def test_one_at_a_time_has_what_the_user_wrote():
    (only,) = slots(1, "default", (None, None), apart=True)
    assert (only.name, only.subnets) == ("default", (None, None))


def test_namespaces_may_have_the_same_subnets():
    made = slots(2, "lab", ("198.18.4.0/24", None), apart=False)
    assert [(one.name, one.subnets) for one in made] == [
        ("lab-1", ("198.18.4.0/24", None)),
        ("lab-2", ("198.18.4.0/24", None)),
    ]


def test_containers_have_parts_of_the_users_subnets():
    made = slots(3, "lab", ("198.18.4.0/24", None), apart=True)
    nets = [ip_network(one.subnets[0]) for one in made]
    assert [str(net) for net in nets] == ["198.18.4.0/26", "198.18.4.64/26", "198.18.4.128/26"]
    assert len({one.subnets[1] for one in made}) == 3
    assert all(ip_network(one.subnets[1]).subnet_of(ip_network("fd77::/64")) for one in made)
    with pytest.raises(InputError, match="cannot be divided among 3 runs"):
        slots(3, "lab", ("198.18.4.0/31", None), apart=True)


@pytest.mark.parametrize(("path", "fine"), [("m.jsonl", False), ("{profile}/{seed}", True), ("{run_dir}/m", True)])
def test_two_runs_do_not_add_to_one_file(path, fine):
    measure = Measure("jsonl", "loss", path=path, key="loss")
    variant = CommandVariant(OwnCommand(("python", "train.py")))
    made = Experiment("e", ("wan", "local"), ("ring",), (variant,), (0, 1), measure=measure)
    nodes = {run.slug: 2 for run in made.runs()}
    if fine:
        check_files(made, nodes)
        return
    with pytest.raises(InputError, match="4 runs would add to "):
        check_files(made, nodes)
    check_files(made, dict(list(nodes.items())[:1]))
