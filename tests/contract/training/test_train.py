"""harness.training.train as two real processes with real gloo, over loopback only."""

import json
import re
import signal
import time

import pytest

from tests.support.trainers import RANKS, holding, mortal, of_kind, records, train
from tests.support.workload import ALONE, alone, needs_torch, workload

pytestmark = [pytest.mark.torch, needs_torch]

MODULE = "harness.training.train"
STEPS, EVERY, SAVED = 24, 6, 2
COURSE = [
    *("--shards", "dirichlet:0.3", "--batch", "16", "--width", "32", "--seed", "3", "--steps", str(STEPS)),
    *("--evaluate-every", str(EVERY), "--checkpoint-every", str(SAVED), "--option", "H=12"),
]
NUMBER = (int, float)
FIELDS = {
    "start": {
        "rank": int,
        "size": int,
        "parameters": int,
        "bytes_per_step": NUMBER,
        "resumed_from": (int, type(None)),
        "elapsed": NUMBER,
        "data": dict,
        "versions": dict,
        "device": str,
    },
    "step": {
        "step": int,
        "elapsed": float,
        "loss": float,
        "seconds": float,
        "seconds_compute": float,
        "seconds_comm": float,
        "sent_bytes": int,
        "received_bytes": int,
    },
    "eval": {"step": int, "elapsed": float, "loss": float, "accuracy": float, "seconds": float},
    "collectives": {"step": int, "ops": dict, "missed": int},
    "end": {"elapsed": float, "step": int},
}


def check(line):
    """The fields of a line, in their order, with their types."""
    fields = FIELDS[line["kind"]]
    assert list(line) == ["kind", "time", *fields]
    for name, kind in {"time": float, **fields}.items():
        assert isinstance(line[name], kind), (name, line)
        assert not isinstance(line[name], bool)


