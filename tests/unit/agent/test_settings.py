"""An agent's settings from the environment of its container."""

import pytest

from harness.agent.settings import Settings, packed
from harness.errors import InputError
from tests.support.plans import network

NAMES = {"HARNESS_NAMES": "harness-node-{}"}


def test_without_more_it_is_four_nodes_on_a_wan():
    told = Settings.read(NAMES)
    assert (told.options.nodes, told.options.topology, told.options.profile) == (4, "fully_connected", "wan")
    assert (told.engine, told.congestion_control, told.job, told.stops, told.transient) == (
        "auto", "cubic", (), True, False,
    )  # fmt: skip
    assert told.plan is None


def test_empty_variables_are_as_good_as_none():
    """Compose makes an unset variable empty: ``VARIABLE: ${VARIABLE:-}``."""
    names = (
        "NODES",
        "TOPOLOGY",
        "BETWEEN",
        "SEED",
        "ENGINE",
        "MASTER_PORT",
        "ON_FAILURE",
        "START_TIMEOUT",
        "COLLECTIVES",
    )
    assert Settings.read({**NAMES, **dict.fromkeys(names, "")}) == Settings.read(NAMES)


def test_everything_that_is_given_is_taken():
    told = Settings.read(
        {**NAMES, "NODES": "8", "TOPOLOGY": "star", "PROFILE": "mobile", "SEED": "-3", "ON_FAILURE": "continue"},
        ["python", "train.py"],
    )
    assert (told.options.nodes, told.options.topology, told.options.seed, told.start_timeout) == (8, "star", -3, 60)
    assert Settings.read({**NAMES, "START_TIMEOUT": "300"}).start_timeout == 300
    assert (told.collectives, Settings.read({**NAMES, "COLLECTIVES": "1"}).collectives) == (False, True)
    assert (told.job, told.stops) == (("python", "train.py"), False)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NODES": "many"}, "NODES=many: write a whole number from 1 to 4094"),
        ({"NODES": "0"}, "NODES=0"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT=70000"),
        ({"NODES": "--5"}, "NODES=--5"),
        ({"COLLECTIVES": "yes"}, "COLLECTIVES=yes: write a whole number from 0 to 1"),
        ({"START_TIMEOUT": "0"}, "START_TIMEOUT=0: write a whole number from 1 to 86400"),
        ({"MASTER_PORT": "29321"}, "agents use that port"),
        ({"ON_FAILURE": "explode"}, "ON_FAILURE=explode"),
        ({"HARNESS_NAMES": "node"}, "HARNESS_NAMES='node'"),
        (
            {"HARNESS_NAMES": "node-{}-{rank}"},
            "HARNESS_NAMES='node-{}-{rank}': write .* from 1, e.g.",
        ),
        ({"HARNESS_NAMES": "a" * 57 + "-node-{}", "NODES": "10"}, f"'{'a' * 57}-node-10' is too long .* 63 characters"),
        ({"HARNESS_PLAN_0": "nonsense!"}, "HARNESS_PLAN_0 holds no plan"),
    ],
)
def test_nonsense_names_its_variable(variables, message):
    with pytest.raises(InputError, match=message):
        Settings.read({**NAMES, **variables})


def test_names_count_from_one_or_are_of_ranks():
    assert Settings.read({**NAMES, "NODES": "2"}).host_names == ["harness-node-1", "harness-node-2"]
    pods = Settings.read({"HARNESS_NAMES": "train-{rank}.train", "NODES": "3"})
    assert pods.host_names == ["train-0.train", "train-1.train", "train-2.train"]
    long = f"{'a' * 60}-{{rank}}.{'b' * 63}"  # each part of a name may have 63 characters
    assert Settings.read({"HARNESS_NAMES": long, "NODES": "10"}).host_names[9] == long.replace("{rank}", "9")
    with pytest.raises(InputError, match=f"'{'a' * 60}-100' is too long"):
        Settings.read({"HARNESS_NAMES": long, "NODES": "101"})


def test_a_plan_travels_whole_in_pieces_that_the_kernel_takes():
    plan = network("fully_connected", 64)
    variables = packed(plan)
    assert all(len(value) + len(name) < 128 * 1024 for name, value in variables.items())
    told = Settings.read({**NAMES, **variables})
    assert told.plan == plan


def test_a_trunk_is_refused_before_anything_is_made():
    told = Settings.read({**NAMES, "TOPOLOGY": "regions:2", "TRUNK": "1gbit"})
    with pytest.raises(InputError, match=r"containers cannot share a trunk: .* take --topology islands"):
        told.check()
    Settings.read({**NAMES, "TOPOLOGY": "regions:2", "UPLINK": "20mbit"}).check()
