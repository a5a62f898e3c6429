"""``harness link show`` asks the nodes that enforce the edges, at whichever end."""

import json
from dataclasses import replace
from functools import partial

import pytest

from harness.cli import link, networks
from harness.model.capacity import Capacity, NodeShape
from harness.model.link import LinkShape
from harness.model.plan_edit import set_down
from harness.model.status import Stats
from harness.model.units import Rate
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import network, shape


@pytest.fixture(params=["src", "dst"])
def engine(request, tmp_path, monkeypatch):
    """The registry of a line of three nodes that is up."""
    made, store = FakeEngine(request.param), LocalRegistry(tmp_path)
    plan = network("line", 3, e01=shape(delay="10ms"), e12=shape(delay="20ms"))
    net = Network.up("net", plan, FakeBackend(made), store)
    monkeypatch.setattr(networks, "find_network", lambda name, ranks=(): net)
    yield made
    FakeBackend.living.clear()


def test_every_direction_is_shown_as_its_maker_holds_it(engine, capsys):
    link.show_links("all", "net", True)
    found = {(row["src"], row["dst"]): row for row in json.loads(capsys.readouterr().out)}
    assert {pair: row["applied"]["delay_s"] for pair, row in found.items()} == {
        (0, 1): 0.01,
        (1, 0): 0.01,
        (1, 2): 0.02,
        (2, 1): 0.02,
    }
    assert not any(row["mismatch"] for row in found.values())


def test_what_is_not_held_is_told_with_its_edge(engine, capsys):
    del engine.trees[engine.enforced_at((1, 2))]
    link.show_links("1-2", "net", False)
    assert "edge 1->2: applied differs from requested: nothing shapes it" in capsys.readouterr().err
    link.show_links("1-2", "net", True)
    found = {(row["src"], row["dst"]): row["mismatch"] for row in json.loads(capsys.readouterr().out)}
    assert "nothing shapes it; no filter sends packets of " in found[1, 2]
    assert found[2, 1] is None


def test_notes_of_nodes_are_passed_on_once(engine, capsys, monkeypatch):
    observe = engine.observe
    monkeypatch.setattr(engine, "observe", lambda node: replace(observe(node), notes=("started again at 12:00",)))
    link.show_links("0-1", "net", True)
    told = capsys.readouterr()
    assert told.err.splitlines() == ["harness: started again at 12:00"]
    assert len(json.loads(told.out)) == 2


def test_what_verify_sent_is_counted_apart(engine, capsys, monkeypatch):
    engine.stats = Stats(sent_packets=5896, sent_bytes=8_000_000, dropped=3370)
    net = networks.find_network("net")
    net.count_probes({(0, 1): Stats(5800, 7_900_000, 3366)})
    link.show_links("0-1", "net", False)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("0->1", "1->0"))]
    assert "96 pkt 100 kB" in shown[0]
    assert "5800 pkt, 3366 dropped" in shown[0]
    assert " 4 " in shown[0]
    assert "5896 pkt 8 MB" in shown[1]
    link.show_links("0-1", "net", True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["verify"]["dropped"] for row in rows] == [3366, 0]
    assert [row["stats"]["dropped"] for row in rows] == [3370, 3370]


def test_link_set_says_for_how_long_what_waits_keeps_its_old_rate(engine, capsys):
    net = networks.find_network("net")
    for rate in ("64kbit", "100mbit"):
        new = shape(rate=rate)
        change = partial(reshape, pair=(0, 1), to=new)
        link.change_links(net, change, dry_run=False, json_=True)
        engine.stats = Stats(backlog_bytes=40_000)
    said = capsys.readouterr().err
    assert "harness: 0->1: packets that were queued before leave at the old rate, for another 5 s" in said


def reshape(plan, pair, to):
    return plan.changed([replace(plan.edge(*pair), shape=to)])


def test_a_cap_that_is_narrower_than_an_edge_is_named_where_the_rate_changes_alone(engine, capsys):
    """partition and heal change no rate, so they do not repeat it."""
    net = networks.find_network("net")
    limits = NodeShape(uplink=Capacity(Rate.parse("5mbit")))
    net.reshape(lambda plan: plan.with_nodes({0: limits}))
    link.change_links(net, partial(reshape, pair=(0, 1), to=shape(rate="9mbit")), dry_run=False, json_=True)
    assert "edges that never reach their own rate" in capsys.readouterr().err
    link.change_links(net, lambda plan: set_down(plan, [(0, 1)], True), dry_run=False, json_=True)
    link.change_links(net, partial(reshape, pair=(0, 1), to=shape(rate="9mbit", loss="1%")), dry_run=True, json_=True)
    assert not capsys.readouterr().err


def test_an_edge_without_a_shape_is_called_so_where_a_shared_capacity_gives_it_a_queue(engine, capsys):
    """Whose limit of 1000 packets nobody asked for."""
    net = networks.find_network("net")
    net.reshape(lambda plan: reshape(plan, (0, 1), LinkShape()))
    link.show_links("0-1", "net", False)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("0->1")]
    assert row.split()[1:3] == ["unshaped", "unshaped"]


def test_a_burst_that_no_packet_fits_into_is_applied_larger_and_the_command_says_so(engine, capsys):
    link.set_links(edges="0-1", rate="10mbit", burst="5B", one_way=True, name="net")
    told = capsys.readouterr()
    assert "burst 5 B" in told.out
    assert "harness: the engine raises what is smaller than one full packet to 1.51 kB: burst 5 B of 0->1\n" in told.err
