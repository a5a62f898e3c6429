"""``harness run --record`` on real networks: whole records whatever ends the run, and a disk that is full."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.experiment.report.load import load_experiment
from harness.networks.backends import DOCKER
from tests.support.cli import HARNESS, wait_for
from tests.support.live import addressing, needs, own, runtime_name

pytestmark = needs()
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]
TALK = """
import os, socket, sys, time
rank, home = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], 5555)
print("to stdout", os.environ["HARNESS_RUN_DIR"])
print("to stderr", file=sys.stderr)
import harness
if rank == 0:
    with socket.create_server(("", home[1])) as server, server.accept()[0] as other:
        while other.recv(65536):
            pass
else:
    for _ in range(100):
        try:
            connection = socket.create_connection(home)
            break
        except OSError:
            time.sleep(0.1)
    with connection:
        connection.sendall(bytes(200_000))
for step in range(5):
    harness.log(step=step, loss=1 / (step + 1))
"""


class Recorder:
    """Runs commands with records, in a folder of the test's own."""

    def __init__(self, harness, folder):
        harness.env["HARNESS_NAME"] = own("record")
        self.harness, self.runs = harness, folder / "runs"

    def argv(self, *words, options=()):
        return [*HARNESS, "run", "-n", "2", *SUBNETS, "--record", "--runs", str(self.runs), *options, "--", *words]

    def __call__(self, *words, options=(), code=0):
        done = subprocess.run(
            self.argv(*words, options=options), env=self.harness.env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def folder(self):
        """Of the only run."""
        (folder,) = self.runs.iterdir()
        return folder

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def lines(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture
def record(harness, tmp_path):
    made = Recorder(harness, tmp_path)
    yield made
    harness("down")


@pytest.mark.backend
def test_a_script_leaves_a_record_that_the_report_reads(record, harness):
    python = "python3" if runtime_name() == DOCKER else "python"
    done = record(python, "-c", TALK, "--api-key", "k3y", options=["--profile", "mobile"])
    folder = record.folder
    assert folder.name.startswith("python")
    seen = "/runs" if runtime_name() == DOCKER else str(folder)
    for rank in (0, 1):
        assert f"[{rank}] to stdout {seen}" in done.stdout
        assert sorted((folder / f"rank-{rank}.log").read_text().splitlines()) == ["to stderr", f"to stdout {seen}"]
        logged = [line for line in record.lines(f"rank-{rank}.jsonl") if line["kind"] == "log"]
        assert [(line["step"], line["values"]["loss"]) for line in logged] == [(n, 1 / (n + 1)) for n in range(5)]
    facts, ending = record.json("run.json"), record.json("end.json")
    assert facts["command"] == [python, "-c", TALK, "--api-key", "***"]
    assert "k3y" not in "".join(path.read_text() for path in folder.iterdir())
    assert (facts["profile"], facts["nodes"], facts["runtime"]) == ("mobile", 2, runtime_name())
    assert (ending["status"], ending["codes"]) == ("finished", {"0": 0, "1": 0})

    told = done.stderr[done.stderr.index(f"recorded in {folder}") :].splitlines()
    assert len(told) <= 10
    summary = {line[:13].strip(): line[13:].strip() for line in told[1:]}
    assert summary["exit codes"] == "0 on all 2 ranks"
    assert summary["steps"] == "logged loss 1 at step 0, 0.2 at step 4"
    assert float(summary["sent"].split()[0]) >= 200
    assert summary["busiest"].startswith("1->0, ")
    assert summary["why"]

    (listed,) = json.loads(harness("experiment", "list", "--runs", str(record.runs), "--json").stdout)
    assert (listed["folder"], listed["kind"], listed["state"]) == (str(folder), "run", "finished")
    reported = json.loads(harness("report", str(record.runs / "latest"), "--json").stdout)
    assert [run["slug"] for run in reported["runs"]] == [folder.name]


@pytest.mark.torch
@pytest.mark.skipif(runtime_name() == DOCKER, reason="its image has the package, and not the examples")
def test_a_plain_training_loop_that_a_scenario_follows(record, harness, tmp_path):
    script = Path(__file__).parents[2] / "examples" / "plain_loop.py"
    (tmp_path / "scenario.yaml").write_text("events: [{at: step 3, set: {edge: 0-1, rate: 5gbit}}]")
    options = ["--profile", "datacenter", "--scenario", str(tmp_path / "scenario.yaml")]
    record("python", str(script), "--lr", "0.5", options=options)
    assert record.folder.name.startswith("plain_loop-")
    (run,) = load_experiment(record.folder).runs
    for rank in run.ranks:
        assert [one.step for one in rank.logs] == list(range(30))
        assert rank.logs[-1].values["loss"] < rank.logs[0].values["loss"] / 2
    (reported,) = json.loads(harness("report", str(record.folder), "--json").stdout)["runs"]
    assert reported["slug"] == record.folder.name
    (change,) = record.lines("changes.jsonl")
    assert {edge["after"]["rate_bit_s"] for edge in change["edges"]} == {5e9}


def test_a_reshape_is_recorded(record, harness):
    process = subprocess.Popen(
        record.argv("sh", "-c", f"until [ -e {record.runs}/go ]; do sleep 0.1; done"),
        env=harness.env,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: list(record.runs.glob("*/links*.jsonl")))
    harness("link", "set", "0-1", "--delay", "30ms")
    (record.runs / "go").touch()
    assert process.wait(60) == 0
    (record.runs / "go").unlink()
    (change,) = record.lines("changes.jsonl")
    assert [(edge["src"], edge["dst"]) for edge in change["edges"]] == [(0, 1), (1, 0)]


def test_a_rank_that_fails_leaves_a_whole_record(record):
    done = record("sh", "-c", "echo rank $RANK is here; [ $RANK = 0 ] && sleep 60; echo no more; exit 7", code=7)
    ending = record.json("end.json")
    assert (ending["status"], ending["code"], ending["failed_rank"]) == ("failed", 7, 1)
    assert ending["codes"] == {"0": 143, "1": 7}
    assert ending["last_lines"] == ["rank 1 is here", "no more"]
    assert "rank 0: 143, rank 1: 7" in done.stderr
    assert "rank 1 failed first (exit code 7)" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "status"),
    [(["--timeout", "2s"], 124, "limit"), (["--until", "rank:1"], 0, "finished")],
)
def test_jobs_that_are_cut_short(record, options, code, status):
    record("sh", "-c", "[ $RANK = 0 ] && sleep 60; [ $RANK = 1 ] && sleep 3; true", options=options, code=code)
    ending = record.json("end.json")
    assert (ending["status"], ending["code"], ending["codes"]["0"]) == (status, code, 143)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_leaves_a_whole_record(record, harness, number, code):
    argv = record.argv("sh", "-c", "echo here; sleep 60")
    process = subprocess.Popen(argv, env=harness.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: [path for path in record.runs.glob("*/rank-*.log") if path.read_text() == "here\n"][1:])
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    ending = record.json("end.json")
    assert (ending["status"], ending["code"]) == ("stopped", code)
    assert [path for path in record.folder.glob("links*.jsonl") if path.read_text()]
    assert "stopped after" in errors
    assert "Traceback" not in errors


