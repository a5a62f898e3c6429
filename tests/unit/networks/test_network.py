"""The life of a network, on fakes: order of steps, roll-back, concurrent commands, names."""

import json
import signal
import time
from dataclasses import replace

import pytest

from harness.errors import HarnessError, InputError, NetworkStateError, NodeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.cpu import CpuShare
from harness.model.link import LinkShape
from harness.model.status import Stats
from harness.model.units import Rate
from harness.networks.network import Network, remove
from harness.networks.registry import LocalRegistry
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import SHAPES, network, shape

SLOW = shape(delay="80ms")


@pytest.fixture(params=["src", "dst"])
def engine(request):
    return FakeEngine(request.param)


@pytest.fixture
def store(tmp_path, engine, monkeypatch):
    monkeypatch.setattr("harness.networks.network.find_backend", lambda record: FakeBackend(engine, record.handle))
    yield LocalRegistry(tmp_path)
    FakeBackend.living.clear()


@pytest.fixture
def start(engine, store):
    def up(plan, name="net", **options):
        backend = FakeBackend(engine)
        return Network.up(name, plan, backend, store, **options)

    return up


def slow(*pairs):
    return lambda plan: plan.changed([replace(plan.edge(*pair), shape=SLOW) for pair in pairs])


def test_links_are_shaped_before_traffic_may_flow_and_kept_after(start):
    net = start(network("ring", 3, shape(delay="1ms")))
    assert net.backend.events == ["create", "call apply", "open", "keep"]
    assert net.applied()[0, 1].applied.delay.ns == 1_000_000


def test_a_transient_network_ends_with_its_command(start):
    assert "keep" not in start(network("ring", 3), transient=True).backend.events


def test_a_node_that_refuses_at_the_start_leaves_nothing(start, engine, store):
    engine.refuse = {(1, 2)}
    with pytest.raises(NodeError, match=f"node {engine.enforced_at((1, 2))}: shape edge 1->2"):
        start(network("ring", 3, shape(delay="1ms")))
    assert store.names() == []
    assert not FakeBackend.living


@pytest.mark.parametrize("cap", ["uplink", "downlink"])
def test_a_cap_that_a_node_does_not_have_though_it_accepted_it_ends_the_start(start, engine, store, cap):
    engine.wrong_caps = {cap}
    plan = network("ring", 3).with_nodes({1: NodeShape(**{cap: Capacity(Rate(10**7))})})
    with pytest.raises(NodeError, match=f"node 1: limit {cap}: the engine accepted .* something else: there is none"):
        start(plan)
    assert store.names() == []


def test_an_interrupt_at_the_start_leaves_nothing(start, store, monkeypatch):
    def interrupted(self, plan):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeBackend, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(network("ring", 3))
    assert store.names() == []
    assert not FakeBackend.living


def test_a_reshape_touches_only_the_nodes_that_make_the_edges(start, engine):
    net = start(network("ring", 4, shape(delay="1ms", loss="1%")))
    engine.log.clear()
    done = net.reshape(slow((0, 1)))
    assert {rank for rank, _ in engine.log} == {engine.enforced_at((0, 1))}
    assert done.changed == ((0, 1),)
    applied = net.applied()
    assert applied.keys() == net.plan.edges.keys()
    assert {pair for pair, reading in applied.items() if reading.applied.delay == SLOW.delay} == {(0, 1)}


def test_an_edge_that_changes_in_nothing_readable_is_set_again(start, engine):
    net = start(network("star", 4, SHAPES["normal"]))
    engine.log.clear()
    net.reshape(lambda plan: plan.changed([replace(plan.edge(0, 2), shape=SHAPES["pareto"])]))
    ((rank, action),) = engine.log
    assert {rank, action.branch.neighbour} == {0, 2}
    assert rank == engine.enforced_at((0, 2))
    assert net.applied()[0, 2].applied.distribution == "pareto"
    assert net.applied()[2, 0].applied.distribution == "normal"


def test_a_partition_loses_everything_between_the_parts_and_heals(start):
    plan = network("full", 4, shape(delay="1ms"))
    net = start(plan)
    across = {pair for pair in plan.edges if (pair[0] < 2) != (pair[1] < 2)}
    done = net.reshape(lambda plan: plan.changed([replace(plan.edge(*pair), down=True) for pair in across]))
    assert set(done.changed) == across
    assert {pair for pair, reading in net.applied().items() if float(reading.applied.loss) == 1} == across
    net.reshape(lambda plan: plan.changed([replace(plan.edge(*pair), down=False) for pair in across]))
    assert not any(reading.applied.loss for reading in net.applied().values())


