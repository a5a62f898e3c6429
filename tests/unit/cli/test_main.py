"""The command itself: help, version, log, and a closed standard output."""

import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from harness.cli import main
from harness.cli.main import VERBS
from tests.support import warm_harness


def harness(*words, stdout=subprocess.PIPE, **environ):
    env = {key: value for key, value in os.environ.items() if key != "HARNESS_LOG"} | environ
    if stdout == subprocess.PIPE:
        return warm_harness.run(words, env)
    program = [sys.executable, "-m", "harness", *words]
    return subprocess.run(program, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, env=env)


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_all_verbs_begins_as_each_verbs_own(name):
    module, line = VERBS[name]
    app = typer.Typer()
    app.callback()(lambda: None)
    importlib.import_module(f"harness.cli.{module}").register(app)
    (own,) = get_command(app).commands.items()
    assert own[0] == name
    assert own[1].help.startswith(line)


def test_every_module_with_a_verb_is_listed():
    folder = Path(main.__file__).parent
    with_verb = {path.stem for path in folder.glob("*.py") if "\ndef register(" in path.read_text()}
    assert with_verb == {module for module, _ in VERBS.values()}, "see VERBS in harness/cli/main.py"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_all_verbs_and_imports_none(option):
    code = f"""
import sys
from harness.cli.main import main
sys.argv = ["harness", {option!r}]
try:
    main()
finally:
    print({{"rich", "pydantic", "yaml", "harness.cli.up", "harness.cli.output"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert [
        line.split()[0] for line in done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    ] == list(VERBS)
    assert done.stdout.endswith("set()\n")
    assert "HARNESS_LOG" in done.stdout


@pytest.mark.parametrize("words", [[], ["link"], ["node"], ["trunk"], ["traffic"], ["experiment"], ["image"]])
def test_on_80_columns_no_line_of_a_list_of_verbs_is_cut(words):
    listed = harness(*words, "--help", COLUMNS="80").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("topology", ["ring", "star", "mesh", "islands:2", "grid"])
def test_a_plan_imports_neither_pydantic_nor_a_graph_library(topology):
    """They would double its time; benchmarks/startup.py measures it."""
    code = f"""
import sys
from harness.cli.main import main
sys.argv = ["harness", "plan", "-n", "4", "-t", {topology!r}, "--json"]
try:
    main()
finally:
    print({{"pydantic", "networkx"}} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "set()\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--nodes", "0"], "'0' is not a whole number from 1 up"),
        (["--nodes", "x"], "'x' is not a whole number from 1 up"),
        (["--nodes", "٤"], "'٤' is not a whole number from 1 up"),
        (["--seed", "1.5"], "'1.5' is not a whole number\n"),
        (["--nodes", "9" * 30], "nodes"),
    ],
)
def test_numbers_that_are_none_are_refused(words, error):
    done = harness("plan", *words)
    assert done.returncode == 2
    assert error in done.stderr


def test_dash_h_of_a_verb():
    assert harness("plan", "-h").stdout == harness("plan", "--help").stdout


def test_a_verb_that_is_none_has_a_near_one_named():
    done = harness("pln")
    assert done.returncode == 2
    assert "Did you mean 'plan'?" in done.stderr


def test_version_names_engine_and_kernel():
    done = harness("--version")
    (name, engine, kernel) = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (name[0], engine[0], kernel) == ("harness", "engine", ["kernel", platform.release()])
    assert engine[1].split(":")[0] in ("netem", "userspace", "none")


@pytest.mark.parametrize(
    ("words", "environ", "logs"),
    [
        ([], {}, False),
        (["-v"], {}, True),
        ([], {"HARNESS_LOG": "debug"}, True),
        ([], {"HARNESS_LOG": "warning"}, False),
    ],
)
def test_the_log_of_an_error_has_its_traceback(words, environ, logs):
    done = harness(*words, "link", "set", "0-1", "--delay", "5", **environ)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("harness: error: --delay: ")
    assert ("Traceback" in done.stderr) == logs


def test_an_unknown_level_of_the_log():
    done = harness("profiles", HARNESS_LOG="loud")
    assert (done.returncode, done.stderr) == (
        2,
        "harness: error: HARNESS_LOG=loud: write one of debug, info, warning\n",
    )


@pytest.mark.parametrize("words", [["plan", "-n", "30"], ["plan", "-n", "30", "--json"], ["profiles"]])
def test_a_closed_pipe_ends_it_as_sigpipe_would(words):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        done = harness(*words, stdout=nobody)
    assert (done.returncode, done.stderr) == (141, "")