def test_a_run_that_was_killed_is_unfinished_and_can_be_read(record, harness):
    process = subprocess.Popen(record.argv("sleep", "60"), env=harness.env, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(record.runs.glob("*/links*.jsonl")))
    process.kill()
    process.wait()
    with (record.folder / "links.jsonl").open("a") as file:
        file.write('{"time": 17')
    (listed,) = json.loads(harness("experiment", "list", "--runs", str(record.runs), "--json").stdout)
    assert listed["state"] == "unfinished"
    (run,) = json.loads(harness("report", str(record.folder), "--json").stdout)["runs"]
    assert run["status"] == "unfinished"


@pytest.mark.skipif(os.geteuid() != 0 or runtime_name() == DOCKER, reason="mounts a small disk for namespaces")
def test_a_disk_that_is_full_is_said_once_by_each_and_the_job_goes_on(record, harness):
    """One says it of the whole record, and each rank of what it logs."""
    record.runs.mkdir()
    loud = (
        "import harness, os, time\n"
        "for _ in range(300): print('x' * 200, flush=True)\n"
        "while os.statvfs(os.environ['HARNESS_RUN_DIR']).f_bfree: time.sleep(0.05)\n"
        "for step in range(300): harness.log(step=step, loss=0.5)\n"
        "time.sleep(0.5); print('done', flush=True)"
    )
    mount = f'mount -t tmpfs -o size=64k none {record.runs}; "$@"; code=$?; cat {record.runs}/*/end.json; exit $code'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", *record.argv("python", "-c", loud)],
        env=harness.env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert all(f"[{rank}] done" in done.stdout for rank in (0, 1))
    full = [line for line in done.stderr.splitlines() if "No space left on device" in line]
    ours = [line for line in full if "harness.log" not in line]
    theirs = [line for line in full if "harness.log drops what it cannot write" in line]
    assert len(ours) == 1
    assert 1 <= len(theirs) <= 2
    assert len(full) == len(ours) + len(theirs)


def test_without_a_folder_the_job_runs_all_the_same(record):
    record.runs.write_text("a file")
    done = record("echo", "hello")
    assert "[0] hello" in done.stdout
    assert "this run is not recorded" in done.stderr


def test_a_dry_run_says_where_it_would_record_and_makes_nothing(record):
    done = record("python", "train.py", options=["--dry-run"])
    assert f"recorded in {record.runs}/train-" in done.stdout
    assert not record.runs.exists()


def test_wrong_options_are_refused_before_anything_is_made(harness, tmp_path):
    done = harness("run", "--runs", str(tmp_path / "runs"), "--", "true", code=2)
    assert "--runs needs --record" in done.stderr
    words = ["--runtime", "docker", "--volume", "/tmp:/runs", "--record", "--runs", str(tmp_path / "runs")]
    done = harness("run", *words, "--", "true", code=2)
    assert "has its folder at /runs in containers" in done.stderr
    assert not Path(tmp_path / "runs").exists()
