"""What a capture says of what it has recorded, and whom it starts to record it."""

import pytest

from harness.backends.docker.backend import DockerBackend
from harness.capture.points import points
from harness.capture.record import Record
from harness.capture.session import Session
from harness.errors import UnavailableError
from harness.shaping.facts import USERSPACE, engine_facts
from tests.support.plans import network


class Recorded:
    """A capture that has these records, and then is asked to end."""

    def __init__(self, *records, lost):
        self.records, self.lost = list(records), lost

    def poll(self, seconds):
        return [self.records.pop(0)]

    def finish(self):
        return self.records


class Kept(list):
    def write(self, record, after):
        self.append((record.point, after))

    def flush(self):
        pass


def session(*records, lost=None, packets=None):
    ends, kept = points(network("line", 3), [(0, 1), (1, 0), (1, 2)]), Kept()
    made = Session(Recorded(*records, lost=lost or {}), ends, kept)
    made.run(lambda: len(kept) > 0, packets=packets)
    return kept, made.summary()


SENT, RECEIVED = Record(1_000_000, 0, 20, b"a"), Record(3_500_000, 1, 20, b"a")


def test_edges_that_carried_something_have_a_line_and_so_has_a_node_that_was_too_slow():
    kept, summary = session(SENT, RECEIVED, lost={0: 0, 1: 3})
    assert kept == [(0, None), (1, 2_500_000)]
    assert summary[0] == "0->1: 1 packet sent, 1 received; one-way delay 2.5 ms, mean 2.5 ms"
    assert summary[1].startswith("node 1: not recorded: 3 packets that arrived too fast to be read")
    assert len(summary) == 2


def test_no_more_records_are_written_than_were_asked_for():
    kept, summary = session(SENT, RECEIVED, packets=1)
    assert kept == [(0, None)]
    assert summary == ["0->1: 1 packet sent, 0 received, 1 lost or still on their way"]


def test_nothing_recorded_is_said():
    nothing = Session(Recorded(lost={}), points(network("line", 2), [(0, 1)]), Kept())
    assert nothing.summary() == ["no packet was recorded"]


def test_a_node_on_another_machine_is_refused_in_a_line():
    nodes = DockerBackend("net", engine_facts(USERSPACE), {0: "c0"}, remote={1: "net_rank-1"})
    with pytest.raises(UnavailableError, match=r"node 1 is on another machine, .* run this there"):
        nodes.spawn_privileged(1, ["python3"])