@pytest.fixture(scope="module")
def strategy(tmp_path_factory):
    path = mortal(tmp_path_factory.mktemp("strategy"))
    return lambda name: ["--strategy", f"{path}:{name}"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, strategy):
    """Folder and output of a successful run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = train(*strategy("MortalFedAvg"), *COURSE, "--out", str(folder))
    assert ended.codes == [0] * RANKS, ended.errors
    return folder, ended


def test_every_rank_records_what_the_documentation_says(undisturbed):
    folder, _ = undisturbed
    for rank in range(RANKS):
        lines = records(folder, rank)
        for line in lines:
            check(line)
        start, *_, end = lines
        assert (start["kind"], start["rank"], start["size"], start["resumed_from"]) == ("start", rank, RANKS, None)
        assert start["elapsed"] == 0
        assert sum(start["data"]["of_label"]) == start["data"]["examples"]
        assert (end["kind"], end["step"]) == ("end", STEPS)
        steps, evals = of_kind("step", lines), of_kind("eval", lines)
        assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
        assert [line["step"] for line in evals] == list(range(0, STEPS + 1, EVERY))
        for kind in (lines, steps, evals):
            times = [line["time"] for line in kind]
            assert times == sorted(times)
        elapsed = [line["elapsed"] for line in [*steps, end]]
        assert elapsed == sorted(elapsed)
        for line in steps:
            assert line["seconds"] == pytest.approx(line["seconds_compute"] + line["seconds_comm"])
            assert min(line["seconds_compute"], line["seconds_comm"]) >= 0
        assert all(0 <= line["accuracy"] <= 1 for line in evals)
        assert evals[-1]["loss"] < evals[0]["loss"]
        size = start["parameters"] * 4
        counted = of_kind("collectives", lines)
        assert {name for line in counted for name in line["ops"]} == {"all_reduce"}
        assert sum(line["ops"].get("all_reduce", {"bytes": 0})["bytes"] for line in counted) == 2 * size
        assert sum(line["missed"] for line in counted) == 0
        # others send over this machine's loopback too, the other rank perhaps while this one is a step behind
        assert {12, 24} <= {line["step"] for line in steps if line["sent_bytes"] > size / 2}


def test_every_collective_is_timed_within_its_step(undisturbed):
    folder, _ = undisturbed
    for rank in range(RANKS):
        lines = [json.loads(line) for line in (folder / f"collectives-{rank}.jsonl").read_text().splitlines()]
        steps = {line["step"]: line for line in of_kind("step", records(folder, rank))}
        counted = [
            line["ops"].get("all_reduce", {"count": 0})["count"]
            for line in of_kind("collectives", records(folder, rank))
        ]
        assert len(lines) == sum(counted) > 0
        assert {line["step"] for line in lines} == {12, 24}
        for line in lines:
            assert list(line) == ["op", "start", "seconds", "bytes", "ranks", "group", "step"]
            assert (line["op"], line["ranks"], line["group"]) == ("all_reduce", RANKS, "default_pg")
            step = steps[line["step"]]
            assert 0 < line["seconds"] <= step["seconds_comm"] + 0.001
            assert step["time"] - step["seconds"] <= line["start"] + 0.001
            assert line["start"] + line["seconds"] <= step["time"] + 0.001


def test_shards_differ_and_so_do_the_batches(undisturbed):
    folder, _ = undisturbed
    first, second = ([line["loss"] for line in of_kind("step", records(folder, rank))] for rank in range(RANKS))
    assert first != second
    shards = [records(folder, rank)[0]["data"]["of_label"] for rank in range(RANKS)]
    assert shards[0] != shards[1]


def test_rank_0_says_how_it_goes_and_the_others_nothing(undisturbed):
    _, ended = undisturbed
    first, *_, last = ended.output[0]
    assert re.fullmatch(r"step 1/24  loss \d\.\d{3}  compute \d+\.\d ms  communication \d+\.\d ms", first)
    assert re.fullmatch(r"held-out loss \d\.\d{3}, accuracy \d+\.\d% after \d+\.\d s", last)
    assert ended.output[1] == []
    assert ended.errors == [[], []]


def test_only_the_last_states_are_kept(undisturbed):
    folder, _ = undisturbed
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    assert names == {f"rank-{rank}-step-{step}.pt" for rank in range(RANKS) for step in (20, 22, 24)}


def test_a_killed_run_goes_on_to_the_same_end_bit_for_bit(undisturbed, strategy, tmp_path):
    """Rank 0 has saved steps 2, 4 and 6 when it dies, rank 1 has saved 6, 8 and 10: 6 is the newest that both have.

    What goes on is a new interpreter, with other hashes than the run that is compared with.
    """
    words = [*strategy("MortalFedAvg"), *COURSE, "--out", str(tmp_path)]
    killed = train(*words, KILL_0="7", KILL_1="11")
    assert killed.codes == [-9, -9]
    with (tmp_path / "rank-0.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 7, "ti')
    (tmp_path / "checkpoints" / "rank-1-step-10.part").write_bytes(b"half of a state")

    resumed = train(*words, "--resume", new_interpreters=True)
    assert resumed.codes == [0] * RANKS, resumed.errors
    for rank in range(RANKS):
        lines = records(tmp_path, rank)
        begun, again = of_kind("start", lines)
        assert (begun["resumed_from"], again["resumed_from"]) == (None, 6)
        saved = next(line for line in of_kind("step", lines) if line["step"] == 6)
        assert again["elapsed"] >= saved["elapsed"]
        held = holding(lines)
        elapsed = [line["elapsed"] for line in of_kind("step", held)]
        assert elapsed == sorted(elapsed)
        for kind in ("step", "eval"):
            theirs, ours = of_kind(kind, records(undisturbed[0], rank)), of_kind(kind, held)
            assert [(line["step"], line["loss"]) for line in ours] == [(line["step"], line["loss"]) for line in theirs]
        assert held[-1]["kind"] == "end"


def test_a_rank_that_dies_ends_the_other_with_one_line_and_a_loss_that_is_none_is_null(strategy, tmp_path):
    ended = train(
        *(*strategy("MortalDdp"), "--steps", "1000000", "--width", "32", "--out", str(tmp_path)),
        *("--optimizer", "sgd", "--lr", "1e30"),
        EXIT_1="5",
    )
    assert ended.codes == [70, 9]
    assert ended.output[1] == ["rank 1 has had enough"]
    (line,) = ended.errors[0]
    assert re.match(r"rank 0: step 6: ", line)
    assert ".cc" not in line, line
    steps = of_kind("step", records(tmp_path, 0))
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5]
    assert steps[0]["loss"] > 0
    assert steps[-1]["loss"] is None
    lines = [json.loads(line) for line in (tmp_path / "collectives-0.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["bytes"]] == [1, 2, 3, 4, 5, None], "the last one failed"


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path):
    """A limit on file sizes replaces the full disk: records fit, the first checkpoint does not."""
    text = tmp_path / "own.txt"
    text.write_text("the quick brown fox jumps over the lazy dog; " * 400)
    out = tmp_path / "out"
    ended = train(
        *("--task", "text", "--data", str(text), "--width", "32", "--layers", "1", "--context", "32"),
        *("--batch", "4", "--steps", "4", "--checkpoint-every", "2", "--out", str(out)),
        largest_file=20_000,
    )
    assert ended.codes == [70, 70]
    for rank in range(RANKS):
        path = out / "checkpoints" / f"rank-{rank}-step-2.pt"
        assert ended.errors[rank] == [f"rank {rank}: saving step 2: {path} cannot be written: File too large"]
        lines = records(out, rank)
        assert [line["step"] for line in of_kind("step", lines)] == [1, 2]
        assert lines[0]["data"]["alphabet"] == len(set(text.read_text()))
        assert of_kind("eval", lines)[0]["accuracy"] is None
    assert list((out / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "digitz"], "digitz"),
        (["--shards", "evenly"], "shards 'evenly': write iid, or dirichlet:ALPHA"),
        (["--lr", "nan"], "task digits: lr must be a number over 0, not nan"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--task", "text", "--width", "33"], "task text: width 33 is not a multiple of 32"),
        (["--strategy", "dddp"], "strategy 'dddp' is unknown; did you mean 'ddp'?"),
        (["--strategy", "diloco", "--option", "K=3"], "strategy diloco has no option 'K'; known: "),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path):
    done = alone(MODULE, *arguments, "--out", str(tmp_path), **ALONE)
    assert done.returncode == 2
    told = done.stderr.splitlines()[-1]
    assert message in told
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_place_that_makes_no_sense_is_told_before_anything_starts():
    done = alone(MODULE)
    assert done.returncode == 2
    assert "RANK, WORLD_SIZE" in done.stderr
    assert "not set; run this under `harness run` or torchrun" in done.stderr


def test_all_that_ddp_sends_in_a_step_is_waited_for_and_counted(tmp_path):
    """Its broadcasts that order buckets are over before the first step."""
    ended = train(
        "--strategy", "ddp", "--steps", "2", "--batch", "8", "--checkpoint-every", "0", "--out", str(tmp_path)
    )
    assert ended.codes == [0] * RANKS, ended.errors
    operations = [name for line in of_kind("collectives", records(tmp_path, 0)) for name in line["ops"]]
    assert set(operations) == {"all_reduce"}


OVERLAPPING = """
import time
import torch
import torch.distributed as dist
from harness.training.strategies.local import Local


