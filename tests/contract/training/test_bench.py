"""harness.training.bench as four real processes with real gloo, over loopback only."""

import json
import signal
import time

import pytest

from harness.model.bound import COLLECTIVES, bus_factor
from harness.training.bench import repeats_within, sweep, warmups_within
from harness.training.bench_collectives import moved_bytes
from tests.support.workload import ALONE, PATIENCE, RANKS, alone, free_port, needs_torch, workload

MODULE = "harness.training.bench"


@pytest.fixture
def bench(tmp_path):
    with workload(tmp_path) as made:
        yield made


def messages(bench):
    """Every line of rank 0's output; the others must write none."""
    assert [bench.output(rank) for rank in range(1, RANKS)] == [[]] * (RANKS - 1)
    return [json.loads(line) for line in bench.output(0)]


@pytest.mark.torch
@needs_torch
def test_every_collective_is_measured(bench):
    sizes = [1000, 65536]
    bench.start(MODULE, "--sizes", "1000,64KiB", "--warmup", "2", "--repeats", "5")
    bench.succeed()

    *lines, last = messages(bench)
    result = last["result"]
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

    assert [line["done"] for line in lines] == list(range(len(result["rows"]) + 1))
    assert {line["total"] for line in lines} == {len(result["rows"])}
    assert [line["row"] for line in lines[1:]] == result["rows"]


@pytest.mark.torch
@needs_torch
def test_a_budget_ends_a_row_early(bench):
    bench.start(
        *(MODULE, "--collectives", "all_reduce,barrier", "--sizes", "4MiB", "--warmup", "100000"),
        *("--repeats", "100000", "--seconds", "0.001"),
    )
    bench.succeed()
    assert messages(bench)[-1]["result"]["rows"][0]["repeats"] == 3


@pytest.mark.torch
@needs_torch
def test_a_killed_rank_ends_the_others_with_one_line(bench):
    processes = bench.start(MODULE, "--collectives", "all_reduce", "--sizes", "1MiB", "--repeats", "1000000")
    bench.wait_for_output()
    time.sleep(0.5)
    processes[2].send_signal(signal.SIGKILL)
    for rank in (0, 1, 3):
        assert processes[rank].wait(PATIENCE) == 70
        (line,) = bench.errors(rank)
        assert line.startswith(f"rank {rank}: all_reduce of 1048576 bytes: ")
        assert ".cc" not in line
    assert messages(bench) == [{"done": 0, "total": 1}]


@pytest.mark.torch
@needs_torch
def test_a_wrong_result_is_an_error(bench, tmp_path):
    """Run a bench in which rank 1's numbers are one too large."""
    (tmp_path / "lying.py").write_text(
        "from harness.training import bench, bench_ranks, command\n"
        "true = bench_ranks.BenchRanks.numbers\n"
        "bench_ranks.BenchRanks.numbers = lambda self, count, base: true(self, count, base + (self.rank == 1))\n"
        "command.leave(bench.main())\n"
    )
    processes = bench.start("lying", "--collectives", "all_reduce", "--sizes", "1000")
    assert processes[0].wait(PATIENCE) == 70
    assert "rank 0: all_reduce of 1000 bytes: wrong result: element 0 is 7, expected 6" in bench.errors(0)


@pytest.mark.torch
@needs_torch
def test_what_libraries_print_is_no_part_of_the_output(bench, tmp_path):
    (tmp_path / "chatty.py").write_text(
        "import os\n"
        "from harness.training import bench, bench_ranks, command\n"
        "true = bench_ranks.BenchRanks.start\n"
        "bench_ranks.BenchRanks.start = lambda self: (print('word'), os.write(1, b'byte\\n'), true(self))[2]\n"
        "command.leave(bench.main())\n"
    )
    bench.start("chatty", "--collectives", "barrier")
    bench.succeed()
    assert list(messages(bench)[-1]) == ["result"]
    assert {"word", "byte"} <= set(bench.errors(0))


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "RANK, WORLD_SIZE not set; run this under `harness run` or torchrun"),
        ([], {**ALONE, "WORLD_SIZE": "1"}, "at least 2 ranks"),
        ([], {**ALONE, "RANK": "one"}, "must be whole numbers"),
        (["--collectives", "gossip"], ALONE, "'gossip' is unknown; one of all_reduce"),
        (["--sizes", "1,2parsecs"], ALONE, "unknown unit 'parsecs'"),
        (["--warmup", "0"], ALONE, "not a whole number from 1"),
        (["--seconds", "nan"], ALONE, "not a number of seconds over 0"),
    ],
)
def test_bad_input_is_told_before_anything_starts(arguments, environment, message):
    done = alone(MODULE, *arguments, **{**ALONE, "RANK": "", "WORLD_SIZE": "", **environment})
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.torch
@needs_torch
def test_nobody_at_the_other_end():
    done = alone(MODULE, "--timeout", "2", **{**ALONE, "RANK": "1", "MASTER_PORT": str(free_port())})
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