def test_a_reshape_that_changes_nothing_calls_no_node(start, engine):
    net = start(network("ring", 4, SLOW))
    net.backend.events.clear()
    assert net.reshape(slow((0, 1))).changed == ()
    assert net.backend.events == ["call nothing"]


def test_where_one_node_refuses_the_others_go_back(start, engine, store):
    plan = network("ring", 4, shape(delay="1ms"))
    net = start(plan)
    engine.refuse = {(2, 3)}
    with pytest.raises(NodeError, match=f"node {engine.enforced_at((2, 3))}: shape edge 2->3: refused"):
        net.reshape(slow(*plan.edges))
    engine.refuse = set()
    assert {reading.applied.delay.ns for pair, reading in net.applied().items()} == {1_000_000}
    assert store.load("net").network_plan == plan


@pytest.mark.parametrize("causes", [("refused", "its node is gone"), ("refused", "refused")])
def test_where_going_back_fails_too_the_first_error_is_raised(start, engine, monkeypatch, causes):
    net = start(network("ring", 4, shape(delay="1ms")))
    calls = []

    def call(self, tasks):
        calls.append(tasks)
        raise NodeError(2, "shape edge 2->3", causes[len(calls) - 1])

    monkeypatch.setattr(FakeBackend, "call", call)
    with pytest.raises(NodeError, match="refused") as caught:
        net.reshape(slow((2, 3)))
    assert len(calls) == 2
    notes = [f"going back to the old links failed too: node 2: shape edge 2->3: {causes[1]}"]
    assert getattr(caught.value, "__notes__", []) == (notes if causes[0] != causes[1] else []), "none is said twice"


def test_an_interrupt_waits_until_kernel_and_record_agree(start, engine, store, monkeypatch):
    net = start(network("ring", 4, shape(delay="1ms")))
    perform = engine.apply

    def apply(node, touched=()):
        signal.raise_signal(signal.SIGINT)
        return perform(node, touched)

    monkeypatch.setattr(engine, "apply", apply)
    with pytest.raises(KeyboardInterrupt):
        net.reshape(slow((0, 1), (1, 0)))
    assert store.load("net").network_plan.edge(1, 0).shape == SLOW
    assert net.applied()[1, 0].applied.delay == SLOW.delay


def test_where_the_record_cannot_be_written_the_links_go_back(start, store, monkeypatch):
    net = start(network("ring", 4, shape(delay="1ms")))

    def full(self, record, change):
        raise OSError("no space left")

    monkeypatch.setattr(type(store), "amend", full)
    with pytest.raises(OSError, match="space"):
        net.reshape(slow((0, 1)))
    assert net.applied()[0, 1].applied.delay.ns == 1_000_000


def test_the_first_need_for_single_packets_reaches_every_node(start, engine):
    net = start(network("ring", 4))
    engine.log.clear()
    done = net.reshape(lambda plan: plan.changed([replace(plan.edge(0, 1), shape=shape(loss="1%"))]))
    assert done.segments_cut
    assert not net.reshape(slow((0, 1))).segments_cut


def test_a_reshape_tells_how_long_what_waits_keeps_its_old_rate(start, engine):
    """100 kB queued at 1 Mbit/s and 200 ms: 25 kB of it are in flight, the rest waits for 0.6 s."""

    def at(rate):
        return lambda plan: plan.changed([replace(plan.edge(0, 1), shape=shape(rate=rate, delay="200ms"))])

    net = start(network("line", 2, shape(rate="1mbit", delay="200ms")))
    engine.stats = Stats(backlog_bytes=100_000)
    assert net.reshape(at("1mbit")).old_rate_s == {}
    assert net.reshape(at("100mbit")).old_rate_s == {(0, 1): pytest.approx(0.6)}
    assert net.reshape(at("1mbit")).old_rate_s == {}, "10 ms are not worth a word"
    engine.fixes_departures = False
    assert net.reshape(at("100mbit")).old_rate_s == {}


def test_the_first_shaped_edge_has_every_node_drop_what_crosses_none(start, engine):
    net = start(network("line", 4))
    assert not any(tree.sealed for tree in engine.trees.values())
    net.reshape(slow((0, 1)))
    assert {rank for rank, tree in engine.trees.items() if tree.sealed} == {0, 1, 2, 3}
    engine.log.clear()
    net.reshape(slow((2, 3)))
    assert {rank for rank, _ in engine.log} == {engine.enforced_at((2, 3))}


def test_a_reshape_sees_what_another_command_changed(start, store):
    net = start(network("ring", 4))
    other = Network(store.load("net"), store)
    other.reshape(slow((1, 2)))
    net.reshape(slow((0, 1)))
    assert {pair for pair, edge in net.plan.edges.items() if edge.shape == SLOW} == {(0, 1), (1, 2)}


