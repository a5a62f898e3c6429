"""harness.training.small_loop as four real processes with real gloo, over loopback only."""

import itertools
import json
import re
import signal
import time

import pytest

from tests.support.workload import ALONE, PATIENCE, RANKS, alone, needs_torch, workload

MODULE = "harness.training.small_loop"
FIELDS = ["step", "time", "seconds_comm", "seconds_compute", "bytes", "loss"]


@pytest.fixture
def loop(tmp_path):
    with workload(tmp_path) as made:
        yield made


def records(folder, rank):
    return [json.loads(line) for line in (folder / f"rank-{rank}.jsonl").read_text().splitlines()]


@pytest.mark.torch
@needs_torch
def test_all_ranks_learn_together_and_tell_what_each_step_took(loop, tmp_path):
    began = time.time()
    runs = tmp_path / "made" / "here"
    loop.start(MODULE, "--steps", "30", "--size", "100000B", "--pause", "50ms", HARNESS_RUN_DIR=str(runs))
    loop.succeed()

    losses = []
    for rank in range(RANKS):
        found = records(runs, rank)
        assert [list(record) for record in found] == [FIELDS] * 30
        assert [record["step"] for record in found] == list(range(1, 31))
        assert {record["bytes"] for record in found} == {100000}
        assert all(record["seconds_comm"] > 0 and record["seconds_compute"] > 0 for record in found)
        times = [began, *(record["time"] for record in found), time.time()]
        assert times == sorted(times)
        assert times[-2] - times[1] >= 29 * 0.05
        losses.append([record["loss"] for record in found])
    first_mean, *_, last_mean = (sum(of_step) / RANKS for of_step in zip(*losses, strict=True))
    assert last_mean < 0.75 * first_mean
    assert len({of_rank[0] for of_rank in losses}) == RANKS

    first, *_, last = loop.output(0)
    assert re.fullmatch(
        r"step 1/30  loss \d\.\d{3}  all_reduce \d+\.\d ms  bus bandwidth [\d.]+ Mbit/s  compute \d+ ms", first
    )
    assert re.fullmatch(
        r"30 steps in \d+\.\d s  loss \d\.\d{3} -> \d\.\d{3}  all_reduce median \d+\.\d ms, p95 \d+\.\d ms  "
        r"parameters equal on 4 ranks",
        last,
    )
    told = [int(re.match(r"step (\d+)/", line)[1]) for line in loop.output(0)[:-1]]
    at = [records(runs, 0)[step - 1]["time"] for step in told]
    assert len(told) >= 2
    assert all(after - before > 0.99 for before, after in itertools.pairwise(at))
    assert [loop.output(rank) for rank in range(1, RANKS)] == [[]] * (RANKS - 1)


@pytest.mark.torch
@needs_torch
def test_a_killed_rank_ends_the_others_with_one_line(loop, tmp_path):
    processes = loop.start(MODULE, "--steps", "1000000", "--pause", "0", "--out", str(tmp_path))
    loop.wait_for_output()
    processes[2].send_signal(signal.SIGKILL)
    for rank in (0, 1, 3):
        assert processes[rank].wait(PATIENCE) == 70
        (line,) = loop.errors(rank)
        step = records(tmp_path, rank)[-1]["step"] + 1
        assert line.startswith(f"rank {rank}: step {step}: all_reduce of 1048576 bytes: ")
        assert ".cc" not in line


@pytest.mark.torch
@needs_torch
def test_sigterm_ends_a_rank_at_once_while_it_waits_for_others(loop):
    """Rank 1 is stopped, so all others wait inside an all_reduce."""
    processes = loop.start(MODULE, "--steps", "1000000", "--pause", "0")
    loop.wait_for_output()
    processes[1].send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    processes[3].send_signal(signal.SIGTERM)
    assert processes[3].wait(2) == -signal.SIGTERM
    assert loop.errors(3) == []


@pytest.mark.torch
@needs_torch
def test_parameters_that_drift_apart_are_an_error(loop, tmp_path):
    """Rank 3 alone moves one parameter by very little after the last step."""
    (tmp_path / "drifting.py").write_text(
        "import os\n"
        "from harness.training import command, small_loop as loop, small_model as model\n"
        "true = model.Model.digest\n"
        "def digest(self):\n"
        "    if os.environ['RANK'] == '3':\n"
        "        self.parameters.data[77] += 1e-6\n"
        "    return true(self)\n"
        "model.Model.digest = digest\n"
        "command.leave(loop.main())\n"
    )
    processes = loop.start("drifting", "--steps", "2", "--pause", "0")
    assert [process.wait(PATIENCE) for process in processes] == [70] * RANKS
    assert loop.errors(0) == ["rank 0: comparing parameters after 2 steps: they differ between ranks"]
    assert "equal" not in loop.output(0)[-1]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "RANK, WORLD_SIZE not set; run this under `harness run` or torchrun"),
        ([], {**ALONE, "WORLD_SIZE": "1"}, "at least 2 ranks"),
        (["--out", "/proc/x"], ALONE, "rank 0: writing /proc/x/rank-0.jsonl: No such file or directory"),
        ([], {**ALONE, "HARNESS_RUN_DIR": "/proc/x"}, "rank 0: writing /proc/x/rank-0.jsonl"),
    ],
)
def test_a_wrong_place_is_told_before_anything_starts(arguments, environment, message):
    done = alone(MODULE, *arguments, **{**ALONE, "RANK": "", "WORLD_SIZE": "", **environment})
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
