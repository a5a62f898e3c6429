"""The bytes of a capture's file, read by the format's own text."""

from harness.capture import pcapng
from harness.capture.points import points
from harness.capture.record import Record
from tests.support.pcapng import read
from tests.support.plans import network

AT = 1_795_830_000_123_456_789


def test_a_file_says_of_each_packet_at_which_end_of_which_edge_it_was_when():
    ends = points(network("line", 2), [(0, 1), (1, 0)])
    packets = [Record(AT, 0, 1500, b"abcde"), Record(AT + 50, 1, 4, b"abcd"), Record(AT + 99, 3, 3, b"xyz")]
    data = pcapng.header(ends, 128, "harness") + b"".join(map(pcapng.packet, packets))
    data += pcapng.statistics(0, AT, 1, 0) + pcapng.statistics(3, AT, 1, 7)
    names, found, counts = read(data)
    assert names == ["0->1 sent", "0->1 received", "1->0 sent", "1->0 received"]
    assert found == [(names[one.point], one.at, one.length, one.data) for one in packets]
    assert counts == {"0->1 sent": (1, 0), "1->0 received": (8, 7)}


def test_a_relay_records_what_it_passes_on_at_the_edge_that_it_crosses():
    plan = network("line", 3)
    sent, received = points(plan, [(1, 2)])
    assert (sent.rank, received.rank) == (1, 2)
    assert set(sent.prefixes) == {str(one) for one in plan.addressing.prefixes([2], 4)} | {
        str(one) for one in plan.addressing.prefixes([2], 6)
    }
    from_both = [*plan.addressing.prefixes([0, 1], 4), *plan.addressing.prefixes([0, 1], 6)]
    assert set(received.prefixes) == set(map(str, from_both))
