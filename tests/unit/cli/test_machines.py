"""``harness machines`` on one machine, and on several."""

import json
import re
from types import SimpleNamespace

import pytest

from harness.cli import machines
from harness.model.machines import Machines, Path

SPREAD = Machines(
    ("a", "a", "b", "c"),
    {("a", "b"): Path(-0.0032, 0.0002, 0.0004, 0.0005, 20, {"links": False, "manage": True})},
    {0: {"links": 1450}, 1: {"links": 1450}, 2: {"links": 8950}},
    1.0,
)


@pytest.fixture
def found(request, monkeypatch):
    network = SimpleNamespace(backend=SimpleNamespace(machines=lambda: request.param))
    monkeypatch.setattr(machines.networks, "find_network", lambda name: network)
    return request.param


@pytest.mark.parametrize("found", [None], indirect=True)
def test_all_nodes_here(found, capsys):
    machines.machines("net", False)
    assert capsys.readouterr().out == "all nodes of 'net' are on this machine\n"


@pytest.mark.parametrize("found", [SPREAD], indirect=True)
def test_nodes_on_three_machines(found, capsys):
    machines.machines("net", False)
    rows = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert [[cell for cell in row if cell] for row in rows[-4:]] == [
        ["0", "a", "1450", "same machine"],
        ["1", "a", "1450", "same machine"],
        ["2", "b", "8950, does not pass", "-3.2 ms +-200 µs", "400 µs"],
        ["3", "c", "not known", "not measured yet"],
    ]
    machines.machines("net", True)
    assert json.loads(capsys.readouterr().out)["ranks"][2]["path"]["rtt"] == 0.0004
