"""The rules of test runs themselves: in CI, a skip that nobody allowed is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import os
import pytest

def test_passes():
    assert "state" in os.environ["HARNESS_STATE_DIR"]

@pytest.mark.parametrize("size", [1, 2])
def test_skips(size):
    pytest.skip("no such thing here")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


@pytest.fixture
def run(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    markers = ("netem", "nfqueue", "namespaces", "torch", "docker", "timing")
    (tmp_path / "pytest.ini").write_text("\n ".join(("[pytest]\nmarkers =", *markers)))

    def runner(tests, allowed="", ci="true"):
        (tmp_path / "test_it.py").write_text(tests)
        (tmp_path / "allowed-skips.txt").write_text(allowed)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q"]
        variables = {**os.environ, "CI": ci, "PYTHONPATH": str(CONFTEST.parents[1])}
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)

    return runner


def test_outside_ci_a_skip_is_no_failure(run):
    result = run(TESTS, ci="")
    assert result.returncode == 0
    assert "is a failure" not in result.stdout


def test_what_measures_time_is_refused_among_the_unit_tests(run, tmp_path):
    measures = "import pytest\n\n@pytest.mark.timing\ndef test_measures():\n    pass\n"
    assert run(measures).returncode == 0
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_unit.py").write_text(measures)
    result = run(measures)
    assert result.returncode == 4
    assert "unit/test_unit.py::test_measures: what measures time belongs into tests/contract" in result.stderr


def test_in_ci_a_skip_is_a_failure_and_named(run):
    result = run(TESTS)
    assert result.returncode == 1
    assert "test_it.py::test_skips[1]: no such thing here" in result.stdout
    assert "test_it.py::test_skips[2]: no such thing here" in result.stdout
    assert "test_known:" not in result.stdout


def test_in_ci_a_skip_may_be_allowed(run):
    assert run(TESTS, "# comment\n\n*::test_skips?1?  # one\n*::test_skips?2?  # two\n").returncode == 0
    result = run(TESTS, "*::test_skips?1?  # one\n")
    assert result.returncode == 1
    assert "test_skips[1]: " not in result.stdout
    assert "test_skips[2]: " in result.stdout


def test_an_allowed_skip_needs_a_reason(run):
    result = run(TESTS, "ok  # why\n*\n")
    assert result.returncode == 4
    assert "allowed-skips.txt:2: give a reason" in result.stderr


def test_in_ci_a_module_that_skips_itself_is_a_failure(run):
    result = run('import pytest\npytest.importorskip("nothing_of_that_name")\n')
    assert result.returncode not in (0, 2)
    assert "test_it.py: could not import 'nothing_of_that_name'" in result.stdout


FEATURE = """
import pytest
from types import SimpleNamespace

@pytest.fixture(scope="session")
def ground():
    raise AssertionError("set up for a test that cannot run")

def pretend():
    import harness.shaping.detect as capability
    capability.features = lambda: [
        SimpleNamespace(name=name, ok=ok, detail=detail, remedy=remedy, needed_by=needed_by)
        for name, ok, detail, remedy, needed_by in [
            ("namespaces", NAMESPACES, "as root", "be root", ("netem", "userspace")),
            ("sch_netem", False, "No such file", "", ("netem",)),
            ("sch_tbf", False, "No such file", "", ()),
            ("nfqueue", NFQUEUE, "no such table", "", ("userspace",)),
        ]
    ]

pretend()

@pytest.mark.netem
def test_netem(ground):
    pass

@pytest.mark.nfqueue
def test_nfqueue():
    pass

@pytest.mark.namespaces
def test_namespaces():
    pass
"""


def test_what_the_kernel_lacks_is_told_before_anything_is_set_up(run):
    result = run("NAMESPACES = NFQUEUE = True\n" + FEATURE, ci="")
    assert result.returncode == 0
    assert "2 passed, 1 skipped" in result.stdout
    result = run("NAMESPACES = True; NFQUEUE = False\n" + FEATURE)
    assert (
        "test_netem: this kernel lacks sch_netem (No such file): run the tests under scripts/with-netem"
        in result.stdout
    )
    assert "test_nfqueue: this kernel lacks nfqueue (no such table): see harness doctor" in result.stdout


def test_without_namespaces_neither_can_run(run):
    result = run("NAMESPACES = NFQUEUE = False\n" + FEATURE)
    for name in ("test_netem", "test_nfqueue", "test_namespaces"):
        assert f"{name}: no network namespaces: as root; be root" in result.stdout


DOCKER = """
import pytest

@pytest.mark.docker
def test_docker():
    pass
"""


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ("info", "no Docker daemon answers: run the tests under scripts/with-docker"),
        ("compose", "Docker has no Compose v2"),
        ("image", "there is no image harness-node: run scripts/build-image"),
        ("nothing", ""),
    ],
)
def test_what_docker_lacks_is_told(run, tmp_path, monkeypatch, lacks, told):
    (tmp_path / "docker").write_text(f"#!/bin/sh\n[ $1 != {lacks} ]\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = run(DOCKER)
    assert result.returncode == (1 if told else 0)
    assert told in result.stdout


def test_our_own_run_keeps_the_users_networks_out_of_reach():
    from harness.networks.registry import LocalRegistry

    assert str(LocalRegistry()._folder) == os.environ["HARNESS_STATE_DIR"]
    assert "pytest" in os.environ["HARNESS_STATE_DIR"]
