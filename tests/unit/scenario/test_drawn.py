"""Links and nodes that follow a model in a scenario."""

from itertools import islice

import pytest

from harness.errors import InputError
from harness.model.plan_options import PlanOptions
from harness.model.units import Rate, Ratio, Time
from harness.scenario.models.catalogue import MODELS
from harness.scenario.scenario_file import load_scenario


@pytest.fixture
def load(tmp_path):
    def write_and_load(keys, seed=0):
        path = tmp_path / "s.yaml"
        path.write_text(f"seed: {seed}\nevents:\n  - {{at: 1s, trace: {{{keys}}}}}\n")
        return load_scenario(path)

    return write_and_load


def plan(**options):
    return PlanOptions(**{"nodes": 3, "profile": "wan", **options}).plan()


def first(scenario, count):
    return list(islice(scenario.agenda(), count))


def after(scenario, count, network):
    for due in first(scenario, count):
        network = due.edit(network)
    return network


def sample(model, seed, way, index=0, step=0.1):
    return next(islice(MODELS[model].draw(seed, way, step), index, None))


def test_an_edge_follows_and_each_direction_draws_its_own(load):
    scenario = load("edge: 1-0, model: lte-drive, seed: 3")
    assert not scenario.ends
    assert [round(due.at, 3) for due in first(scenario, 3)] == [1, 1.1, 1.2]
    network, before = after(scenario, 3, plan()), plan()
    for pair, way in (((1, 0), "up"), ((0, 1), "down")):
        drawn, shape = sample("lte-drive", "3:1-0", way, 2), network.edges[pair].shape
        assert shape == before.edges[pair].shape.changed(rate=drawn.exact_rate, delay=drawn.exact_delay, jitter=Time(0))
    assert network.edges[0, 2] == before.edges[0, 2]
    up, down = (sample("lte-drive", "3:1-0", way) for way in ("up", "down"))
    assert first(scenario, 1)[0].text == (
        f"trace 1-0 lte-drive: up {up.rate / 1e6:.1f} Mbit/s {up.delay * 1e3:.1f} ms,"
        f" down {down.rate / 1e6:.1f} Mbit/s {down.delay * 1e3:.1f} ms"
    )


def test_one_way_is_what_the_first_rank_sends(load):
    network = after(load("edge: 1-0, model: lte-drive, one_way: true, seed: 3"), 1, plan())
    assert network.edges[1, 0].shape.rate == sample("lte-drive", "3:1-0", "up").exact_rate
    assert network.edges[0, 1] == plan().edges[0, 1]


def test_all_edges_follow_with_the_higher_rank_as_the_device(load):
    scenario = load("edge: all, model: wifi-busy", seed=7)
    network = after(scenario, 2, plan())
    assert first(scenario, 1)[0].text == "trace all wifi-busy"
    for a, b in network.edges:
        way = "up" if a > b else "down"
        assert network.edges[a, b].shape.rate == sample("wifi-busy", f"7:{max(a, b)}-{min(a, b)}", way, 1).exact_rate


def test_a_node_has_the_rates_alone(load):
    network = after(load("node: 2, model: starlink, scale: 0.5"), 1, plan(uplink="1mbit"))
    shape = network.node_shape(2)
    assert shape.uplink.rate == sample("starlink", "0:node 2", "up").scaled(0.5).exact_rate
    assert shape.downlink.rate == sample("starlink", "0:node 2", "down").scaled(0.5).exact_rate
    assert network.edges == plan().edges
    one = load("node: 2, side: downlink, model: starlink")
    assert after(one, 1, plan()).node_shape(2).uplink is None
    assert first(one, 1)[0].text.startswith("trace node 2 downlink starlink: downlink ")


def test_several_nodes_draw_apart(load):
    scenario = load("node: [1, 2], side: uplink, model: lte-drive")
    assert first(scenario, 1)[0].text == "trace node 1,2 uplink lte-drive"
    network = after(scenario, 1, plan())
    rates = [network.node_shape(rank).uplink.rate for rank in (1, 2)]
    assert rates == [sample("lte-drive", f"0:node {rank}", "up").exact_rate for rank in (1, 2)]
    assert network.node_shape(0).uplink is None


def test_offset_and_speed_are_of_the_models_time(load):
    network = after(load("edge: 0-1, model: starlink, offset: 12s, speed: 3, step: 1s"), 2, plan())
    assert network.edges[0, 1].shape.rate == sample("starlink", "0:0-1", "up", 4 + 1, step=3.0).exact_rate


def test_a_change_that_is_made_again_is_the_same(load):
    dues = first(load("edge: all, model: lte-drive"), 5)
    made = [due.edit(plan()) for due in dues]
    assert [due.edit(plan()) for due in reversed(dues)] == made[::-1]


def test_losses_of_a_model_take_the_place_of_a_links_own(load, tmp_path):
    (tmp_path / "lossy.yaml").write_text("delay: 5ms\njitter: 5ms\ngilbert_elliott: {p: 1%, r: 20%}\n")
    scenario = load("edge: all, model: starlink")
    network = plan(profile=str(tmp_path / "lossy.yaml"))
    scenario.check(network)
    shapes = [edge.shape for edge in after(scenario, 1, network).edges.values()]
    assert {shape.loss for shape in shapes} == {Ratio.parse("0%")}
    assert {shape.gilbert_elliott for shape in shapes} == {None}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("edge: 0-1", "trace: give file: a CSV file or a packet-delivery trace, or model: see harness scenarios"),
        ("edge: 0-1, file: a.csv, model: starlink", "give file: a CSV file or a packet-delivery trace, or model"),
        ("edge: 0-1, model: starlnk", r"trace.model: model 'starlnk' is unknown; .*starlink"),
        ("edge: 0-1, model: starlink, loop: true", "loop does not go with model"),
        ("edge: 0-1, file: a.csv, step: 1s", "step does not go with file"),
        ("edge: 0-1, file: a.csv, seed: 1", "seed does not go with file"),
        ("edge: 0-1, model: starlink, step: 1us", "'1us' is under 1 ms"),
        ("edge: 0-1, model: starlink, seed: -1", "'-1' where a seed is expected"),
        ("model: starlink", "edge is missing"),
        ("node: [], model: starlink", "trace.node: give a rank, several as"),
        ("node: 1, side: both, model: starlink", "give side: uplink or downlink"),
    ],
)
def test_wrong_input_is_refused(load, keys, words):
    with pytest.raises(InputError, match=words):
        load(keys)


@pytest.mark.parametrize("keys", ["edge: 0-7", "node: 7", "edge: '7-0,0-1'"])
def test_edges_and_nodes_that_are_missing_are_refused_before_it_begins(load, keys):
    with pytest.raises(InputError, match=r"s.yaml:3: events\[0\].trace: there is no rank 7"):
        load(f"{keys}, model: lte-drive").check(plan())


def test_the_slowest_sample_is_a_rate():
    assert sample("starlink", "0", "down").scaled(1e-9).exact_rate == Rate(1000)