def test_names(start, store):
    net = start(network("line", 2), "one")
    with pytest.raises(NetworkStateError, match="'one' is already up"):
        start(network("line", 2), "one")
    found = Network(store.load("one"), store)
    assert (found.name, found.plan, found.backend.alive) == ("one", net.plan, True)
    net.down()
    assert store.load("one") is None


def test_a_dead_network_gives_its_name_back(start, store):
    start(network("line", 2), "one")
    FakeBackend.living.clear()
    start(network("line", 3), "one")
    assert store.load("one").network_plan.size == 3


def test_removing_is_idempotent(start, store):
    start(network("line", 2), "one")
    assert remove("one", store)
    assert not remove("one", store)
    assert not FakeBackend.living


def test_a_shape_that_a_node_does_not_report_is_an_error(start, engine, monkeypatch):
    net = start(network("line", 2, shape(delay="1ms")))
    monkeypatch.setattr(FakeEngine, "apply", lambda self, node, touched=(): self.observe(node))
    words = f"node {engine.enforced_at((0, 1))}: shape edge 0->1: "
    words += "the engine accepted the change but reports something else: delay_ns 1000000 "
    with pytest.raises(NodeError, match=words):
        net.reshape(slow((0, 1)))


def test_where_cleaning_up_fails_too_the_first_error_is_told_and_no_record_stays(start, engine, store, monkeypatch):
    def stuck(self):
        raise HarnessError("the keeper does not end")

    monkeypatch.setattr(FakeBackend, "destroy", stuck)
    engine.refuse = {(1, 2)}
    with pytest.raises(NodeError, match="shape edge 1->2") as caught:
        start(network("ring", 3, shape(delay="1ms")))
    assert "the keeper does not end" in caught.value.__notes__[0]
    assert store.names() == []


def test_where_cleaning_up_is_interrupted_no_record_stays(start, engine, store, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeBackend, "destroy", interrupted)
    engine.refuse = {(1, 2)}
    with pytest.raises(KeyboardInterrupt):
        start(network("ring", 3, shape(delay="1ms")))
    assert store.names() == []


def test_a_damaged_registration_is_removed(start, store, tmp_path):
    start(network("line", 2), "one")
    (tmp_path / "bad.json").write_text("{")
    told = []
    assert remove("bad", store, told.append)
    assert "the registration of network 'bad' was damaged and is removed" in told[0]
    assert store.names() == ["one"]


# Capacity that edges share


UPLINK = NodeShape(uplink=Capacity(Rate(5 * 10**6)))


def regions():
    """Four nodes that are all joined, two in each of two regions; every edge has a rate of 1 Mbit/s."""
    return replace(network("full", 4, shape(rate="1mbit")), regions={"eu": (0, 1), "us": (2, 3)})


def trunks(**mbit):
    """Sets trunks between eu and us: ``there`` and ``back``, in Mbit/s; those not given are taken away."""
    ways = {"there": ("eu", "us"), "back": ("us", "eu")}
    return lambda plan: replace(plan, trunk_capacities={ways[k]: Capacity(Rate(m * 10**6)) for k, m in mbit.items()})


def test_a_nodes_limit_changes_at_that_node_alone(start, engine, store):
    net = start(network("ring", 4, shape(rate="1mbit")))
    engine.log.clear()
    done = net.reshape(lambda plan: plan.with_nodes({2: UPLINK}))
    assert engine.log == [(2, ["uplink"])]
    assert (done.changed, done.nodes, done.trunks) == ((), (2,), ())
    assert net.observe()[2].caps["uplink"].applied == UPLINK.uplink
    assert store.load("net").network_plan == net.plan
    assert net.plan.nodes == {2: UPLINK}
    net.reshape(lambda plan: plan.with_nodes({2: NodeShape()}))
    assert net.observe()[2].caps == {}
    assert store.load("net").network_plan.nodes == {}


def test_the_first_limit_of_an_unshaped_network_has_every_node_drop_what_crosses_no_edge(start, engine):
    net = start(network("line", 4))
    net.reshape(lambda plan: plan.with_nodes({0: UPLINK}))
    assert {rank for rank, tree in engine.trees.items() if tree.sealed} == {0, 1, 2, 3}


