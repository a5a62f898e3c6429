"""The pytest plugin as a user's test run has it: pytest as a subprocess on a file that is no part of this tree."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.live import needs, registry

pytestmark = needs()
ROOT = Path(__file__).parents[2]
PATIENCE = 600
"""Seconds: a bound on hangs, far above what anything here takes."""
TORCH_FREE = (
    "import sys; import harness.pytest_plugin; print(sorted({'torch', 'typer', 'networkx', 'harness.model.plan', "
)
TORCH_FREE += "'harness.api', 'cloudpickle'} & set(sys.modules)))"

HEADER = """
import os
import pytest
import harness

pytestmark = pytest.mark.filterwarnings("ignore::harness.HarnessWarning")

def rank():
    return int(os.environ["RANK"])
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on a file of these tests; what it printed, and its exit code."""

    def runner(text, *words, code=0, env=None):
        (tmp_path / "test_user.py").write_text(HEADER + text)
        registered = any(one.value == "harness.pytest_plugin" for one in entry_points())
        plugin = [] if registered else ["-p", "harness.pytest_plugin"]
        without = [word for name in ("cacheprovider", "hypothesispytest", "anyio") for word in ("-p", f"no:{name}")]
        argv = [sys.executable, "-m", "pytest", *without, *plugin, *words, str(tmp_path)]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return runner


def entry_points():
    return importlib.metadata.entry_points(group="pytest11")


def test_the_package_declares_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"harness": "harness.pytest_plugin"}


def test_it_costs_other_test_runs_nothing():
    argv = [sys.executable, "-c", TORCH_FREE]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT, timeout=PATIENCE)
    assert done.stdout == "[]\n"


def test_the_fixture_makes_networks_that_end_with_the_test(run):
    text = """
import time
names = []

def test_two(shaped_network, tmp_path):
    (tmp_path / "later.yaml").write_text("events: [{at: 100ms, down: {edge: 0-1}}]")
    one = shaped_network(nodes=2, profile="none", scenario=tmp_path / "later.yaml")
    other = shaped_network(3, "ring", "none")
    names.extend([one.name, other.name])
    assert one.run(rank) == [0, 1]
    assert other.run(rank) == [0, 1, 2]
    while one.applied()[0, 1].loss is None or one.applied()[0, 1].loss.value < 1:
        time.sleep(0.05)

def test_after():
    print("\\nNAMES", *names)
"""
    out = run(text, "-s")
    assert "2 passed" in out
    (names,) = [line.split()[1:] for line in out.splitlines() if "NAMES" in line]
    assert len(names) == 2
    assert not set(names) & set(registry().names())


def test_a_failure_in_a_node_is_told_with_rank_lines_and_output(run):
    text = """
def test_fails(shaped_network):
    net = shaped_network(nodes=2, profile="none")
    def step():
        print("rank", rank(), "is here")
        if rank() == 1:
            loss = 3.0
            assert loss < 1.0
    net.run(step)
"""
    out = run(text, code=1)
    assert "RankError: rank 1: " in out
    assert "assert 3.0 < 1.0" in out
    assert "in the node of rank 1:" in out
    assert "[1] rank 1 is here" in out
    assert "1 failed" in out


def test_a_failure_that_nobody_asked_about_is_an_error_of_the_test(run):
    text = """
def test_forgets(shaped_network):
    net = shaped_network(nodes=2, profile="none")
    call = net.start(lambda: 1 / 0, ranks=[1])
    while call.running:
        pass
"""
    out = run(text, code=1)
    assert "1 passed, 1 error" in out
    assert "rank 1: ZeroDivisionError" in out


USES = """
def test_uses(shaped_network):
    assert shaped_network(nodes=2, profile="none").run(rank) == [0, 1]
"""


def test_bad_choices_are_told_before_anything_is_made(run):
    assert "InputError: no engine is called 'carrier-pigeon'" in run(USES, "--harness-engine=carrier-pigeon", code=1)
    assert "InputError: no runtime is called 'moon'" in run(USES, env={"HARNESS_RUNTIME": "moon"}, code=1)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(run, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nharness_runtime = of-the-file\nharness_engine = auto\n")
    unset = {"HARNESS_RUNTIME": ""}
    assert "called 'of-the-file'" in run(USES, env=unset, code=1)
    assert "called 'of-the-shell'" in run(USES, env={"HARNESS_RUNTIME": "of-the-shell"}, code=1)
    told = run(USES, "--harness-runtime=of-the-line", env={"HARNESS_RUNTIME": "of-the-shell"}, code=1)
    assert "called 'of-the-line'" in told
    named = USES.replace("nodes=2", "nodes=2, runtime='of-the-test'")
    assert "called 'of-the-test'" in run(named, "--harness-runtime=of-the-line", code=1)


NOWHERE = {"HARNESS_RUNTIME": "docker", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
"""A machine that can make no network."""


def test_a_machine_that_cannot_fails_the_test_and_says_what_mends_it(run):
    out = run(USES, env=NOWHERE, code=1)
    assert "UnavailableError" in out
    assert "1 failed" in out


@pytest.mark.parametrize("how", ["line", "file"])
def test_it_is_skipped_only_where_the_user_wants_that(run, tmp_path, how):
    if how == "file":
        (tmp_path / "pytest.ini").write_text("[pytest]\nharness_skip_unavailable = true\n")
    words = ["--harness-skip-unavailable"] if how == "line" else []
    out = run(USES, "-rs", *words, env=NOWHERE)
    assert "1 skipped" in out
    assert "no shaped network here: " in out


def test_skipping_hides_no_wrong_input(run):
    text = USES.replace('profile="none"', 'profile="wann"')
    assert "ProfileError" in run(text, "--harness-skip-unavailable", code=1)


def test_a_warning_about_links_that_is_made_an_error_leaves_nothing(run):
    text = """
import warnings
from harness.networks.placement import Placement

def test_warned(shaped_network, monkeypatch):
    made, real = [], Placement.start

    def start(self, name, plan, *, transient, progress, tell):
        tell("slow links")
        made.append(real(self, name, plan, transient=transient, progress=progress, tell=tell))
        return made[0]

    monkeypatch.setattr(Placement, "start", start)
    with warnings.catch_warnings():
        warnings.simplefilter("error", harness.HarnessWarning)
        with pytest.raises(harness.HarnessWarning, match="slow links"):
            shaped_network(nodes=2, profile="none")
    assert not made[0].backend.alive
"""
    assert "1 passed" in run(text)


@pytest.mark.torch
def test_the_example_trains_across_bad_networks(run):
    out = run((ROOT / "examples" / "test_convergence.py").read_text())
    assert "2 passed" in out
