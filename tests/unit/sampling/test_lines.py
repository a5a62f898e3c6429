"""The lines of links.jsonl and flows.jsonl."""

import json

from harness.netlink.tcp_info import TcpInfo
from harness.sampling.flow_table import FlowNews, FlowProperties
from harness.sampling.lines import LinkLines, flow_lines
from harness.sampling.node import NodeSample

NO_FLOWS = FlowNews([], [], [])


def node(edges, tcp=(0, 0), flows=NO_FLOWS, caps=None):
    return NodeSample(edges, tcp, flows, caps or {})


def test_a_full_line_has_everything():
    line = LinkLines(2).line(1000.25, {1: node({(0, 1): (1, 2, 3, 4, 5)}, (6, 7))}, full=True)
    assert json.loads(line) == {
        "time": 1000.25,
        "attempt": 2,
        "edges": [
            {
                "src": 0,
                "dst": 1,
                "sent_packets": 1,
                "sent_bytes": 2,
                "dropped": 3,
                "backlog_bytes": 4,
                "backlog_packets": 5,
            }
        ],
        "tcp": {"1": {"sent_segments": 6, "retransmitted_segments": 7}},
    }


def test_what_did_not_change_is_left_out():
    lines = LinkLines(1)
    lines.line(1.0, {0: node({(1, 0): (1, 1, 0, 0, 0), (2, 0): (5, 5, 0, 0, 0)}), 1: node({})}, full=True)
    later = {0: node({(1, 0): (2, 2, 0, 0, 0), (2, 0): (5, 5, 0, 0, 0)}), 1: node({}, (3, 0))}
    line = lines.line(1.1, later, full=False)
    found = json.loads(line)
    assert [(edge["src"], edge["sent_bytes"]) for edge in found["edges"]] == [(1, 2)]
    assert list(found["tcp"]) == ["1"]


def test_capacities_stand_beside_edges_where_there_are_any():
    lines = LinkLines(1)
    counts = {"uplink 0": (1, 2, 3, 4, 5), "trunk eu->us": (5, 4, 3, 2, 1)}
    found = json.loads(lines.line(1.0, {0: node({}, caps=counts), 1: node({}, caps=counts)}, full=True))
    named = ("sent_packets", "sent_bytes", "dropped", "backlog_bytes", "backlog_packets")
    assert found["caps"] == [{"name": name, **dict(zip(named, values, strict=True))} for name, values in counts.items()]
    later = {0: node({}, caps={**counts, "uplink 0": (2, 3, 3, 4, 5)}), 1: node({})}
    assert [cap["name"] for cap in json.loads(lines.line(1.1, later, full=False))["caps"]] == ["uplink 0"]
    assert lines.line(1.2, later, full=False) == ""
    assert len(json.loads(lines.line(2.0, {1: node({})}, full=True))["caps"]) == 2


def test_where_nothing_changed_there_is_no_line():
    lines = LinkLines(1)
    sample = {0: node({(1, 0): (1, 1, 0, 0, 0)})}
    assert lines.line(1.0, sample, full=False)
    assert lines.line(1.1, sample, full=False) == ""


def test_a_full_line_keeps_what_is_known_of_a_node_that_is_gone():
    lines = LinkLines(1)
    gone = node({(1, 0): (7, 7, 0, 0, 0)}, (9, 9))
    lines.line(1.0, {0: gone, 1: node({(0, 1): (1, 1, 0, 0, 0)})}, full=False)
    found = json.loads(lines.line(2.0, {1: node({(0, 1): (2, 2, 0, 0, 0)})}, full=True))
    assert {(edge["src"], edge["dst"]): edge["sent_bytes"] for edge in found["edges"]} == {(1, 0): 7, (0, 1): 2}
    assert set(found["tcp"]) == {"0", "1"}


def test_flows_begin_are_sampled_and_end_in_that_order():
    flow = FlowProperties(7, 0, 1, 40001, 29500, "cubic", 1448)
    news = FlowNews([flow], [(7, TcpInfo(10, 20_100, 3, 1_250_000, 99_001, 500_000, 0))], [5])
    begun, sample, ended = map(json.loads, flow_lines(1000.1, 1, {0: node({}, flows=news), 1: node({})}))
    assert begun == {
        "kind": "flow",
        "time": 1000.1,
        "attempt": 1,
        "id": 7,
        "src": 0,
        "dst": 1,
        "src_port": 40001,
        "dst_port": 29500,
        "congestion_control": "cubic",
        "mss": 1448,
    }
    rows = [[7, 10, 20_100, 3, 1_250_000, 99_001, 500_000, 0]]
    assert sample == {"kind": "sample", "time": 1000.1, "attempt": 1, "flows": rows}
    assert ended == {"kind": "end", "time": 1000.1, "attempt": 1, "id": 5}


def test_samples_of_all_nodes_stand_in_one_line():
    info = TcpInfo(1, 2, 3, 4, 5, 6, 7)
    samples = {rank: node({}, flows=FlowNews([], [(rank, info)], [])) for rank in range(3)}
    (line,) = flow_lines(1.0, 1, samples)
    assert [row[0] for row in json.loads(line)["flows"]] == [0, 1, 2]


def test_a_moment_without_news_has_no_line():
    assert flow_lines(1.0, 1, {0: node({})}) == []
