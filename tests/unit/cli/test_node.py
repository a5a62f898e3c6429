"""``harness node`` and ``harness trunk``: they show and change capacities that edges share."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from harness.cli import networks, node, trunk
from harness.errors import InputError
from harness.model.capacity import Capacity, NodeShape
from harness.model.status import Stats
from harness.model.units import Rate
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import network, shape

FIVE, TEN = Capacity(Rate(5_000_000)), Capacity(Rate(10_000_000))
NONE = {"applied": None, "stats": None, "mismatch": None}


@pytest.fixture(params=["src", "dst"])
def engine(request):
    return FakeEngine(request.param)


@pytest.fixture
def net(engine, tmp_path, monkeypatch):
    """Four nodes in two regions, joined by edges of 20 Mbit/s; node 1 has an uplink of 5 Mbit/s."""
    plan = replace(network("full", 4, shape(rate="20mbit")), regions={"eu": (0, 1), "us": (2, 3)})
    made = Network.up("net", plan.with_nodes({1: NodeShape(FIVE)}), FakeBackend(engine), LocalRegistry(tmp_path))
    monkeypatch.setattr(networks, "find_network", lambda name, ranks=(): made)
    yield made
    FakeBackend.living.clear()


@pytest.fixture
def harness(net):
    def run(app, *words):
        done = CliRunner().invoke(app, words, catch_exceptions=False, standalone_mode=False)
        return done.stdout, done.stderr

    return run


def test_each_limit_is_shown_as_the_node_holds_it(harness, engine):
    engine.stats = Stats(7, 7000, 2, 1500, 1)
    found, _ = harness(node.app, "show", "0,1", "--json")
    none = {"rank": 0, "limit": "uplink", "requested": None, **NONE}
    held = {"rank": 1, "limit": "uplink", "requested": FIVE.to_json(), "applied": FIVE.to_json()}
    assert json.loads(found) == [
        none,
        {**none, "limit": "downlink"},
        {**held, "stats": vars(engine.stats), "mismatch": None},
        {**none, "rank": 1, "limit": "downlink"},
        {**none, "limit": "cpu"},
        {**none, "rank": 1, "limit": "cpu"},
    ]
    shown = harness(node.app, "show")[0].splitlines()
    assert shown[0] == "Limits of nodes of 'net'"
    assert shown[2].split() == ["1", "uplink", "5", "Mbit/s", "5", "Mbit/s", "7", "pkt", "7", "kB", "2", "1.5", "kB"]
    assert len(shown) == 3
    assert (
        harness(node.app, "show", "2")[0]
        == "no uplink, downlink or CPU is limited: harness node set RANKS --uplink 20mbit --cpu 50%\n"
    )


def test_what_is_not_held_is_told_with_its_node(harness, engine):
    engine.wrong_caps = {"uplink"}
    shown, said = harness(node.app, "show", "1")
    assert "(differs)" in shown
    assert said == "harness: node 1 uplink: applied differs from requested: there is none\n"
    del engine.caps[1]
    assert "node 1 uplink: applied differs from requested: no limit is reported" in harness(node.app, "show")[1]
    assert json.loads(harness(node.app, "show", "1", "--json")[0])[0]["mismatch"] == "no limit is reported"


def test_limits_are_set(harness, net, engine):
    shown, said = harness(node.app, "set", "0,1", "--uplink", "10mbit", "--queue", "codel")
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0] == ["Changed"]
    assert rows[2] == ["0", "uplink", "no", "limit", "10", "Mbit/s,", "queue", "codel"]
    assert rows[3] == ["1", "uplink", "5", "Mbit/s", "10", "Mbit/s,", "queue", "codel"]
    assert shown.splitlines()[-1].startswith("applied and read back in ")
    assert "edges that never reach their own rate, because what they share is slower: 0->1 (20 Mbit/s; uplink" in said
    assert engine.caps[0]["uplink"].rate == TEN.rate
    told, _ = harness(node.app, "set", "1", "--uplink", "none", "--downlink", "50mbit", "--json")
    changed = json.loads(told)
    assert changed["seconds"] > 0
    assert changed["changed"] == [
        {"rank": 1, "limit": "uplink", "capacity": None},
        {"rank": 1, "limit": "downlink", "capacity": Capacity(Rate(50_000_000)).to_json()},
    ]
    assert net.plan.node_shape(1) == NodeShape(downlink=Capacity(Rate(50_000_000)))
    assert "already have these values" in harness(node.app, "set", "1", "--uplink", "none")[0]


def test_a_share_of_a_cpu_is_set_and_shown(harness, net):
    shown, said = harness(node.app, "set", "1-2", "--cpu", "25%")
    assert [line.split() for line in shown.splitlines()][2] == ["1", "cpu", "no", "limit", "25", "%"]
    assert said == "", "a share of a CPU makes no edge slower"
    assert json.loads(harness(node.app, "show", "2", "--json")[0])[-1] == {
        "rank": 2, "limit": "cpu", "requested": 0.25, "applied": 0.25, "stats": {"throttled_s": 0.5}, "mismatch": None
    }  # fmt: skip
    assert harness(node.app, "show", "2")[0].split()[-7:] == ["2", "25", "%", "25", "%", "500", "ms"]
    told = json.loads(harness(node.app, "set", "2", "--cpu", "none", "--json")[0])
    assert told["changed"] == [{"rank": 2, "limit": "cpu", "capacity": None}]
    assert net.plan.node_shape(2) == NodeShape()
    net.backend.cpus[1] = None
    shown, said = harness(node.app, "show", "1")
    assert "no limit (differs)" in shown
    assert said == "harness: node 1 CPU: applied differs from requested: no limit for 25%\n"
    del net.backend.cpus[1]
    assert json.loads(harness(node.app, "show", "1", "--json")[0])[-1]["mismatch"] == "no limit is reported"


def test_values_that_differ_little_read_differently(harness):
    assert "5.00001 Mbit/s" in harness(node.app, "set", "1", "--uplink", "5000010bit", "--dry-run")[0]


def test_a_dry_run_changes_nothing(harness, net, engine):
    before = net.plan
    engine.log.clear()
    shown, said = harness(node.app, "set", "all", "--uplink", "10mbit", "--dry-run")
    assert shown.startswith("Would change\n")
    assert "never reach their own rate" in said
    assert json.loads(harness(trunk.app, "set", "all", "--rate", "1mbit", "--dry-run", "--json")[0])["seconds"] is None
    assert (net.plan, engine.log) == (before, [])


def test_what_the_nodes_cannot_make_is_refused_by_a_dry_run_too(harness, net):
    net.backend.refuses = "not on containers"
    for words in (["--dry-run"], []):
        with pytest.raises(InputError, match="not on containers"):
            harness(trunk.app, "set", "eu-us", "--rate", "1mbit", *words)


def test_trunks_are_set_and_shown(harness, net, engine):
    assert "no trunk is limited" in harness(trunk.app, "show")[0]
    shown, said = harness(trunk.app, "set", "eu-us", "--rate", "10mbit")
    assert [line.split()[0] for line in shown.splitlines()] == ["Changed", "trunk", "eu->us", "us->eu", "applied"]
    assert "0->2 (20 Mbit/s; trunk eu->us 10 Mbit/s)" in said
    changed, _ = harness(trunk.app, "set", "us-eu", "--one-way", "--rate", "none", "--json")
    assert json.loads(changed)["changed"] == [{"from": "us", "to": "eu", "capacity": None}]
    found = json.loads(harness(trunk.app, "show", "--json")[0])
    one = {"from": "eu", "to": "us", "requested": TEN.to_json(), "applied": TEN.to_json()}
    assert found == [
        {**one, "stats": vars(Stats()), "mismatch": None},
        {"from": "us", "to": "eu", "requested": None, **NONE},
    ]
    shown, said = harness(trunk.app, "show")
    assert (len(shown.splitlines()), said) == (3, "")
    net.reshape(lambda plan: plan)
    engine.trunks, engine.caps = (), {}
    assert "trunk eu->us: applied differs from requested: no limit for 10Mbit" in harness(trunk.app, "show")[1]


def test_without_regions_there_are_no_trunks(harness, net, monkeypatch):
    monkeypatch.setattr(net, "plan", network("ring", 3))
    with pytest.raises(InputError, match="this ring has none"):
        harness(trunk.app, "show")
