"""Which connections are flows, and what of them is new."""

import socket

from harness.model.address import Addressing
from harness.netlink.tcp_info import Connection, OpenConnection, TcpInfo
from harness.sampling.flow_table import FlowProperties, FlowTable, ranks_by_address

NET = Addressing()
RANKS = ranks_by_address(NET, 4)


def connection(rank, port=40001, family=socket.AF_INET, cookie=1):
    """As node 1 sees one to that node."""
    address = NET.ipv4(rank).packed if family == socket.AF_INET else NET.ipv6(rank).packed
    ports = port.to_bytes(2) + (29500).to_bytes(2)
    return Connection(family, ports + bytes(16) + address.ljust(16, b"\0") + bytes(4) + cookie.to_bytes(8))


def found(*connections):
    return [OpenConnection(one, "cubic", 1448) for one in connections]


def info(acked):
    return TcpInfo(10, 20_000, 0, 0, acked, 0, 0)


def table():
    return FlowTable(1, 4, RANKS)


def test_a_connection_to_a_node_is_a_flow_once():
    made = table()
    assert made.discover(found(connection(3))) == [FlowProperties(2, 1, 3, 40001, 29500, "cubic", 1448)]
    assert made.discover(found(connection(3))) == []


def test_ipv6_and_mapped_addresses_are_nodes_too():
    mapped = connection(2)._replace(family=socket.AF_INET6)
    address = bytes(10) + b"\xff\xff" + NET.ipv4(2).packed
    mapped = mapped._replace(identity=mapped.identity[:20] + address + mapped.identity[36:])
    flows = table().discover(found(connection(3, family=socket.AF_INET6), mapped))
    assert [flow.dst for flow in flows] == [3, 2]


def test_connections_to_itself_and_to_others_are_none():
    """Rank 4 is no node: its address is the host's, or nobody's."""
    assert table().discover(found(connection(1), connection(4))) == []


def test_ids_of_different_nodes_differ():
    tables = [FlowTable(rank, 4, RANKS) for rank in range(4)]
    wanted = found(*(connection(rank, cookie=cookie) for cookie in range(3) for rank in range(4)))
    ids = [flow.id for one in tables for flow in one.discover(wanted)]
    assert len(ids) == len(set(ids)) == 36


def test_a_sample_is_told_where_something_changed():
    made, one, other = table(), connection(0), connection(2)
    made.discover(found(one, other))
    assert made.update([(one, info(1)), (other, info(1))]) == ([(2, info(1)), (6, info(1))], [])
    assert made.update([(one, info(1)), (other, info(5))]) == ([(6, info(5))], [])


def test_one_that_is_over_is_told_once_and_its_ports_may_come_back():
    made, one = table(), connection(0)
    made.discover(found(one))
    made.update([(one, info(1))])
    assert made.update([(one, None)]) == ([], [2])
    assert made.connections == []
    assert [flow.id for flow in made.discover(found(connection(0, cookie=2)))] == [6]


def test_addresses_that_docker_gave_out():
    given = Addressing(given4=tuple(NET.ipv4_net[n] for n in (9, 7)))
    assert ranks_by_address(given, 2)[NET.ipv4_net[7].packed + bytes(12)] == 1
