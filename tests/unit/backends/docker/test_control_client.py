"""The program that ``docker exec`` runs, which cannot import our modules, agrees with the agent."""

import ast
from pathlib import Path

from harness.agent import manage_network
from harness.backends.docker import exec as exec_package


def test_it_asks_the_port_of_the_agents_on_other_machines():
    source = (Path(exec_package.__path__[0]) / "control_client.py").read_text()
    values = {
        node.targets[0].id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    assert values["PORT"] == manage_network.PORT