class Overlapping(Local):
    def share_parameters(self):
        time.sleep(0.03)  # the collectives are read every few seconds
        other = 1 - dist.get_rank()
        for work in getattr(self, "works", []):
            work.wait()
        time.sleep(0.01 * dist.get_rank())  # rank 0 has ended when the last of rank 1 comes
        self.theirs = torch.empty(1000)
        self.works = [dist.irecv(self.theirs, src=other), dist.isend(torch.ones(1000), dst=other)]
"""
"""A user's strategy that receives while it computes: a receive is under way at the end of every step."""


def test_a_users_strategy_that_receives_while_it_computes_is_not_timed(tmp_path):
    path = tmp_path / "overlapping.py"
    path.write_text(OVERLAPPING)
    out = tmp_path / "out"
    ended = train("--strategy", str(path), "--steps", "100", "--evaluate-every", "50", "--out", str(out))
    assert ended.codes == [0, 0], ended.errors
    assert "this job sends and receives" in "\n".join(ended.errors[0])
    assert of_kind("end", records(out, 0))


def test_states_of_another_run_are_refused_and_a_new_run_removes_them(tmp_path):
    course = ["--steps", "2", "--batch", "8", "--checkpoint-every", "2", "--out", str(tmp_path)]
    assert train("--strategy", "local", *course).codes == [0] * RANKS
    other = train("--strategy", "local", "--seed", "7", "--resume", *course)
    assert other.codes == [70] * RANKS
    assert "of another run: seed was 0, not 7" in other.errors[0][0]
    assert train("--strategy", "local", *course[:-4], "--checkpoint-every", "0", *course[-2:]).codes == [0] * RANKS
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_sigterm_ends_a_rank_at_once_while_it_waits_for_others(tmp_path):
    """Rank 1 is stopped, so all others wait inside a collective."""
    with workload(tmp_path) as ranks:
        processes = ranks.start("harness.training.train", "--steps", "1000000", "--checkpoint-every", "0")
        ranks.wait_for_output()
        processes[1].send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        processes[3].send_signal(signal.SIGTERM)
        assert processes[3].wait(5) == -signal.SIGTERM
        assert ranks.errors(3) == []
