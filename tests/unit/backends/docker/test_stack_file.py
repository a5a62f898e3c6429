"""``harness stack``: what Swarm takes, what agents read, how it differs from compose.yaml, and what it refuses."""

import re

import pytest
import yaml

from harness.agent.settings import Settings
from harness.backends.docker.container_options import Limits
from harness.backends.docker.labels import NETWORK, RANK, STACK
from harness.backends.docker.stack_file import StackOptions, stack, to_yaml
from harness.backends.docker.work_folder import WorkFile
from harness.errors import InputError
from harness.model.plan_options import NetworkOptions, PlanOptions
from tests.unit.backends.docker.test_compose_file import node, project  # noqa: F401 - fixtures

JOB = {"name": "train", "image": "reg/x:1", "command": ["true"], "master_port": 29500}


def made(network=None, **job):
    """The stack as Docker reads it: its text, with what all have in common in every service."""
    chosen = NetworkOptions(**{"nodes": 3, "mtu": 1450, **(network or {})})
    return yaml.safe_load(to_yaml(stack(chosen, StackOptions(**{**JOB, **job}), chosen.plan())))


def ranks(document):
    return list(document["services"].values())


def test_a_rank_is_a_service_that_starts_once_and_is_found_by_its_name_on_both_networks():
    document = made()
    assert list(document["services"]) == ["rank-0", "rank-1", "rank-2"]
    for rank, service in enumerate(ranks(document)):
        assert service["networks"] == {
            "links": {"aliases": [f"node-{rank}"]},
            "manage": {"aliases": [f"manage-{rank}"]},
        }
        assert (service["deploy"]["endpoint_mode"], service["deploy"]["restart_policy"]["condition"]) == (
            "dnsrr",
            "none",
        )
        assert service["healthcheck"] == {"disable": True}
        assert service["labels"] == service["deploy"]["labels"] == {NETWORK: "train", RANK: str(rank), STACK: "3"}
    told = Settings.read(ranks(document)[0]["environment"])
    assert told.host_names == ["node-0", "node-1", "node-2"]
    assert told.manage_names == ["manage-0", "manage-1", "manage-2"]
    assert told.machine == "{{.Node.ID}}"


def test_rank_0_is_at_a_manager_with_the_folder_for_results(tmp_path):
    first, *others = ranks(made(runs=tmp_path, machine="big"))
    assert first["deploy"]["placement"] == {"constraints": ["node.role == manager", "node.hostname == big"]}
    assert first["volumes"][-1] == {"type": "bind", "source": str(tmp_path), "target": "/runs"}
    for other in others:
        assert "placement" not in other["deploy"]
        assert other["volumes"][-1] == {"type": "tmpfs", "target": "/runs"}
        assert other["volumes"][:-1] == first["volumes"][:-1]


def test_the_shaped_network_sorts_first_and_has_the_mtu_beside_what_vxlan_takes():
    networks = made({"subnet": "10.9.0.0/24", "mtu": 1400})["networks"]
    assert sorted(networks) == ["links", "manage"]
    assert networks["links"]["ipam"] == {"config": [{"subnet": "10.9.0.0/24"}]}
    assert networks["links"]["driver_opts"] == {"com.docker.network.driver.mtu": "1450"}
    assert {one["driver"] for one in networks.values()} == {"overlay"}
    assert {one["labels"][NETWORK] for one in networks.values()} == {"train"}


def test_agents_read_the_options_back():
    network = {
        "topology": "ring",
        "profile": "mobile",
        "uplink": "20mbit",
        "ecn": True,
        "seed": 4,
        "cpu": ("1=25%", "2=50%"),
    }
    document = made(
        {**network, "engine": "userspace", "subnet": "10.9.0.0/24"},
        command=["sh", "-c", "echo $RANK $$ ${HOME}"],
        stops=False,
        collectives=True,
        scenario="satellite",
        start_timeout=90,
    )
    service = ranks(document)[1]
    told = Settings.read(service["environment"])
    assert told.options == PlanOptions(nodes=3, mtu=1450, subnet="10.9.0.0/24", **{**network, "cpu": ("1=25%,2=50%",)})
    assert (told.engine, told.stops, told.collectives, told.start_timeout) == ("userspace", False, True, 90)
    assert (told.scenario, service["image"]) == ("satellite", "reg/x:1")
    assert [re.sub(r"\$\$", "$", word) for word in service["command"]] == ["sh", "-c", "echo $RANK $$ ${HOME}"]
    assert [one["deploy"]["resources"]["limits"].get("cpus") for one in ranks(document)] == [None, "0.25", "0.5"]


def test_its_privileges_limits_and_switches_are_those_of_compose(node):  # noqa: F811 - the fixture
    service = ranks(made())[0]
    for same in ("cap_drop", "cap_add", "read_only", "stop_grace_period", "dns_search"):
        assert service[same] == node[same]
    wanted = {name: str(value) for name, value in node["sysctls"].items() if ".ipv6." not in name}
    assert service["sysctls"] == wanted
    limits = service["deploy"]["resources"]["limits"]
    assert (str(limits["pids"]), limits["memory"]) == (node["pids_limit"], node["mem_limit"])
    assert {*service["environment"]} <= {*node["environment"], "HARNESS_MANAGE", "HARNESS_MACHINE", "RES_OPTIONS"}
    sizes = {one["target"]: one.get("tmpfs", {}).get("size") for one in service["volumes"]}
    assert sizes == {"/tmp": None, "/run": 16 * 2**20, "/dev/shm": 2**30, "/runs": None}


def test_without_limits_there_are_none():
    assert "resources" not in ranks(made(limits=Limits("0", "0", "0")))[0]["deploy"]


def test_files_are_named_by_what_is_in_them_for_swarm_never_changes_one(tmp_path):
    files = [WorkFile(tmp_path / "a.py", "a.py", "0123456789abcdef", False)]
    files += [WorkFile(tmp_path / "$go", "sub/$go", "fedcba9876543210", True)]
    document = made(files=files)
    assert {name: one["file"] for name, one in document["configs"].items()} == {
        "file-0123456789ab": str(tmp_path / "a.py"),
        "file-fedcba987654": str(tmp_path / "$$go"),
    }
    for service in ranks(document):
        assert service["configs"] == [
            {"source": "file-0123456789ab", "target": "/work/a.py", "mode": 0o444},
            {"source": "file-fedcba987654", "target": "/work/sub/$$go", "mode": 0o555},
        ]


@pytest.mark.parametrize("nodes", [1, 40])
def test_any_number_of_nodes(nodes):
    assert len(ranks(made({"nodes": nodes}))) == nodes


@pytest.mark.parametrize(
    ("network", "job", "message"),
    [
        ({"subnet": "10.9.0.0/29", "nodes": 5}, {}, r"fit: 10\.9\.0\.0/29 has room for 4.*one for each machine"),
        ({"subnet6": "fd99::/64"}, {}, "--subnet6 is not for a stack"),
        ({"topology": "regions:2", "trunk": "1gbit"}, {}, "containers cannot share a trunk"),
        ({"engine": "netem2"}, {}, "did you mean 'netem'"),
        ({}, {"name": "my job"}, "'my job' is not a name for a stack"),
        ({}, {"name": ""}, "not a name for a stack"),
        ({}, {"name": "a" * 57}, "up to 56 characters"),
        ({}, {"master_port": 29321}, "agents use that port"),
        ({}, {"master_port": 29323}, "agents use that port"),
    ],
)
def test_what_cannot_be_is_refused(network, job, message):
    with pytest.raises(InputError, match=message):
        made(network, **job)
