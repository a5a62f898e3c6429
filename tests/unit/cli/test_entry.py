"""Ctrl-C while the command is still being imported, and unexpected errors."""

import os
import signal
import subprocess
import sys

import pytest

from harness.installed import CHECKOUT

INTERRUPTED = """
import os, runpy, signal, sys

wanted = sys.argv.pop(1)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

if {ignored}:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.meta_path.insert(0, Watch())
runpy.run_module("harness", run_name="__main__", alter_sys=True)
"""


def interrupted(module, *words, ignored=False):
    program = [sys.executable, "-c", INTERRUPTED.format(ignored=ignored), module, *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("module", ["harness.cli.main", "typer", "harness.cli.ls"])
def test_an_interrupt_during_the_imports_ends_it_in_silence(module):
    done = interrupted(module, "ls")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_later_is_one_word():
    done = interrupted("harness.model.profile_file", "plan", "-n", "2")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_an_interrupt_that_shall_be_ignored_is():
    done = interrupted("typer", "ls", ignored=True)
    assert (done.returncode, done.stdout) == (0, "no network is up\n")


def test_python_dash_m(tmp_path):
    done = subprocess.run([sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("harness ")


def test_packages_that_are_not_installed_are_one_line():
    words = [sys.executable, "-S", "-m", "harness", "ls"]  # -S: without site-packages
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (
        f"harness: error: {sys.executable} lacks the package 'typer': run 'make setup', then .venv/bin/harness\n"
    )


def test_an_error_of_the_system_that_nobody_foresaw_is_one_line(tmp_path):
    (tmp_path / "locks").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "up", "-n", "1", "-p", "none"],
        env={**os.environ, "HARNESS_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 70
    assert done.stderr == f"harness: error: {tmp_path}/locks: Is a directory\n"
