"""Custom topologies from YAML and CSV: shapes per direction, and one clear line for bad files."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import TopologyError
from harness.model.link import UNSHAPED, LinkShape
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Ratio, Time

EXAMPLES = Path(__file__).parents[3] / "examples" / "topologies"
MS = 10**6


@pytest.fixture(autouse=True)
def _directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def build(text, nodes=None, seed=0):
    Path("my.yaml").write_text(text)
    return build_topology("my.yaml", nodes, seed)


def matrix(delay, rate=None, nodes=None):
    Path("d.csv").write_text(delay)
    if rate is None:
        return build_topology("matrix:delay=d.csv", nodes)
    Path("r.csv").write_text(rate)
    return build_topology("matrix:delay=d.csv,rate=r.csv", nodes)


def test_both_directions_one_each_and_none():
    topology = build(
        "description: x\nnodes: 3\nedges:\n- {between: [1, 0], delay: 20ms, rate: 10MB/s}\n"
        "- {from: 2, to: 1, delay: 5ms}\n- {from: 1, to: 2}\n- between: [0, 2]\n"
    )
    both = LinkShape(delay=Time(20 * MS), rate=Rate(80 * MS))
    assert topology.name == "my"
    assert (topology.edge(0, 1).forward, topology.edge(0, 1).backward) == (both, both)
    assert (topology.edge(1, 2).forward, topology.edge(1, 2).backward) == (None, LinkShape(delay=Time(5 * MS)))
    assert (topology.edge(0, 2).forward, topology.edge(0, 2).backward) == (None, None)


def test_nodes_may_be_left_out():
    assert build("edges: [{between: [0, 1]}, {between: [1, 2]}]").size == 3
    assert build("edges: [{between: [0, 1]}]", nodes=2).size == 2
    assert build("nodes: 1").edges == ()


def test_without_edges_all_are_joined():
    assert build("nodes: 3").edges == build_topology("full", 3).edges


def test_ranges_are_drawn_for_the_seed():
    text = "edges: [{between: [0, 1], delay: [10ms, 20ms]}]"
    one, same, other = build(text, seed=1), build(text, seed=1), build(text, seed=2)
    assert one == same != other
    assert Time(10 * MS) <= one.edges[0].forward.delay <= Time(20 * MS)
    assert one.edges[0].forward == one.edges[0].backward


def test_a_profile_per_edge_by_name_and_by_path_beside_the_file(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "slow.yaml").write_text("delay: 300ms\nloss: 1%\n")
    (tmp_path / "sub" / "t.yaml").write_text(
        "edges:\n- {between: [0, 1], profile: wan}\n- {between: [1, 2], profile: slow.yaml, loss: 2%}\n"
        "- {between: [0, 2], profile: none}\n"
    )
    topology = build_topology("sub/t.yaml", None, 5)
    assert topology.edge(0, 1).forward == load_profile("wan").sample(5, 0, 1)
    assert topology.edge(1, 2).backward == LinkShape(delay=Time(300 * MS), loss=Ratio(Fraction(2, 100)))
    assert topology.edge(0, 2).forward == UNSHAPED


def test_matrix_of_delays_takes_the_rest_from_the_profile():
    topology = matrix("# two sites and a relay\n-, 20ms,\n25ms, -, 1ms\n, 1ms, -\n")
    assert [(edge.a, edge.b) for edge in topology.edges] == [(0, 1), (1, 2)]
    drawn = load_profile("wan").sample(0, 0, 1)
    there, back = topology.edge(0, 1).shapes(drawn)
    assert (there.delay, back.delay) == (Time(20 * MS), Time(25 * MS))
    assert there.rate == back.rate == drawn.rate
    assert there.loss == drawn.loss
    assert there.jitter == Time(2 * MS)


def test_matrix_of_delays_and_rates():
    topology = matrix("0,20ms\n25ms,0\n", "-,10MB/s\n5MB/s,-\n", nodes=2)
    assert topology.edges[0].shapes(UNSHAPED) == (
        LinkShape(delay=Time(20 * MS), rate=Rate(80 * MS)),
        LinkShape(delay=Time(25 * MS), rate=Rate(40 * MS)),
    )
    assert topology.edges[0].shapes(LinkShape(rate=Rate(800)))[0].rate == Rate(80 * MS)


def test_the_examples_make_sense():
    topology = build_topology(str(EXAMPLES / "three-continents.yaml"))
    assert topology.size == 6
    assert topology.edge(2, 4).forward != topology.edge(2, 4).backward
    assert topology.edge(4, 5).forward is None
    assert Time(80 * MS) <= topology.edge(0, 4).forward.delay <= Time(100 * MS)
    assert topology.next_hops()[1][5] == 0
    homes = PlanOptions(topology=str(EXAMPLES / "homes-and-cloud.yaml"), profile="home", between="home").plan()
    assert homes.node_shape(0) == load_profile("home").sample_node(0, 0)
    assert (homes.node_shape(3).uplink.rate, homes.node_shape(5).uplink.rate) == (Rate(2 * MS), Rate(5000 * MS))
    assert [len(trunk.edges) for trunk in homes.trunks] == [8, 8]
    cities = build_topology(f"matrix:rtt={EXAMPLES / 'cities-rtt.csv'},unit=ms")
    assert (cities.name, cities.edge(0, 1).forward.delay) == ("cities-rtt (RTT halved)", Time(40 * MS))
    spec = ",".join(f"{key}={EXAMPLES}/three-continents-{key}.csv" for key in ("delay", "rate"))
    assert build_topology(f"matrix:{spec}").edge(1, 2).forward == LinkShape(delay=Time(110 * MS), rate=Rate(240 * MS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes: 4\nedges: [{between: [0, 1]}, {between: [2, 3]}]", "falls into 2 parts that no edge joins: 0,1 | 2,3"),
        ("nodes: 2\nedges: []", "falls into 2 parts"),
        (
            "nodes: 2\nuplink: 20mbit",
            "unknown key 'uplink'; what a node's edges share stands under caps: {all: {uplink",
        ),
        ("edges: [{between: [0, 1], downlink: 5mbit}]", "edges[0]: unknown key 'downlink'; what a node's edges share"),
        ("nodes: 2000", "my.yaml of 2000 nodes has over 500000 edges"),
        ("{}", "neither nodes nor edges"),
        ("edges: []", "neither nodes nor edges"),
        ("edges:", "edges: nothing where a list is expected"),
        ("edges: 5", "edges: '5' where a list is expected"),
        ("edges: [5]", "edges[0]: '5' where a mapping is expected"),
        ("nodes: 0\nedges: []", "my.yaml:1: nodes: 0 nodes: give a number from 1 to 4094"),
        ("nodes: 99999", "99999 nodes"),
        ("nodes: four", "nodes: 'four' where a number of nodes"),
        ("nodes: -1", "'-1' where a number of nodes"),
        ("node: 4", "unknown key 'node'; did you mean 'nodes'?"),
        (
            "nodes: 2\nedges:\n- {between: [0, 2]}",
            "my.yaml:3: edges[0]: there is no rank 2; with nodes: 2, ranks are 0 to 1",
        ),
        ("edges:\n- {from: 0, to: 1, delay: 5ms}", "edge 0->1 has no 1->0; add an entry with from: 1, to: 0"),
        ("edges:\n- {from: 0}", "either between: [A, B], for both directions, or from: A and to: B"),
        ("edges:\n- {delay: 5ms}", "either between"),
        ("edges:\n- {between: [0, 1], from: 0, to: 1}", "either between"),
        ("edges:\n- {between: 0-1}", "edges[0].between: '0-1' where a list is expected"),
        ("edges:\n- {between: [0, 1, 2]}", "this list has 3"),
        ("edges:\n- {between: [0, 0]}", "rank 0 needs no edge to itself"),
        ("edges:\n- {between: [0, -1]}", "edges[0].between[1]: '-1' where a rank"),
        ("edges:\n- {between: [0, true]}", "the truth value true where a rank"),
        ("edges:\n- {between: [0, 99999999]}", "no rank 99999999"),
        (
            "edges:\n- {between: [0, 1]}\n- {from: 1, to: 0}",
            "my.yaml:3: edges[1]: 1->0 is given twice (first in line 2)",
        ),
        (
            "edges:\n- {between: [0, 1], profile: wam}",
            "edges[0].profile: profile 'wam' is unknown; did you mean 'wan'?",
        ),
        ("edges:\n- {between: [0, 1], profile: ./x.yaml}", "edges[0].profile: x.yaml: there is no such file"),
        ("edges:\n- {between: [0, 1], delay: 50}", "my.yaml:2: edges[0].delay: '50' is not a time"),
        ("edges:\n- {between: [0, 1], latency: 5ms}", "unknown key 'latency'; did you mean 'delay'?"),
        ("edges:\n- {between: [0, 1], delay: 5ms, jitter: 1s}", "edges[0].jitter: jitter 1s is over the delay 5ms"),
        ("edges:\n- {between: [0, 1], burst: 16KiB}", "burst needs a rate"),
    ],
)
def test_bad_yaml(text, words):
    with pytest.raises(TopologyError) as caught:
        build(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("my.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("delay", "rate", "words"),
    [
        ("-,20\n20ms,-", None, "d.csv:1: row 0, column 1 (0->1): '20' is not a time: it has no unit"),
        ("# x\n\n-,20ms\n,-", None, "d.csv:4: row 1, column 0 (1->0): no delay, but 0->1 has one"),
        ("-,20ms\n-20ms,-", None, "d.csv:2: row 1, column 0 (1->0): '-20ms': a time cannot be negative"),
        ("-,300s\n300s,-", None, "over 275s"),
        ("-,20ms", None, "row 0 has 2 cells, but there are 1 rows; the matrix must be square"),
        ("-,20ms,1ms\n20ms,-", None, "d.csv:1: row 0 has 3 cells"),
        ("a,b\n-,1ms,2ms\n1ms,-,3ms,4ms", None, "row 0 has 3 cells, but there are 2 rows; the matrix must be square"),
        ("-,-\n-,-", None, "falls into 2 parts"),
        ("", None, "d.csv is empty"),
        ("# only a comment\n", None, "d.csv is empty"),
        ("-,1ms\n1ms,-", "-,1MB/s\n-,-", "r.csv:2: row 1, column 0 (1->0): no rate, but d.csv has a delay there"),
        ("-,1ms\n1ms,-", "-,8\n8,-", "r.csv:1: row 0, column 1 (0->1): '8' is not a rate"),
        ("-,1ms\n1ms,-", "-", "r.csv is for 1 nodes, but d.csv for 2"),
        (
            "-,1ms,\n1ms,-,1ms\n,1ms,-",
            "-,1MB/s,1MB/s\n1MB/s,-,1MB/s\n,1MB/s,-",
            "d.csv:1: row 0, column 2 (0->2): no delay, but r.csv has a rate there",
        ),
        ("-,1ms\n" + "9" * 200_000 + ",-", None, "d.csv:2: this is not CSV"),
    ],
)
def test_bad_matrices(delay, rate, words):
    with pytest.raises(TopologyError) as caught:
        matrix(delay, rate)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("matrix", "write it as matrix:delay="),
        ("matrix:", "write it as matrix:delay="),
        ("matrix:delays.csv", "write it as matrix:delay="),
        ("matrix:delay=", "write it as matrix:delay="),
        ("matrix:delay=a.csv,delay=b.csv", "write it as matrix:delay="),
        ("matrix:rate=a.csv", "has no delay"),
        ("matrix:delya=a.csv", "unknown key 'delya'; did you mean 'delay'?"),
        ("matrix:delay=missing.csv", "missing.csv: there is no such file"),
        ("delays.csv", "write matrix:delay=delays.csv,rate=rates.csv"),
        ("./missing.yaml", "there is no such file"),
        ("/", "is a directory"),
        ("/proc/self/mem", "cannot be read"),
    ],
)
def test_bad_specs(spec, words):
    with pytest.raises(TopologyError) as caught:
        build_topology(spec)
    assert words in str(caught.value)


def test_a_clash_with_the_number_of_nodes():
    with pytest.raises(TopologyError, match=r"my\.yaml has 2 nodes, but --nodes is 5"):
        build("edges: [{between: [0, 1]}]", nodes=5)
    with pytest.raises(TopologyError, match=r"d\.csv has 2 nodes, but --nodes is 5"):
        matrix("-,1ms\n1ms,-", nodes=5)


@given(st.text("-,0123456789msMB/\"'#;\n \0é"))
def test_any_matrix_loads_or_is_refused(text):
    told = ""
    try:
        matrix(text)
    except TopologyError as error:
        told = str(error)
    assert "\n" not in told


@given(st.text("nodes: edgbtwfrm[]{}0123,\n-#&*"))
def test_any_yaml_loads_or_is_refused(text):
    told = ""
    try:
        build(text)
    except TopologyError as error:
        told = str(error)
    assert "\n" not in told
