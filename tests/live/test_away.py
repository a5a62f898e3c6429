"""Nodes that are away while a job runs, on real networks: killed, paused, cut off, and back."""

import json
import signal
import subprocess
import sys
import time

import pytest

from harness.networks.backends import DOCKER
from harness.scenario.scenario_file import load_scenario
from tests.support.cli import wait_for
from tests.support.live import addressing, needs, network, own, runtime_name, up
from tests.support.plans import shape

pytestmark = needs()
HARNESS = [sys.executable, "-m", "harness"]
JOB = 'echo "began ${HARNESS_RESTART:-0}"; setsid sleep 600 & for i in $(seq 35); do echo at; sleep 0.1; done; kill $!'


def scenario(tmp_path, *events):
    path = tmp_path / "scenario.yaml"
    path.write_text("events:\n" + "".join(f"  - {event}\n" for event in events))
    return path


def events(path):
    return {(round(due.at, 2), due.kind, due.text) for due in load_scenario(path).agenda()}


def play(net, path):
    argv = [*HARNESS, "play", str(path), "--name", net.name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_rank_is_killed_paused_cut_off_and_comes_back(tmp_path):
    path = scenario(
        tmp_path,
        "{at: 1s, kill: {node: 2}, back: 500ms}",
        "{at: 1100ms, for: 1s, pause: {node: 1}}",
        "{at: 1200ms, for: 500ms, cut: {node: 3}}",
    )
    runs = tmp_path / "runs"
    argv = [*HARNESS, "run", "-n", "4", "-p", "none", "--name", own("away")]
    argv += ["--runtime", runtime_name(), "--subnet", str(addressing().ipv4_net), "--scenario", str(path)]
    argv += ["--record", "--runs", str(runs), "--", "bash", "-c", JOB]
    began = time.time()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "1.000 s: kill node 2 (acknowledged" in done.stderr
    said = [line for line in done.stdout.splitlines() if "began" in line]
    assert sorted(said) == sorted([*(f"[{rank}] began 0" for rank in range(4)), "[2] began 1"])
    (record,) = runs.rglob("away.jsonl")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    told = [(line["what"], line["rank"]) for line in lines]
    for expected in ("kill", 2), ("pause", 1), ("cut", 3), ("back", 1), ("back", 2), ("back", 3), ("restarted", 2):
        assert told.count(expected) == 1, told
    assert all(began < line["time"] < time.time() for line in lines)
    (changes,) = runs.rglob("changes.jsonl")
    downs = [json.loads(line)["edges"] for line in changes.read_text().splitlines()]
    assert [{edge["after"]["down"] for edge in edges} for edges in downs] == [{True}, {False}]
    again = tmp_path / "again.yaml"
    done = subprocess.run([*HARNESS, "record-scenario", str(record.parent)], capture_output=True, text=True, timeout=60)
    again.write_text(done.stdout)
    assert events(again) == events(path), "the record is the scenario"
    assert all(3 in (edge["src"], edge["dst"]) for edges in downs for edge in edges)


def counting(net, path):
    """A program in node 1 that counts in a file."""
    count = f"import time\nwhile True:\n    open({str(path)!r}, 'a').write('.')\n    time.sleep(0.02)"
    return net.backend.spawn(1, [net.backend.python, "-c", count])


def stands_still(path):
    before = path.stat().st_size
    time.sleep(0.4)
    return path.stat().st_size == before


@pytest.mark.skipif(runtime_name() == DOCKER, reason="counts in a file of this machine; see tests/docker/test_away.py")
def test_who_is_paused_goes_on_however_the_player_ends(tmp_path):
    path, count = scenario(tmp_path, "{at: 0, pause: {node: 1}}"), tmp_path / "count"
    with up(network("line", 2, shape(delay="1ms"))) as net:
        program = counting(net, count)
        wait_for(count.exists, 20)
        for end in (signal.SIGKILL, signal.SIGINT):
            player = play(net, path)
            assert "pause node 1" in player.stdout.readline()
            wait_for(lambda: stands_still(count), 20)
            player.send_signal(end)
            player.communicate(timeout=30)
            wait_for(lambda: not stands_still(count), 20)
        assert program.poll() is None
        player = play(net, scenario(tmp_path, "{at: 0, kill: {node: 1}, back: 50ms}"))
        said, _ = player.communicate(timeout=30)
        assert player.returncode == 0, said
        assert program.wait(20) == 137


def test_a_kill_spares_cross_traffic(tmp_path):
    path = scenario(
        tmp_path, "{at: 0, for: 4s, traffic: {from: 0, to: 1, rate: 2mbit}}", "{at: 2s, kill: {node: [0, 1]}}"
    )
    with up(network("line", 2, shape(delay="1ms", rate="10mbit"))) as net:
        player = play(net, path)
        wait_for(lambda: "kill" in player.stdout.readline(), 30)
        assert player.wait(30) == 0
        assert net.applied()[0, 1].stats.sent_packets > 450, "174 a second, of which 2 seconds are before the kill"