@pytest.mark.parametrize("refused", [1, 2])
def test_where_a_node_refuses_its_limit_the_others_go_back(start, engine, store, refused):
    plan = network("ring", 4, shape(rate="1mbit"))
    net = start(plan)
    engine.refuse_caps = {refused}
    with pytest.raises(NodeError, match=f"node {refused}: limit it: refused"):
        net.reshape(lambda plan: plan.with_nodes({1: UPLINK, 2: UPLINK}))
    assert {rank: node.caps for rank, node in net.observe().items() if node.caps} == {}
    assert net.plan == store.load("net").network_plan == plan


def test_a_limit_that_a_node_does_not_report_is_an_error_and_taken_back(start, engine, monkeypatch):
    """As an agent of an older image, which knows no limits."""
    net = start(network("ring", 4, shape(rate="1mbit")))
    observe = engine.observe
    monkeypatch.setattr(engine, "observe", lambda node: replace(observe(node), caps={}))
    with pytest.raises(NodeError, match="node 2: limit uplink: it reports no such limit"):
        net.reshape(lambda plan: plan.with_nodes({2: UPLINK}))
    assert engine.caps[2] == {}


def test_a_trunk_is_made_by_the_bridge_or_by_the_nodes_that_receive(start, engine, store):
    net = start(regions())
    engine.log.clear()
    net.backend.events.clear()
    done = net.reshape(trunks(there=10))
    assert (done.changed, done.nodes, done.trunks) == ((), (), (("eu", "us"),))
    if engine.shapes_bridge:
        assert net.backend.events == ["call nothing", "apply trunks"]
    else:
        assert engine.log == [(2, ["trunk eu->us"]), (3, ["trunk eu->us"])]
    assert {name: status.applied.rate.bit_s for name, status in net.trunks().items()} == {"eu->us": 10**7}
    assert store.load("net").network_plan == net.plan
    assert net.reshape(trunks(back=5)).trunks == (("eu", "us"), ("us", "eu"))
    assert {name: status.applied.rate.bit_s for name, status in net.trunks().items()} == {"us->eu": 5 * 10**6}
    net.reshape(trunks())
    assert net.trunks() == {}
    assert not any(engine.caps.values())


def test_what_several_nodes_count_of_a_trunk_is_one_sum(start, engine):
    net = start(trunks(there=10)(regions()))
    engine.stats = Stats(10, 1000, 1, 50, 2)
    times = 1 if engine.shapes_bridge else 2
    assert net.trunks()["eu->us"].stats == Stats(10 * times, 1000 * times, times, 50 * times, 2 * times)


def test_a_trunk_that_is_not_held_is_an_error_and_taken_back(start, engine, store):
    net = start(trunks(back=5)(regions()))
    engine.wrong_caps = {"trunk eu->us"}
    with pytest.raises(HarnessError, match=r"limit trunk eu->us: the engine accepted the change but reports something"):
        net.reshape(trunks(there=10, back=6))
    engine.wrong_caps = set()
    assert {name: status.applied.rate.bit_s for name, status in net.trunks().items()} == {"us->eu": 5 * 10**6}
    assert store.load("net").network_plan == net.plan


def test_an_impossible_change_is_refused_before_anything_is_changed(start, engine):
    net = start(regions())
    net.backend.refuses = "not here"
    engine.log.clear()
    net.backend.events.clear()
    with pytest.raises(InputError, match="not here"):
        net.reshape(trunks(there=10))
    assert (engine.log, net.backend.events) == ([], [])


def test_an_impossible_network_is_refused_before_anything_is_made(store, engine):
    backend = FakeBackend(engine)
    backend.refuses = "not here"
    with pytest.raises(InputError, match="not here"):
        Network.up("net", regions(), backend, store)
    assert (backend.events, store.names()) == ([], [])


# Reshapes on record


def changes(folder):
    path = folder / "changes.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_reshape_is_recorded_with_what_was_and_what_is(start, tmp_path):
    net = start(network("ring", 3, shape(delay="1ms")))
    net.record_in(tmp_path)
    before = time.time()
    net.reshape(slow((0, 1), (1, 0)))
    net.reshape(lambda plan: plan.changed([replace(plan.edge(1, 2), down=True)]))
    first, second = changes(tmp_path)
    assert list(first) == ["asked", "acknowledged", "edges", "nodes", "trunks"]
    assert first["nodes"] == first["trunks"] == []
    assert before <= first["asked"] <= first["acknowledged"] <= second["asked"] <= second["acknowledged"] <= time.time()
    assert [(edge["src"], edge["dst"]) for edge in first["edges"]] == [(0, 1), (1, 0)]
    for edge in first["edges"]:
        assert LinkShape.from_json(edge["before"]) == shape(delay="1ms")
        assert LinkShape.from_json(edge["after"]) == SLOW
    (edge,) = second["edges"]
    assert (edge["before"]["down"], edge["after"]["down"]) == (False, True)


