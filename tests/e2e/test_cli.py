"""The command line on shaped networks, as a user meets it, on the real kernel: of namespaces or of containers."""

import json
import random
import subprocess
import sys
import time

import pytest

from harness.networks.backends import DOCKER
from tests.support.cli import HARNESS, on_terminal
from tests.support.live import addressing, engine_name, in_container, needs, runtime_name

pytestmark = needs()
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]


def address(rank):
    return str(addressing().ipv4(rank))


@pytest.mark.engine
@pytest.mark.backend
def test_the_life_of_a_network(harness):
    harness("up", "--nodes", "3", "--topology", "ring", "--profile", "wan", "--seed", "5", *SUBNETS)
    shown = json.loads(harness("link", "show", "--json").stdout)
    assert [(one["src"], one["dst"]) for one in shown] == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    for one in shown:
        assert one["mismatch"] is None
        assert one["applied"]["delay_s"] == one["requested"]["delay_s"]
        assert one["applied"]["rate_bit_s"] == one["requested"]["rate_bit_s"]
        assert one["applied"]["loss"] == pytest.approx(one["requested"]["loss"], rel=1e-6)
    planned = harness("plan", "-n", "3", "-t", "ring", "-p", "wan", "--seed", "5", "--json").stdout
    for edge, one in zip(json.loads(planned)["edges"], shown, strict=True):
        assert one["requested"]["delay_s"] == edge["delay_s"]

    done = json.loads(harness("link", "set", "0-1", "--delay", "120ms", "--jitter", "10%", "--json").stdout)
    assert [(e["src"], e["dst"]) for e in done["changed"]] == [(0, 1), (1, 0)]
    assert done["changed"][0]["jitter_s"] == pytest.approx(0.012)
    one = json.loads(harness("link", "show", "0-1", "--json").stdout)[0]
    assert one["applied"]["delay_s"] == 0.12

    harness("exec", "1", "--", "ping", "-c", "2", "-i", "0.2", address(0))
    one = json.loads(harness("link", "show", "0-1", "--json").stdout)[0]
    assert one["stats"]["sent_packets"] >= 2
    assert harness("exec", "2", "--", "sh", "-c", "echo $RANK/$WORLD_SIZE; exit 7", code=7).stdout == "2/3\n"

    cut = json.loads(harness("partition", "0|1,2", "--json").stdout)["changed"]
    assert {(e["src"], e["dst"]) for e in cut} == {(0, 1), (1, 0), (0, 2), (2, 0)}
    harness("exec", "0", "--", "ping", "-c", "1", "-W", "1", address(2), code=1)
    harness("heal")
    harness("exec", "0", "--", "ping", "-c", "1", "-W", "5", address(2))

    name = harness.env["HARNESS_NAME"]
    (listed,) = [one for one in json.loads(harness("ls", "--json").stdout) if one["name"] == name]
    assert (listed["nodes"], listed["runtime"], listed["engine"]) == (3, runtime_name(), engine_name())
    assert f"removed: {name}" in harness("down").stdout
    assert "not up" in harness("down").stdout
    harness("link", "show", code=3)


def test_limits_of_nodes_and_trunks(harness):
    harness("up", "-n", "4", "-t", "regions:2", "-p", "none", "--downlink", "100mbit", *SUBNETS)
    harness("node", "set", "0,2", "--uplink", "20mbit", "--buffer", "64KiB")
    harness("trunk", "set", "all", "--rate", "1gbit")
    harness("exec", "0", "--", "ping", "-c", "3", "-i", "0.2", address(2))
    rows = json.loads(harness("node", "show", "0", "--json").stdout) + json.loads(
        harness("trunk", "show", "--json").stdout
    )
    assert [row.get("limit") or f"{row['from']}-{row['to']}" for row in rows][:3] == ["uplink", "downlink", "cpu"]
    assert rows.pop(2)["applied"] is None
    assert [row["applied"]["rate_bit_s"] / 1e6 for row in rows] == [20, 100, 1000, 1000]
    assert rows[0]["applied"]["buffer"] == {"bytes": 65536}
    for row in rows:
        assert row["applied"] == row["requested"]
        assert row["mismatch"] is None
        assert row["stats"]["sent_packets"] >= 3
    shown = harness("node", "show").stdout.splitlines()
    assert [line.split()[:2] for line in shown[2:]] == [
        ["0", "uplink"],
        ["0", "downlink"],
        ["1", "downlink"],
        ["2", "uplink"],
        ["2", "downlink"],
        ["3", "downlink"],
    ]


