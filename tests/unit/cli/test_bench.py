"""What ``harness bench`` reads of the ranks' output; shell scripts replace the workload."""

import json
import os
import subprocess
from contextlib import suppress
from types import SimpleNamespace

import pytest
import typer

from harness.cli.bench import measure
from harness.errors import HarnessError
from tests.support.plans import network

RESULT = {"rows": [{"collective": "barrier"}], "torch": "2.13.0"}
ROW = {"collective": "barrier", "bytes": 0, "seconds_median": 0.0241}


class LocalRuntime:
    """Every node is this machine, and its Python a shell script."""

    environ = os.environ

    def __init__(self, python):
        self.python = str(python)
        self.processes = []

    def spawn(self, rank, argv, *, env=None, stdio=None, own_group=True, cwd=None):
        self.processes.append(
            subprocess.Popen(
                argv, env=env, stdin=stdio.stdin, stdout=stdio.stdout, stderr=stdio.stderr, process_group=0
            )
        )
        return self.processes[-1]


@pytest.fixture
def run(tmp_path, capfdbinary, monkeypatch):
    """Measure with this script; the result or the error, and the output."""
    made = []

    def runner(script):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/bash\n{script}")
        python.chmod(0o700)
        made.append(LocalRuntime(python))
        try:
            found = measure(SimpleNamespace(backend=made[-1], plan=network("ring", 3)), ["--sizes", "1KiB"])
        except (typer.Exit, HarnessError) as error:
            found = error
        return found, *(text.decode() for text in capfdbinary.readouterr())

    yield runner
    for process in (process for backend in made for process in backend.processes):
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def told(*messages):
    lines = " ".join(f"'{json.dumps(message)}'" for message in messages)
    return f"if [ $RANK = 0 ]; then printf '%s\\n' {lines}; fi\n"


PROGRESS = [{"done": 0, "total": 1}, {"done": 1, "total": 1, "row": ROW}]


def test_rank_0s_messages_are_taken_and_all_else_is_printed(run):
    result, out, err = run(
        told(*PROGRESS, {"result": RESULT})
        + 'echo word $RANK; echo trouble $RANK >&2; echo \'{"other": 1}\'; echo "$*"'
    )
    assert result == RESULT
    assert sorted(out.splitlines()) == sorted(
        f"[{rank}] {line}"
        for rank in range(3)
        for line in (f"word {rank}", '{"other": 1}', "-m harness.training.bench --sizes 1KiB")
    )
    assert all(f"[{rank}] trouble {rank}" in err for rank in range(3))


def test_each_row_is_reported_as_it_is_measured_where_there_is_no_terminal(run):
    sized = {"done": 2, "total": 2, "row": {"collective": "all_reduce", "bytes": 65536, "seconds_median": 1.5}}
    _, out, err = run(told(*PROGRESS, sized, {"result": RESULT}))
    assert out == ""
    assert err.splitlines() == [
        "harness: starting PyTorch on every node",
        "harness: 0 of 1: measuring",
        "harness: 1 of 1: barrier: 24.1 ms",
        "harness: 2 of 2: all_reduce 64 KiB: 1.5 s",
    ]


def test_only_rank_0_has_a_result(run):
    line = json.dumps({"result": {"rows": []}})
    result, out, _ = run(told({"result": RESULT}) + f"[ $RANK != 1 ] || echo '{line}'")
    assert result == RESULT
    assert out == f"[1] {line}\n"


def test_the_first_rank_that_fails_ends_the_command(run):
    ended, _, err = run(told(*PROGRESS) + "[ $RANK != 2 ] && exec sleep 60; echo 'rank 2: broken' >&2; exit 70")
    assert ended.exit_code == 70
    assert "[2] rank 2: broken" in err
    assert "rank 2 failed first (exit code 70)" in err


def test_no_result_is_an_error(run):
    ended, out, _ = run(told(*PROGRESS))
    assert str(ended) == "rank 0 ended without a result"
    assert out == ""
