"""Records collectives of unchanged jobs: real processes with real gloo, over loopback only."""

import itertools
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from harness.model.collectives_hook import collectives_environment
from tests.support import warm_python
from tests.support.workload import PATIENCE, free_port, needs_torch

pytestmark = [pytest.mark.torch, needs_torch]
FULL = pytest.mark.full

RANKS = 2
BEGIN = """
import os, sys, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
torch.set_num_threads(1)
rank, tensor = dist.get_rank(), torch.ones(1000)
record = os.path.join(os.environ["HARNESS_RUN_DIR"], f"collectives-{os.environ.get('NODE_RANK', rank)}.jsonl")
patience = time.monotonic() + 60
while not BEGUN and time.monotonic() < patience:
    time.sleep(0.01)
time.sleep(0.2)  # just after it has made its file, the recorder starts the profiler
"""
RECORDING = "os.path.exists(record)"
"""Time for the recorder to find the process group, for which it looks every 20 ms."""
REPORTED = "os.fstat(2).st_size"
"""Something was written on standard error."""
END = """
dist.barrier()
dist.destroy_process_group()
"""
KINDS = """
dist.all_reduce(tensor)
dist.broadcast(tensor[:10], 0)
parts = [torch.ones(1000) for _ in range(2)]
dist.all_gather(parts, tensor)
dist.reduce(tensor.double(), 0)
dist.scatter(tensor, parts if rank == 0 else None, 0)
group = dist.new_group([0, 1], group_desc="pipeline")
dist.all_reduce(tensor[:7], group=group)
dist.broadcast(tensor[:7], 0, group=dist.new_group([0, 1]))
if rank == 0:
    dist.send(tensor[:5], 1)
else:
    dist.recv(tensor[:5], 0)
time.sleep(1)  # the record is read while there are still groups
"""
LATE = """
if rank == 1:
    time.sleep(0.5)
dist.all_reduce(tensor)
work = dist.all_reduce(torch.ones(100_000), async_op=True)
time.sleep(1)
work.wait()
"""
DDP = """
from torch.nn.parallel import DistributedDataParallel

model = DistributedDataParallel(torch.nn.Linear(99, 10))
for step in range(20):
    model(torch.ones(4, 99)).sum().backward()
    time.sleep(0.1)
"""
MANY = """
groups = [dist.new_group([0, 1]) for _ in range(2)]
held = dist.all_reduce(tensor, group=groups[rank], async_op=True)  # nothing is read while one is under way
for number in range(300):
    dist.all_reduce(tensor)
dist.all_reduce(tensor, group=groups[1 - rank])
held.wait()
"""
UNDER_WAY = """
received, works = torch.ones(10), []
for number in range(150):
    pending = dist.irecv(received, 1 - rank)
    works.append(dist.all_reduce(torch.ones(200_000), async_op=True))
    time.sleep(0.02)
    dist.isend(torch.ones(10), 1 - rank).wait()
    pending.wait()
    works.pop(0).wait()
"""
PROFILED = """
from torch.profiler import ProfilerActivity, profile

def some(count):
    for number in range(count):
        dist.all_reduce(tensor)
        time.sleep(0.02)

some(20)
with profile(activities=[ProfilerActivity.CPU]) as own:
    some(120)  # the record is read after 2 s
assert sum(event.name == "gloo:all_reduce" for event in own.events()) == 120
some(20)
"""


def run(tmp_path, script, **more):
    """The ranks' records, and their standard error."""
    errors = run_job(tmp_path, script, **more)
    return [read(tmp_path, rank) for rank in range(len(errors))], errors