@pytest.mark.engine
def test_a_command_that_is_killed_while_it_changes_limits_leaves_a_network_that_can_be_changed(harness):
    harness("up", "-n", "3", "-p", "none", *SUBNETS)
    chance = random.Random(14)
    for number in range(5):
        words = ["node", "set", "all", "--uplink", f"{number + 1}mbit", "--downlink", f"{number + 1}mbit"]
        running = subprocess.Popen(
            [*HARNESS, *words], env=harness.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.2, 0.6))
        running.kill()
        running.wait()
    harness("node", "set", "all", "--uplink", "77mbit", "--downlink", "88mbit")
    for row in json.loads(harness("node", "show", "--json").stdout):
        rate = row["applied"] and row["applied"]["rate_bit_s"]
        assert rate == {"uplink": 77_000_000, "downlink": 88_000_000, "cpu": None}[row["limit"]]
        assert row["mismatch"] is None
    harness("exec", "0", "--", "ping", "-c", "1", "-W", "5", address(2))


def test_two_commands_that_change_one_network_take_turns(harness):
    harness("up", "-n", "2", "-p", "none", *SUBNETS)
    commands = [
        [*HARNESS, "link", "set", "0-1", "--one-way", "--delay", "10ms"],
        [*HARNESS, "link", "set", "1-0", "--one-way", "--delay", "20ms"],
        [*HARNESS, "link", "set", "0-1", "--one-way", "--loss", "1%"],
    ]
    running = [subprocess.Popen(words, env=harness.env, stdout=subprocess.DEVNULL) for words in commands]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    there, back = json.loads(harness("link", "show", "--json").stdout)
    assert (there["applied"]["delay_s"], back["applied"]["delay_s"]) == (0.01, 0.02)
    assert there["applied"]["loss"] == pytest.approx(0.01)
    assert there["mismatch"] is back["mismatch"] is None


def spoil(harness, src, dst):
    """Make something else of an edge than was asked for, past the harness."""
    if engine_name() == "netem":
        where = ["parent", f"1:{dst + 1}", "handle", f"{dst + 0x10:x}:"]
        rank, argv = src, ["tc", "qdisc", "change", "dev", "eth0", *where, "netem", "delay", "1s"]
    else:
        rank, argv = dst, ["python3" if runtime_name() == DOCKER else sys.executable, "-c", FLUSH]
    if runtime_name() == DOCKER:
        in_container(f"harness-{harness.env['HARNESS_NAME']}-node-{rank + 1}", *argv)
    else:
        harness("exec", str(rank), "--", *argv)


FLUSH = """
from harness.shaping.userspace.rules import remove
from harness.netlink.nfnetlink import Nfnetlink
with Nfnetlink() as netlink:
    remove(netlink)
"""


@pytest.mark.engine
def test_a_network_changed_behind_our_back_is_told(harness):
    harness("up", "-n", "2", "-p", "wan", *SUBNETS)
    spoil(harness, 0, 1)
    shown = harness("link", "show")
    assert "differs" in shown.stdout
    assert "edge 0->1: applied differs from requested" in shown.stderr


