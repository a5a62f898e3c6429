"""Loads on real networks, of namespaces or of containers: what arrives, what is left, and what ends them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import harness as api
from harness.errors import InputError
from harness.networks.backends import NETNS
from tests.support.cli import HARNESS, error_line, own_processes, wait_for
from tests.support.live import addressing, needs, own, runtime_name

pytestmark = [*needs(), pytest.mark.filterwarnings("ignore::harness.HarnessWarning")]
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]


def shown(harness):
    return json.loads(harness("traffic", "show", "--json").stdout)


@pytest.fixture
def net(harness):
    """Three nodes in a line at 20 Mbit/s, for the command line."""
    harness.env["HARNESS_NAME"] = own("traffic")
    harness("up", "-n", "3", "-t", "line", "-p", "none", "--runtime", runtime_name(), *SUBNETS)
    harness("link", "set", "all", "--rate", "20mbit", "--delay", "5ms")
    yield harness
    harness("down")


@pytest.mark.timing
def test_udp_keeps_its_rate_and_what_exceeds_a_link_is_lost(net):
    net("traffic", "start", "0-2", "--rate", "8mbit")
    time.sleep(4)
    (stopped,) = json.loads(net("traffic", "stop", "--json").stdout)
    assert stopped["ended"] == "stopped"
    assert 7e6 < stopped["bit_s"] < 8.4e6
    assert stopped["lost_packets"] == 0
    assert stopped["sent_bytes"] == stopped["received_bytes"]
    net("traffic", "start", "0-2", "--rate", "40mbit", "--seconds", "3")
    wait_for(lambda: (found := shown(net)) and found[0]["ended"] == "its time is over")
    (over,) = shown(net)
    assert 15e6 < over["bit_s"] < 21e6
    assert 1514 * over["lost_packets"] == over["sent_bytes"] - over["received_bytes"]
    assert not own_processes("traffic/holder.py", net.env["HARNESS_NAME"])


@pytest.mark.timing
def test_a_load_in_bursts_sends_only_part_of_the_time(net):
    net("traffic", "start", "0-1", "--rate", "8mbit", "--on", "500ms", "--off", "1500ms", "--seconds", "4")
    wait_for(lambda: shown(net)[0]["ended"])
    assert 1.5e6 < shown(net)[0]["bit_s"] < 2.4e6


@pytest.mark.backend
@pytest.mark.timing
def test_tcp_flows_take_a_link_in_both_directions(net):
    started = json.loads(net("traffic", "start", "0-1", "--flows", "3", "--cc", "reno", "--both", "--json").stdout)
    assert [(one["id"], one["src"], one["dst"]) for one in started] == [(1, 0, 1), (2, 1, 0)]
    time.sleep(4)
    complete = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": "harness traffic stop ", "COMP_CWORD": "3"}
    code = "import sys; sys.argv = ['harness']; from harness.cli.main import main; main()"
    argv = [sys.executable, "-c", code]
    offered = subprocess.run(argv, env=net.env | complete, capture_output=True, text=True, timeout=60).stdout
    assert offered.split() == ["1", "2", "all"]
    (first,) = json.loads(net("traffic", "stop", "1", "--json").stdout)
    assert 12e6 < first["bit_s"] < 20.5e6
    assert [one["id"] for one in shown(net)] == [2]


BAD = {
    ("0-1", "--rate", "1mbit", "--flows", "2"): (2, "not both"),
    ("0-9", "--flows", "2"): (2, "no rank 9"),
    ("1-1", "--flows", "2"): (2, "does not send to itself"),
    ("0-1", "--flows", "2", "--cc", "warp9"): (
        70,
        "node 0: send traffic: this kernel has no congestion control 'warp9'",
    ),
}


def test_what_cannot_begin_is_one_line_and_leaves_nothing(net):
    for words, (code, told) in BAD.items():
        done = net("traffic", "start", *words, code=code)
        assert told in error_line(done.stderr)
    net("link", "down", "1-2")
    assert "would cross 1->2, which is down" in net("traffic", "start", "0-2", "--flows", "1", code=2).stderr
    net("traffic", "stop", "3", code=2)
    assert shown(net) == []
    assert not own_processes("traffic/holder.py", net.env["HARNESS_NAME"])


@pytest.mark.backend
def test_it_ends_with_the_network_and_where_its_program_is_killed(net):
    net("traffic", "start", "0-1", "--rate", "1mbit")
    net("traffic", "start", "1-2", "--rate", "1mbit")
    if runtime_name() == NETNS:
        net("exec", "0", "--", "sh", "-c", "kill -9 -1")
        wait_for(lambda: "node 0 was ended" in shown(net)[0]["ended"])
        assert not shown(net)[1]["ended"]
    net("down")
    assert not own_processes("traffic/holder.py", net.env["HARNESS_NAME"])
    assert not own_processes("interval", net.env["HARNESS_NAME"])


@pytest.mark.parametrize("delay", [0.4, 0.8])
def test_a_killed_start_leaves_all_or_nothing(net, delay):
    words = [*HARNESS, "traffic", "start", "0-1", "--rate", "1mbit", "--both"]
    process = subprocess.Popen(words, env=net.env, stdout=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    each = 3  # processes of a load: the one that keeps it, and a proxy of its program in either node
    wait_for(lambda: len(own_processes("traffic/holder.py", net.env["HARNESS_NAME"])) == each * len(shown(net)))

    def stopped():
        """Also what had not begun when the command was killed."""
        net("traffic", "stop")
        return not own_processes("traffic/holder.py", net.env["HARNESS_NAME"])

    wait_for(stopped)


@pytest.mark.skipif(runtime_name() != NETNS, reason="kills the keeper of namespaces")
def test_a_network_that_is_killed_takes_its_loads_along(harness):
    harness.env["HARNESS_NAME"] = own("traffic")
    process = subprocess.Popen([*HARNESS, "run", "-n", "2", "-p", "none", "--", "sleep", "600"], env=harness.env)
    try:
        wait_for(lambda: harness.env["HARNESS_NAME"] in harness("ls", "--json").stdout)
        wait_for(lambda: own_processes("sleep\x00600", harness.env["HARNESS_NAME"]))
        harness("traffic", "start", "0-1", "--rate", "1mbit")
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not own_processes("traffic/holder.py", harness.env["HARNESS_NAME"]))


@pytest.mark.backend
def test_from_python_it_lasts_as_long_as_its_block():
    with api.network(2, profile="none", runtime=runtime_name()) as net:
        with net.traffic("0-1", rate="2mbit", both=True) as traffic:
            assert traffic.ids == [1, 2]
            wait_for(lambda: all(load.totals.received_bytes for load in traffic.loads))
        assert traffic.stop() == []
        forgotten = net.traffic("0-1", flows=1)
        assert not forgotten.stop()[0].totals.seconds > 60
        net.traffic("1-0", flows=1)
        with pytest.raises(InputError, match="not both"):
            net.traffic("0-1")
    assert not [pid for pid in own_processes("traffic/holder.py") if parent(pid) == os.getpid()]


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
