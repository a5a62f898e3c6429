"""``harness capture`` on links in user space: when each packet left and came, what was lost, and what stays behind."""

import json
import signal
import statistics
import struct
import subprocess
import sys

import pytest

import harness as api
from harness.errors import InputError
from tests.support.cli import HARNESS, own_processes, wait_for
from tests.support.live import addressing, own
from tests.support.pcapng import read

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces, pytest.mark.links]
DELAY_MS = 50
SENT = 300
SEND = f"""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range({SENT}):
    s.sendto(number.to_bytes(4, "big"), (sys.argv[1], 9))
    time.sleep(0.003)
"""
TABLES = """
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.nft_steps import dump
netlink = Nfnetlink()
print([nft.read_table(one) for family in (2, 5, 10) for one in dump(netlink, nft.tables_request(family))])
"""


@pytest.fixture
def net(harness):
    harness.env["HARNESS_NAME"] = own("capture")
    harness("up", "-n", "2", "-p", "none", "--engine", "userspace", "--subnet", str(addressing().ipv4_net))
    harness("link", "set", "0-1", "--delay", f"{DELAY_MS}ms", "--loss", "10%")
    yield harness
    harness("down")


def begun(net, *words):
    """A capture that records."""
    argv = [*HARNESS, "capture", "0-1", *words]
    process = subprocess.Popen(argv, env=net.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "recording 0->1" in process.stderr.readline()
    return process


def number(packet):
    return struct.unpack(">I", packet[28:32])[0]


@pytest.mark.timing
def test_each_packet_has_its_links_delay_and_what_was_lost_was_sent_only(net, tmp_path):
    before = json.loads(net("link", "show", "0-1", "--json").stdout)[0]["stats"]["dropped"]
    capture = begun(net, "--one-way", "-w", str(tmp_path / "link.pcapng"))
    net("exec", "0", "--", sys.executable, "-c", SEND, str(addressing().ipv4(1)))
    dropped = json.loads(net("link", "show", "0-1", "--json").stdout)[0]["stats"]["dropped"] - before
    capture.send_signal(signal.SIGINT)
    _, summary = capture.communicate(timeout=30)
    assert capture.returncode == 0
    names, packets, counts = read((tmp_path / "link.pcapng").read_bytes())
    assert names == ["0->1 sent", "0->1 received"]
    sent, received = (
        {number(data): at for name, at, _, data in packets if name == end and data[9] == 17} for end in names
    )
    assert sorted(sent) == list(range(SENT))
    assert len(sent) - len(received) == dropped > 0
    assert {name: total for name, (total, lost) in counts.items() if not lost} == {
        "0->1 sent": SENT,
        "0->1 received": len(received),
    }
    took = [(received[one] - sent[one]) / 1e6 for one in received]
    assert min(took) > DELAY_MS - 0.2
    assert statistics.median(took) < DELAY_MS + 1
    assert f"{SENT} packets sent, {len(received)} received, {dropped} lost" in summary


def test_python_records_what_a_relay_passes_on_and_a_file_that_cannot_be_written_is_named(tmp_path):
    with api.network(
        nodes=3, topology="line", profile="none", engine="userspace", subnet=str(addressing().ipv4_net)
    ) as net:
        with net.capture("all", tmp_path / "all.pcapng") as packets:
            net.exec(["ping", "-U", "-c", "2", "-i", "0.2", "-s", "1000", net.address(2)], ranks=[0])
        found = {pair: (one.sent, one.received, one.matched) for pair, one in packets.stop().items()}
        assert found == dict.fromkeys(((0, 1), (1, 0), (1, 2), (2, 1)), (2, 2, 2))
        _, recorded, _ = read((tmp_path / "all.pcapng").read_bytes())
        assert {(length, len(data)) for _, _, length, data in recorded} == {(1028, 128)}
        with pytest.raises(InputError, match=r"cannot write .*/nowhere/x: No such file"):
            net.capture("0-1", tmp_path / "nowhere" / "x")
        unended = net.capture("1-2", tmp_path / "unended.pcapng")
    assert unended.stop()[1, 2].sent == 0


def test_a_killed_capture_leaves_nothing_and_one_outlives_no_network(net):
    capture = begun(net)
    assert "harness-capture" in net("exec", "1", "--", sys.executable, "-c", TABLES).stdout
    capture.kill()
    capture.communicate(timeout=30)
    wait_for(lambda: not own_processes("harness.capture.node_program", net.env["HARNESS_NAME"]))
    for rank in "01":
        assert "harness-capture" not in net("exec", rank, "--", sys.executable, "-c", TABLES).stdout
    capture = begun(net)
    net("down")
    _, errors = capture.communicate(timeout=30)
    assert capture.returncode == 3
    assert errors.endswith("error: the network was taken down while its packets were recorded\n")