def test_screens_of_a_network_at_80_columns_and_what_a_shell_completes(harness):
    """Names, numbers and commands whole; elsewhere one line per row."""
    harness("up", "-n", "3", "-t", "ring", "-p", "mobile-real", *SUBNETS)
    harness("link", "set", "0-1", "--loss", "0%", "--rate", "100mbit")
    name = harness.env["HARNESS_NAME"]
    for words, rows in {
        ("ls",): [name],
        ("link", "show"): ["0->1", "2->0"],
        ("link", "set", "all", "--delay", "123ms", "--dry-run"): ["0->1", "2->0"],
        ("verify", "0-1", "--seconds", "1"): ["rtt", "jitter", "loss", "rate"],
    }.items():
        shown = on_terminal(words, env=harness.env)
        assert all(len(line) <= 80 for line in shown.splitlines())
        assert set(rows) <= set(shown.split())
    piped = harness("link", "show").stdout.splitlines()
    assert [line.split()[0] for line in piped[2:]] == ["0->1", "0->2", "1->0", "1->2", "2->0", "2->1"]

    def offered(words):
        extra = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        start = "import sys; sys.argv = ['harness']; from harness.cli.main import main; main()"
        argv = [sys.executable, "-c", start]
        return subprocess.run(argv, env=harness.env | extra, capture_output=True, text=True, timeout=60).stdout.split()

    assert name in offered("harness down --name ")
    assert offered("harness exec ") == ["0", "1", "2", "all"]
    assert offered("harness link set 0") == ["0-1", "0-2"]
    assert offered("harness verify 0-1,1") == ["0-1,1-2"]
    assert offered("harness node set 0,") == ["0,0", "0,1", "0,2"]
    assert offered("harness trunk show ") == ["all"]


@pytest.mark.engine
def test_a_job_beside_the_network_is_told_so(harness):
    """Where links count what crosses them: those that are shaped (in containers, the agents' own messages cross)."""
    beside = (
        "import os, socket\n"
        "os.environ['MASTER_ADDR'] = 'localhost'\n"
        "server = socket.create_server(('localhost', 29500))\n"
        "socket.create_connection((os.environ['MASTER_ADDR'], 29500)).send(b'x')\n"
    )
    done = harness("run", "-n", "2", "-p", "wan", *SUBNETS, "--", "python3", "-c", beside)
    assert "harness: no packet crossed any link: " in done.stderr
    done = harness("run", "-n", "2", "-p", "wan", *SUBNETS, "--", "ping", "-c", "1", address(0))
    assert "nothing crossed" not in done.stderr
    done = harness("run", "-n", "2", "-p", "none", *SUBNETS, "--", "true")
    assert "nothing crossed" not in done.stderr


@pytest.mark.timing
@pytest.mark.full
@pytest.mark.torch
def test_verify_and_real_collectives_over_a_shaped_ring(harness):
    harness("up", "-n", "3", "-t", "ring", "-p", "none", *SUBNETS)
    harness("link", "set", "all", "--delay", "15ms", "--rate", "50mbit")
    rows = json.loads(harness("verify", "--json", "--seconds", "2").stdout)
    assert {(row["src"], row["dst"]) for row in rows} == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert {row["quantity"] for row in rows} == {"rtt", "jitter", "loss", "rate"}
    assert [row for row in rows if not row["ok"]] == []
    rtt = next(row for row in rows if row["quantity"] == "rtt")
    assert rtt["requested"] == rtt["applied"] == pytest.approx(0.03)
    assert rtt["measured"] >= 0.03
    assert rtt["measured"] < 0.033 or rtt["machine_bound"]

    document = json.loads(
        harness("bench", "--json", "--sizes", "1KiB,256KiB", "--collectives", "all_reduce,barrier").stdout
    )
    assert (document["engine"], document["nodes"]) == (engine_name(), 3)
    assert len(document["rows"]) == 3
    for row in document["rows"]:
        assert row["bound_seconds"] <= row["seconds_min"] <= row["seconds_median"] <= row["seconds_max"]
    small = document["rows"][0]["seconds_median"]
    assert small >= 0.015

    spoil(harness, 1, 0)
    off = json.loads(harness("verify", "0-1", "--json", "--seconds", "2", code=1).stdout)
    assert {row["quantity"] for row in off if not row["ok"]} >= {"rtt"}