def test_a_share_of_a_cpu_that_the_kernel_does_not_hold_is_refused_and_taken_back(start):
    net = start(network("ring", 3))
    net.reshape(lambda plan: plan.with_nodes({1: NodeShape(cpu=CpuShare(250))}))
    assert net.observe([1])[1].cpu.applied == CpuShare(250)
    net.backend.wrong_cpus = {2}
    with pytest.raises(NodeError, match=r"node 2: limit cpu: .*reports something else: no limit for 50%"):
        net.reshape(lambda plan: plan.with_nodes({1: NodeShape(), 2: NodeShape(cpu=CpuShare(500))}))
    assert net.plan.nodes == {1: NodeShape(cpu=CpuShare(250))}
    assert net.backend.cpus == {1: CpuShare(250), 2: None}


def test_limits_are_recorded_with_what_was_and_what_is(start, tmp_path):
    net = start(regions())
    net.record_in(tmp_path)
    net.reshape(lambda plan: trunks(there=10)(plan.with_nodes({1: UPLINK})))
    net.reshape(trunks())
    first, second = changes(tmp_path)
    none = {"uplink": None, "downlink": None, "cpu": None}
    assert first["nodes"] == [{"rank": 1, "before": none, "after": UPLINK.to_json()}]
    trunk = Capacity(Rate(10**7)).to_json()
    assert first["trunks"] == [{"from": "eu", "to": "us", "before": None, "after": trunk}]
    assert second == second | {
        "edges": [],
        "nodes": [],
        "trunks": [{**first["trunks"][0], "before": trunk, "after": None}],
    }


def test_a_reshape_by_who_made_the_network_is_recorded_where_others_know_another_time_of_its_beginning(
    start, store, tmp_path, monkeypatch
):
    """As with containers, of which Docker says when they were made."""
    load = store.load

    def by_another_clock(name, known=None):
        return replace(load(name), created=known.created if known else 5.0)

    net = start(network("ring", 3))
    monkeypatch.setattr(type(store), "load", staticmethod(by_another_clock))
    net.record_in(tmp_path)
    net.reshape(slow((0, 1)))
    assert len(changes(tmp_path)) == 1


def test_another_commands_reshape_is_recorded_too(start, store, tmp_path):
    start(network("ring", 3)).record_in(tmp_path)
    Network(store.load("net"), store).reshape(slow((0, 1)))
    assert len(changes(tmp_path)) == 1


def test_nothing_is_recorded_where_nobody_asked_or_nothing_changed(start, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = start(network("ring", 3))
    net.reshape(slow((0, 1)))
    net.record_in(tmp_path / "run")
    net.reshape(slow((0, 1)))
    assert not list(tmp_path.rglob("changes.jsonl"))


def test_a_reshape_that_was_refused_is_not_recorded(start, engine, tmp_path):
    net = start(network("ring", 3, shape(delay="1ms")))
    net.record_in(tmp_path)
    engine.refuse = {(0, 1)}
    with pytest.raises(NodeError):
        net.reshape(slow((0, 1)))
    assert changes(tmp_path) == []


def test_a_record_that_cannot_be_written_is_told_and_the_links_are_changed(start, tmp_path):
    net = start(network("ring", 3, shape(delay="1ms")))
    net.record_in(tmp_path)
    (tmp_path / "changes.jsonl").mkdir()
    with pytest.raises(
        HarnessError, match=r"^the links are changed, but the change could not be recorded: .*changes\.jsonl cannot be"
    ):
        net.reshape(slow((0, 1)))
    assert net.applied()[0, 1].applied.delay == SLOW.delay
    assert net.plan.edge(0, 1).shape == SLOW


def test_the_record_ends_with_the_network(start, store, tmp_path):
    net = start(network("ring", 3))
    net.record_in(tmp_path)
    net.down()
    assert store.recording("net") is None
    start(network("ring", 3)).reshape(slow((0, 1)))
    assert changes(tmp_path) == []


def test_a_new_network_is_not_recorded_where_a_killed_command_wanted(start, store, tmp_path):
    """Of a network of containers, only this file is on this machine."""
    store.record_in("net", tmp_path)
    start(network("ring", 3)).reshape(slow((0, 1)))
    assert changes(tmp_path) == []


def test_the_recording_of_an_earlier_network_of_that_name_is_ignored(start, store, tmp_path):
    """Docker Compose starts networks past Network.up."""
    net = start(network("ring", 3))
    store.record_in("net", tmp_path, created=1.0)
    net.reshape(slow((0, 1)))
    assert changes(tmp_path) == []
