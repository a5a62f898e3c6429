"""harness.workloads.bench as four real processes with real gloo, over loopback only."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness.bound import COLLECTIVES
from harness.workloads.bench import repeats_within, sweep, warmups_within
from harness.workloads.collectives import bus_factor, moved_bytes

RANKS = 4
PATIENCE = 180
"""Seconds: four imports of torch at once take half a minute in a User-Mode Linux guest."""
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is missing: pip install torch==2.13.0+cpu"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """Start every rank with these arguments; whoever is left is killed in the end."""
    processes = []

    def starter(*arguments, module="harness.workloads.bench"):
        port = free_port()
        for rank in range(RANKS):
            variables = {
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": str(RANKS),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "GLOO_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
            }
            command = [sys.executable, "-m", module, *arguments]
            errors = (tmp_path / f"stderr{rank}").open("w")
            processes.append(subprocess.Popen(command, env=variables, stderr=errors))
        return processes

    yield starter
    for process in processes:
        process.kill()
        process.wait()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.05)


def errors_of(tmp_path, rank):
    return (tmp_path / f"stderr{rank}").read_text()


@pytest.mark.torch
@needs_torch
def test_every_collective_is_measured(start, tmp_path):
    out, progress = tmp_path / "out.json", tmp_path / "progress"
    sizes = [1000, 65536]
    processes = start(
        "--sizes", "1000,64KiB", "--warmup", "2", "--repeats", "5", "--out", str(out), "--progress", str(progress)
    )
    codes = [process.wait(PATIENCE) for process in processes]
    assert codes == [0] * RANKS, [errors_of(tmp_path, rank) for rank in range(RANKS)]

    result = json.loads(out.read_text())
    assert result["world_size"] == RANKS
    assert result["start"] == "shared clock"
    assert result["torch"].startswith("2.")
    assert [(row["collective"], row["bytes_asked"]) for row in result["rows"]] == sweep(COLLECTIVES, sizes)
    for row in result["rows"]:
        assert row["bytes"] == moved_bytes(row["collective"], row["bytes_asked"], RANKS)
        assert row["repeats"] == 5
        assert 0 < row["seconds_min"] <= row["seconds_median"] <= row["seconds_max"]
        assert row["algbw_bit_s"] == pytest.approx(row["bytes"] * 8 / row["seconds_median"])
        assert row["busbw_bit_s"] == pytest.approx(row["algbw_bit_s"] * bus_factor(row["collective"], RANKS))
        assert ("note" in row) == (row["collective"] == "reduce_scatter")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]

    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    assert [line["done"] for line in lines] == list(range(len(result["rows"]) + 1))
    assert {line["total"] for line in lines} == {len(result["rows"])}
    assert [line["row"] for line in lines[1:]] == result["rows"]


@pytest.mark.torch
@needs_torch
def test_a_budget_ends_a_row_early(start, tmp_path):
    out = tmp_path / "out.json"
    processes = start(
        *("--collectives", "all_reduce,barrier", "--sizes", "4MiB", "--warmup", "100000", "--repeats", "100000"),
        *("--seconds", "0.001", "--out", str(out)),
    )
    assert [process.wait(PATIENCE) for process in processes] == [0] * RANKS
    assert json.loads(out.read_text())["rows"][0]["repeats"] == 3


@pytest.mark.torch
@needs_torch
def test_a_killed_rank_ends_the_others_with_one_line(start, tmp_path):
    out, progress = tmp_path / "out.json", tmp_path / "progress"
    processes = start(
        *("--collectives", "all_reduce", "--sizes", "1MiB", "--repeats", "1000000"),
        *("--out", str(out), "--progress", str(progress)),
    )
    wait_for(lambda: progress.exists() and progress.read_text(), "all ranks to connect")
    time.sleep(0.5)
    processes[2].send_signal(signal.SIGKILL)
    for rank in (0, 1, 3):
        assert processes[rank].wait(PATIENCE) == 70
        lines = errors_of(tmp_path, rank).splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith(f"rank {rank}: all_reduce of 1048576 bytes: ")
        assert ".cc" not in lines[0]
    assert not out.exists()


@pytest.mark.torch
@needs_torch
def test_a_wrong_result_is_an_error(start, tmp_path):
    """Every rank runs a bench whose rank 1 puts in numbers that are one too large."""
    (tmp_path / "lying.py").write_text(
        "import sys\n"
        "from harness.workloads import bench, ranks\n"
        "true = ranks.Ranks.numbers\n"
        "ranks.Ranks.numbers = lambda self, count, base: true(self, count, base + (self.rank == 1))\n"
        "sys.exit(bench.main())\n"
    )
    out = tmp_path / "out.json"
    processes = start("--collectives", "all_reduce", "--sizes", "1000", "--out", str(out), module="lying")
    assert processes[0].wait(PATIENCE) == 70
    assert "rank 0: all_reduce of 1000 bytes: wrong result: element 0 is 7, expected 6" in errors_of(tmp_path, 0)


def bench(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "harness.workloads.bench", *arguments],
        env={**{k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


ALONE = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--out", "x.json"], {}, "RANK, WORLD_SIZE not set; run this under `harness run` or torchrun"),
        (["--out", "x.json"], {**ALONE, "WORLD_SIZE": "1"}, "at least 2 ranks"),
        (["--out", "/nowhere/x.json"], ALONE, "/nowhere is no directory"),
        (["--out", "x.json", "--collectives", "gossip"], ALONE, "'gossip' is unknown; one of all_reduce"),
        (["--out", "x.json", "--sizes", "1,2parsecs"], ALONE, "unknown unit 'parsecs'"),
        (["--out", "x.json", "--warmup", "0"], ALONE, "not a whole number from 1"),
        (["--out", "x.json", "--seconds", "nan"], ALONE, "not a number of seconds over 0"),
    ],
)
def test_bad_input_is_told_before_anything_starts(arguments, environment, message):
    environment = {**ALONE, "RANK": "", "WORLD_SIZE": "", **environment}
    done = bench(*arguments, **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.torch
@needs_torch
def test_nobody_at_the_other_end(tmp_path):
    environment = {**ALONE, "RANK": "1", "MASTER_PORT": str(free_port())}
    done = bench("--out", str(tmp_path / "x.json"), "--timeout", "2", **environment)
    assert done.returncode == 70
    assert done.stderr.splitlines()[-1].startswith("rank 1: connecting 2 ranks at 127.0.0.1:")


def test_busbw_factors_are_nccl_tests():
    factors = {name: bus_factor(name, 4) for name in COLLECTIVES}
    assert factors == {
        "all_reduce": 1.5,
        "broadcast": 1,
        "all_gather": 0.75,
        "reduce_scatter": 0.75,
        "all_to_all": 0.75,
        "send_recv": 1,
        "barrier": 1,
    }


def test_sizes_are_whole_elements_for_each_rank():
    assert moved_bytes("all_reduce", 1003, 3) == 1000
    assert moved_bytes("all_gather", 1024, 3) == 1020
    assert moved_bytes("all_to_all", 1, 3) == 12
    assert moved_bytes("barrier", 1024, 3) == 0


def test_a_budget_leaves_at_least_three_repeats():
    assert repeats_within(None, 20, 100) == 20
    assert repeats_within(10, 20, 1) == 10
    assert repeats_within(10, 20, 0.1) == 20
    assert repeats_within(10, 20, 100) == 3
    assert repeats_within(10, 2, 100) == 2
    assert warmups_within(None, 5, 100) == 5
    assert warmups_within(40, 5, 4) == 2
    assert warmups_within(40, 5, 100) == 1
