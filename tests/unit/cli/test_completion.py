"""Completion of profiles, topologies and engines; tests/e2e has names, ranks and edges of networks."""

import os
import subprocess
import sys

import pytest

from tests.support import warm_harness

START = "import sys; sys.argv = ['harness']; from harness.cli.main import main; main()"


def variables(words, **environ):
    """The variables by which bash asks for completion of the last word."""
    asked = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return os.environ | asked | environ


def offered(words, **environ):
    """The completions that bash gets."""
    done = warm_harness.run([], variables(words, **environ))
    assert done.stderr == ""
    return done.stdout.split()


def test_a_new_interpreter_imports_all_that_it_needs():
    env = variables("harness exec ")
    done = subprocess.run([sys.executable, "-c", START], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("all\n", "")


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ("harness p", {"plan", "profiles", "partition"}),
        ("harness up --profile mob", {"mobile", "mobile-real"}),
        ("harness profiles cross", {"cross-continental"}),
        ("harness link set 0-1 -p no", {"none"}),
        ("harness plan -t is", {"islands"}),
        ("harness run --topology ", {"ring", "star", "fully_connected", "regions:aws"}),
        ("harness up --engine ", {"auto", "netem", "userspace"}),
        ("harness experiment run --runtime d", {"docker"}),
        ("harness plan --between wa", {"wan"}),
        ("harness run --scenario ", {"flaky-wan", "commute"}),
        ("harness play sat", {"satellite"}),
        ("harness link s", {"set", "show"}),
        ("harness node s", {"set", "show"}),
        ("harness trunk set eu-us --o", {"--one-way", "--overhead"}),
    ],
)
def test_words(words, some):
    found = offered(words)
    assert some <= set(found)
    assert all(word.startswith(words.rpartition(" ")[2]) for word in found)


def test_no_network_no_ranks_and_no_error(tmp_path):
    assert offered("harness exec ", HARNESS_STATE_DIR=str(tmp_path)) == ["all"]
    assert offered("harness link down ", HARNESS_STATE_DIR=str(tmp_path)) == ["all"]
    assert offered("harness traffic stop ", HARNESS_STATE_DIR=str(tmp_path)) == ["all"]
    assert offered("harness node set ", HARNESS_STATE_DIR=str(tmp_path)) == ["all"]
    assert offered("harness trunk show ", HARNESS_STATE_DIR=str(tmp_path)) == ["all"]
