"""compose.yaml and `harness up --runtime docker` start the same containers."""

import re
from pathlib import Path

import pytest
import yaml

from harness.agent.settings import NAMES, Settings
from harness.backends.docker import create, labels
from harness.backends.docker.container_options import Limits

ROOT = Path(__file__).parents[4]


def filled(value, given=()):
    """With variables as Compose fills them in: ${NAME:-default}."""
    match value:
        case str():
            return re.sub(r"\$\{(\w+):?-([^}]*(?:\{\})?)\}", lambda m: dict(given).get(m[1], m[2]), value)
        case dict():
            return {key: filled(one, given) for key, one in value.items()}
        case list():
            return [filled(one, given) for one in value]
    return value


@pytest.fixture(scope="module")
def project():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def node(project):
    return filled(project["services"]["node"])


def test_the_same_privileges(node):
    assert node["cap_drop"] == ["ALL"]
    assert tuple(node["cap_add"]) == create.CAPABILITIES
    assert tuple(node["security_opt"]) == create.SECURITY
    assert node["read_only"] is True


def test_the_same_limits(node):
    limits = Limits()
    wanted = {folder: options.format(tmp=limits.tmp) for folder, options in create.TMPFS.items()}
    assert dict(one.split(":") for one in node["tmpfs"]) == wanted
    assert (node["pids_limit"], node["mem_limit"]) == (limits.pids, limits.memory)


def test_the_same_switches(node):
    assert {name: str(value) for name, value in node["sysctls"].items()} == create.SYSCTLS
    assert tuple(node["dns_opt"]) == create.DNS_OPTIONS


def test_the_same_label_and_names(project, node):
    assert node["labels"] == {labels.NETWORK: project["name"]}
    assert node["environment"][NAMES] == f"{project['name']}-node-{{}}"


def test_its_defaults_are_a_network_that_can_be_planned(node):
    settings = Settings.read({name: str(value) for name, value in node["environment"].items()})
    settings.check()
    assert settings.size == int(node["deploy"]["replicas"]) == 4


def test_the_example_of_variables_has_all_of_them_with_their_defaults(project):
    text = (ROOT / "compose.yaml").read_text()
    used = dict(re.findall(r"\$\{(\w+):?-((?:[^{}]|\{\})*)\}", text))
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    told = dict(line.split("=", 1) for line in lines)
    assert told == used
