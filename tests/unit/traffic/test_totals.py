"""What both ends count, as one figure."""

from harness.traffic.spec import parse_spec
from harness.traffic.totals import Totals, totals

UDP, TCP = parse_spec("0-1", rate="12112kbit"), parse_spec("0-1", flows=2)


def test_packets_under_way_are_not_lost():
    found = totals(UDP, 1500, 2.0, {"packets": 2000}, {"packets": 1890, "highest": 1899}, ended=False)
    assert (found.sent_bytes, found.received_bytes, found.lost_packets) == (2000 * 1514, 1890 * 1514, 10)
    assert found.bit_s == 1890 * 1514 * 8 / 2


def test_at_the_end_what_has_not_arrived_is_lost():
    assert totals(UDP, 1500, 2.0, {"packets": 2000}, {"packets": 1890, "highest": 1899}, ended=True).lost_packets == 110


def test_duplicates_are_no_negative_loss():
    assert totals(UDP, 1500, 1.0, {"packets": 10}, {"packets": 12, "highest": 9}, ended=True).lost_packets == 0


def test_tcp_counts_payload_as_it_is_on_the_wire():
    found = totals(TCP, 1500, 1.0, {"bytes": 1448_000, "again": 7}, {"bytes": 1448_00}, ended=False)
    assert (found.sent_bytes, found.received_bytes, found.lost_packets) == (1514_000, 1514_00, 7)


def test_nothing_was_reported_yet():
    assert totals(UDP, 1500, 0.0, {}, {}, ended=False) == Totals()
    assert Totals().bit_s == 0
