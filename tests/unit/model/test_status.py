"""What nodes report travels as JSON between processes, and is understood where an older agent sent it."""

import json

from harness.model.capacity import Capacity
from harness.model.link import UNSHAPED
from harness.model.queueing import Queue
from harness.model.status import CapStatus, EdgeStatus, NodeStatus, Stats, TcpCounters
from harness.model.units import Rate, Size

CAPACITY = Capacity(Rate(20_000_000), Queue.parse("codel,target=7ms"), Size(64 * 1024), 24)
STATUS = NodeStatus(
    edges={(0, 1): EdgeStatus(UNSHAPED, Stats(1, 2, 3, 4, 5))},
    mismatches=(((0, 1), "rate"),),
    notes=("a note",),
    tcp=TcpCounters(7, 8),
    caps={"uplink": CapStatus(CAPACITY, Stats(5, 4, 3, 2, 1)), "trunk eu->us": CapStatus(None)},
    cap_mismatches=(("trunk eu->us", "there is none"),),
)


def test_a_status_comes_back_from_json():
    assert NodeStatus.from_json(json.loads(json.dumps(STATUS.to_json()))) == STATUS


def test_a_status_without_caps_is_read_as_one_of_a_node_that_has_none():
    data = STATUS.to_json()
    del data["caps"], data["cap_mismatches"]
    found = NodeStatus.from_json(data)
    assert (found.caps, found.cap_mismatches) == ({}, ())
    assert found.edges == STATUS.edges