def run_job(tmp_path, script, *, torchrun=(), codes=(0, 0), begun=RECORDING, **more):
    """The standard error of each rank, or of torchrun with these arguments, after these exit codes."""
    program = tmp_path / "program.py"
    program.write_text(BEGIN.replace("BEGUN", begun) + script + END)
    world = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "RANK": "0"}
    base = {**os.environ, **world, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", **more}
    environment = {**base, **collectives_environment(base), "HARNESS_RUN_DIR": str(tmp_path)}
    what = ("torch.distributed.run", [*torchrun, str(program)]) if torchrun else (program, [])
    with ExitStack() as at_end:
        out, *errors = (at_end.enter_context(TemporaryFile("w+")) for _ in range(1 + len(codes)))
        processes = []
        for rank, error in enumerate(errors):
            process = warm_python.start(*what, environment | {"RANK": str(rank)}, out, error)
            at_end.callback(process.wait, PATIENCE)
            at_end.callback(process.kill)
            processes.append(process)
        ended = tuple(process.wait(PATIENCE) for process in processes)
        for error in errors:
            error.seek(0)
        said = [error.read() for error in errors]
    assert ended == codes, said
    return said


def read(folder, rank):
    return [json.loads(line) for line in Path(folder, f"collectives-{rank}.jsonl").read_text().splitlines()]


def test_every_kind_of_collective_has_its_size_group_and_duration(tmp_path):
    recorded, errors = run(tmp_path, KINDS)
    assert not any("harness" in text for text in errors)
    for rank, lines in enumerate(recorded):
        assert [(line["op"], line["bytes"], line["ranks"], line["group"]) for line in lines] == [
            ("all_reduce", 4000, 2, "default_pg"),
            ("broadcast", 40, 2, "default_pg"),
            ("all_gather", 4000, 2, "default_pg"),
            ("reduce", 8000, 2, "default_pg"),
            ("scatter", 8000 if rank == 0 else 0, 2, "default_pg"),
            ("all_reduce", 28, 2, "pipeline"),
            ("broadcast", 28, 2, "2"),
            (["send", "recv"][rank], 20, 2, ""),
            ("barrier", 0, 2, "default_pg"),
        ]
        for before, after in itertools.pairwise(lines):
            assert before["seconds"] > 0
            assert before["start"] + before["seconds"] <= after["start"] + 0.001, "each was waited for"
        assert all(line["step"] is None for line in lines)


@pytest.mark.timing
@pytest.mark.xdist_group("training")
def test_the_end_is_when_it_is_complete_and_a_rank_that_comes_late_is_waited_for(tmp_path):
    (first, second), _ = run(tmp_path, LATE)
    assert first[0]["seconds"] == pytest.approx(0.5, abs=0.25)
    assert second[0]["seconds"] < 0.2
    for lines in (first, second):
        assert lines[1]["bytes"] == 400_000
        assert lines[1]["seconds"] < 0.7, "until it was waited for, a second"
        assert lines[2]["start"] - lines[1]["start"] > 0.95


@pytest.mark.full  # test_train.py times the trainer's collectives
def test_ddp_averages_its_gradients_within_the_backward_pass(tmp_path):
    recorded, _ = run(tmp_path, DDP)
    for lines in recorded:
        averaged = [line for line in lines if line["op"] == "all_reduce" and line["bytes"] == 4000]
        assert len(averaged) == 20
        assert sum(line["seconds"] is not None for line in averaged) >= 18, "the profiler is off for a moment at times"


def test_what_comes_too_fast_is_counted_as_missed(tmp_path):
    recorded, _ = run(tmp_path, MANY, TORCH_FR_BUFFER_SIZE="64")
    for lines in recorded:
        missed = sum(line.get("missed", 0) for line in lines)
        seen = [line for line in lines if "op" in line]
        assert len(seen) + missed == 300 + 2 + 1
        assert missed > 200
        known = [line["seconds"] is not None for line in seen[:60]]
        assert all(known), "if the record is read just before the job ends, its last collective has no end"


def test_what_is_under_way_when_the_record_is_read_does_no_harm(tmp_path):
    """If its profiler started again, torch would write the end of a receive into freed memory."""
    recorded, errors = run(tmp_path, UNDER_WAY)
    for lines, text in zip(recorded, errors, strict=True):
        assert text.count("this job sends and receives") == 1
        averaged = [line["seconds"] for line in lines if line["op"] == "all_reduce"]
        assert len(averaged) == 150
        assert averaged[5] is not None
        assert averaged[-1] is None


def test_a_script_that_profiles_itself_has_its_profile_and_is_told_once(tmp_path):
    recorded, errors = run(tmp_path, PROFILED)
    for lines, text in zip(recorded, errors, strict=True):
        assert text.count("harness: rank") == 1
        assert "collectives are not timed" in text
        assert sum("op" in line for line in lines) == 20 + 120 + 20 + 1
        known = [line["seconds"] is not None for line in lines]
        assert sum(known[100:140]) == 0, "within the profile"


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), pytest.param("raise ValueError", 1, marks=FULL)])
def test_a_script_that_ends_early_has_its_record_and_its_exit_code(tmp_path, ending, code):
    recorded, _ = run(tmp_path, f"dist.all_reduce(tensor)\ndist.barrier()\n{ending}", codes=(code, code))
    assert [[line["op"] for line in lines] for lines in recorded] == [["all_reduce", "barrier"]] * RANKS
    assert all(line["seconds"] for lines in recorded for line in lines)


def test_processes_of_one_node_write_to_one_file_by_torchrun(tmp_path):
    """Its workers are new interpreters, which run the hook at their start."""
    torchrun = ("--standalone", "--nproc-per-node", "2")
    [lines], errors = run(tmp_path, "dist.all_reduce(tensor)", torchrun=torchrun, codes=(0,), NODE_RANK="0")
    assert sorted(line["op"] for line in lines) == ["all_reduce", "all_reduce", "barrier", "barrier"]
    assert "harness" not in errors[0]
    assert [path.name for path in tmp_path.glob("collectives-*")] == ["collectives-0.jsonl"]


def test_a_file_that_cannot_be_written_is_reported_and_the_job_goes_on(tmp_path):
    for rank in range(RANKS):
        (tmp_path / f"collectives-{rank}.jsonl").symlink_to(tmp_path / "elsewhere")
    errors = run_job(tmp_path, "dist.all_reduce(tensor)", begun=REPORTED)
    assert all("collectives are not written one by one" in text for text in errors)
    assert not (tmp_path / "elsewhere").exists()


def test_python_without_torch_and_another_sitecustomize_are_as_before(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.of_the_user = 7\n")
    base = {**os.environ, "PYTHONPATH": str(tmp_path), "HARNESS_RUN_DIR": str(tmp_path)}
    words = [
        sys.executable,
        "-c",
        "import sys; print(sys.of_the_user, 'torch' in sys.modules, 'harness' in sys.modules)",
    ]
    done = subprocess.run(words, env=base | collectives_environment(base), capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7 False False\n", "")
