"""Scenarios on real networks: changes come at their times, are recorded, and are taken back."""

import itertools
import json
import subprocess
import sys
import time

import pytest

from harness.errors import HarnessError
from harness.model.delivery import Delivery
from harness.model.units import Size, Time
from harness.networks.registry import LocalRegistry
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario
from harness.shaping.shape_branch import trace_buffer
from tests.support.cli import HARNESS
from tests.support.live import needs, network, up
from tests.support.plans import shape

pytestmark = needs()


def scenario(tmp_path, *events):
    path = tmp_path / "scenario.yaml"
    path.write_text("events:\n" + "".join(f"  - {event}\n" for event in events))
    return path


@pytest.mark.timing
def test_changes_come_at_their_times(tmp_path):
    path = scenario(
        tmp_path,
        "{at: 200ms, set: {edge: all, delay: 9ms}}",
        "{every: 300ms, for: 100ms, until: 2s, down: {edge: 0-1}}",
        "{at: 500ms, ramp: {edge: 1-2, rate: [50mbit, 10mbit], over: 1s, step: 100ms}}",
    )
    played = []
    with up(network("ring", 16, shape(delay="5ms", rate="100mbit"))) as net:
        play = load_scenario(path)
        play.check(net.plan)
        Player(net, play, played.append).play()
        assert not net.plan.edges[0, 1].down
        assert {edge.shape.delay for edge in net.plan.edges.values()} == {Time(9_000_000)}
        assert str(net.plan.edges[1, 2].shape.rate) == str(net.observe()[2].edges[1, 2].applied.rate) == "10Mbit"
    delays = sorted(one.acknowledged - one.at for one in played)
    assert len(played) == 17
    assert delays[0] >= 0
    assert delays[len(delays) * 3 // 4] < 0.5, delays  # 0.03 on a quiet machine: python -m benchmarks scenario


def test_a_load_of_a_scenario_ends_with_it(tmp_path):
    load = "{at: 100ms, traffic: {from: 0, to: 1, rate: 2mbit}}"  # while the link is down
    path = scenario(tmp_path, "{at: 0, for: 1s, down: {edge: 0-1}}", load)
    path.write_text("until: 2500ms\n" + path.read_text())
    with up(network("line", 2, shape(delay="1ms", rate="10mbit"))) as net:
        Player(net, load_scenario(path), lambda _: None).play()
        stats = net.applied()[0, 1].stats
        time.sleep(0.5)
        assert net.applied()[0, 1].stats.sent_packets == stats.sent_packets > 100


def test_a_change_waits_for_no_load(tmp_path, caplog):
    """One takes half a second to end, and one cannot begin: its TCP would try to connect for 15 s."""
    events = ["{at: 0, for: 1s, traffic: {from: 1, to: 2, rate: 1mbit}}", "{at: 0, down: {edge: 0-1}}"]
    events += ["{at: 0, for: 1s, traffic: {from: 0, to: 1, flows: 1}}", "{at: 1050ms, heal: all}"]
    played, began = [], time.monotonic()
    with up(network("line", 3, shape(delay="1ms"))) as net:
        Player(net, load_scenario(scenario(tmp_path, *events)), played.append).play()
        assert time.monotonic() - began < 10
        assert not net.plan.edges[0, 1].down
    assert played[-1].events == ("heal",)
    assert played[-1].acknowledged - played[-1].at < 0.3  # 14 s where it waited for both
    assert "traffic 0->1: 1 TCP flow: the event ended before the load started:" in caplog.text


def test_a_load_that_cannot_begin_ends_the_player(tmp_path, monkeypatch):
    """Instead of going on without it."""
    path = scenario(tmp_path, "{at: 100ms, traffic: {from: 0, to: 1, rate: 2mbit}}", "{at: 60s, heal: all}")
    with up(network("line", 2, shape(delay="1ms"))) as net:
        monkeypatch.setattr("harness.traffic.manager._HOLDER", tmp_path / "nothing.py")
        started = time.monotonic()
        with pytest.raises(HarnessError, match="keeps traffic"):
            Player(net, load_scenario(path), lambda _: None).play()
    assert time.monotonic() - started < 20


def harness_run(folder, name, path, *words):
    """A recorded run of two nodes with a scenario; its folder."""
    argv = [*HARNESS, "run", "-n", "2", "-p", "none", "--name", f"{name}-{time.time_ns()}"]
    argv += ["--subnet", "198.18.77.0/24", "--scenario", str(path), "--record", "--runs", str(folder / name)]
    done = subprocess.run([*argv, "--", *words], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / name).glob("*/run.json")
    return run.parent


def met(run):
    """What a run met, as its record says: when which change was due, and what it changed."""
    lines = [json.loads(line) for line in (run / "changes.jsonl").read_text().splitlines()]
    for line in lines:
        for recorded in (edge[when] for edge in line["edges"] for when in ("before", "after")):
            del recorded["origin"]  # what changed it last: "set", not a partition, where it is met again
    return [(round(line["at"], 3), line["edges"], line["nodes"]) for line in lines]


@pytest.mark.timing
def test_what_a_run_has_met_is_met_again(tmp_path):
    path = scenario(
        tmp_path,
        "{at: 100ms, for: 350ms, set: {edge: 0-1, one_way: true, loss: 5%, delay: 3ms}}",
        "{at: step 3, node: {ranks: 1, uplink: 5mbit, buffer: 64KiB}}",
        "{at: 500ms, ramp: {edge: 0-1, rate: [50mbit, 10mbit], over: 600ms, step: 100ms}}",
        "{mtbf: 150ms, for: 20ms, until: 1s, partition: '0|1'}",
    )
    job = 'sleep 0.3; [ "$RANK" = 1 ] || for step in 1 2 3 4; do echo $step >> $HARNESS_STEP_FILE; done; sleep 3'
    first = harness_run(tmp_path, "first", path, "sh", "-c", job)
    again = tmp_path / "again.yaml"
    again.write_text(subprocess.run([*HARNESS, "record-scenario", str(first)], capture_output=True, text=True).stdout)
    second = harness_run(tmp_path, "second", again, "sleep", "5")  # changes may be late
    assert len(met(first)) >= 13
    assert met(second) == met(first)


def test_a_clock_that_is_set_moves_no_event_and_no_record(tmp_path, monkeypatch):
    path = scenario(
        tmp_path,
        "{at: 200ms, set: {edge: 0-1, delay: 5ms}}",
        "{every: 100ms, until: 800ms, set: {edge: 0-1, loss: 1%}}",
    )
    played, real, looked = [], time.time, itertools.count()
    with up(network("line", 2, shape(delay="1ms"))) as net:
        (tmp_path / "run").mkdir()
        net.record_in(tmp_path / "run")
        monkeypatch.setattr(time, "time", lambda: real() + next(looked) % 3 * 3600)  # by hours, at each look
        Player(net, load_scenario(path), played.append).play()
    assert [one.at for one in played] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert max(one.acknowledged - one.at for one in played) < 5
    lines = [json.loads(line) for line in (tmp_path / "run" / "changes.jsonl").read_text().splitlines()]
    assert all(0 < line["acknowledged"] - line["asked"] < 5 for line in lines), lines


def test_a_player_ends_with_a_clear_line_where_the_network_is_gone(tmp_path):
    path = scenario(tmp_path, "{at: 100ms, down: {edge: 0-1}}", "{at: 2s, heal: all}")
    with up(network("line", 2, shape(delay="1ms"))) as net:
        argv = [sys.executable, "-m", "harness", "play", str(path), "--name", net.name]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "down 0-1 (acknowledged" in process.stdout.readline()
        assert LocalRegistry().load(net.name).network_plan.edges[0, 1].down
        net.down()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "was removed meanwhile" in said


STEPS = """
import os, time
from harness import step
for number in range(1, 61):
    time.sleep(0.06)
    if os.environ["RANK"] == "0":
        step(number)
        print("step", number, time.time(), flush=True)
"""


@pytest.mark.timing
def test_at_a_step_takes_effect_before_the_next_but_one(tmp_path):
    path = scenario(
        tmp_path,
        "{at: step 40, set: {edge: 0-1, delay: 30ms}}",
        "{every: 15 steps, for: 100ms, down: {edge: 0-1}}",
        "{at: step 999, heal: all}",
    )
    (tmp_path / "job.py").write_text(STEPS)
    runs = tmp_path / "runs"
    argv = [sys.executable, "-m", "harness", "run", "-n", "2", "-p", "none", "--name", f"scenario-{time.time_ns()}"]
    argv += ["--subnet", "198.18.78.0/24", "--scenario", str(path), "--record", "--runs", str(runs), "--"]
    done = subprocess.run([*argv, sys.executable, str(tmp_path / "job.py")], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    stamps = {
        int(words[2]): float(words[3]) for line in done.stdout.splitlines() if (words := line.split())[1] == "step"
    }
    (changes,) = runs.rglob("changes.jsonl")
    lines = [json.loads(line) for line in changes.read_text().splitlines()]
    assert [line["edges"][0]["after"]["down"] for line in lines].count(True) >= 3
    (at_40,) = [line for line in lines if line["edges"][0]["after"]["delay_s"] != line["edges"][0]["before"]["delay_s"]]
    assert stamps[40] < at_40["acknowledged"] < stamps[42], (stamps[40], at_40["acknowledged"], stamps[42])
    assert "the job has not reached step 999" in done.stderr


def test_a_packet_delivery_trace_is_served_or_played_as_rates_and_taken_back(tmp_path):
    (tmp_path / "a.up").write_text("".join(f"{ms}\n" for ms in range(1, 2001) if ms % 500 > 100))
    path = scenario(tmp_path, "{at: 0, for: 1500ms, trace: {edge: 0-1, up: a.up, down: a.up}}")
    held = []
    with up(network("line", 2, shape(delay="1ms", rate="10mbit"))) as net:
        Player(net, load_scenario(path), lambda _: held.append(net.applied()[0, 1].applied)).play()
        assert net.plan.edges[0, 1].shape == shape(delay="1ms", rate="10mbit")
    if net.backend.engine.serves_deliveries:
        assert [str(one.delivery) for one in held] == ["a.up", "None"]
    else:
        assert {one.buffer for one in held[:-1]} == {
            Size(trace_buffer(Delivery.parse(f"{tmp_path}/a.up"), Time(0), None))
        }
        assert len({one.rate for one in held[:-1]}) > 1
    assert str(held[-1].rate) == "10Mbit"
