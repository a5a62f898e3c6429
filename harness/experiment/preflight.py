"""Checks before the first network is made: do the program and the script exist, does the scenario fit?"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from harness.errors import InputError, UnavailableError, quoted
from harness.experiment.measure import Measure
from harness.experiment.spec import Run, short
from harness.experiment.variants import SCRIPTS, OwnCommand
from harness.installed import INSTALL_TRAINING
from harness.model.plan import NetworkPlan
from harness.scenario.absence import AwayAction
from harness.scenario.scenario_file import load_scenario
from harness.scenario.scenario_name import NONE
from harness.scenario.schedule import NetworkScenario

_PYTHON: Final = re.compile(r"python[\d.]*")
_SHELL: Final = re.compile(r"sh|bash|dash")
_NO_FILE: Final = {
    _PYTHON: re.compile(r"-|-[bBdEhiIOPqsSuvx]*[cm].*"),
    _SHELL: re.compile(r"-\w*[cs]\w*"),
    re.compile("torchrun"): re.compile("-m|--module|--no-python|--run-path"),
}
"""Options after which an interpreter, or torchrun, takes something else than a script."""
_WITH_A_VALUE: Final = ("-W", "-X", "-o", "+o", "+O")
"""Options of interpreters whose value is the next word."""


def check_command(
    command: OwnCommand, fillings: Sequence[Mapping[str, str]], environ: Mapping[str, str] | None
) -> None:
    """Raise InputError where a program or a script of the command is missing.

    Args:
        command: with placeholders.
        fillings: the placeholders' values in each run.
        environ: of programs in namespaces; None: not checked, since containers have programs of their own.
    """
    if not command.folder.is_dir():
        raise InputError(f"command: there is no folder {command.folder}, in which the command starts")
    for program, path in dict.fromkeys(_programs(command, fillings, environ)):
        _check_program(command, program, path)
    for script in dict.fromkeys(filter(None, (_script(command.filled(values)) for values in fillings))):
        if not (environ is None and Path(script).is_absolute()) and not (command.folder / script).exists():
            raise InputError(f"command: there is no file {script} in {command.folder}, where the command starts")


def check_scenarios(runs: Iterable[Run], plan_of: Callable[[Run], NetworkPlan], *, elastic: bool = False) -> None:
    """Raise InputError where a scenario does not fit the network of its run, or kills rank 0 of an elastic run."""
    distinct = {(run.profile, run.topology, run.scenario): run for run in runs if run.scenario != NONE}
    for run in distinct.values():
        plan = plan_of(run)
        try:
            scenario = load_scenario(Path(run.scenario))
            scenario.check(plan)
            if elastic:
                _check_rank_0(scenario)
        except InputError as error:
            network = f"{short(run.topology)} of {plan.size} nodes with {short(run.profile)}"
            raise type(error)(f"{error} (on {network})") from None


def _check_rank_0(scenario: NetworkScenario) -> None:
    for event in scenario.events:
        action = event.action
        if not isinstance(action, AwayAction) or action.cause != "kill" or not isinstance(action.absences, Sequence):
            continue  # nodes that are drawn, also without end, are never rank 0
        if any(0 in absence.chosen.ranks for absence in action.absences):
            raise InputError(
                f"{event.place}: kills rank 0, which serves the store at which the ranks of an elastic run meet"
            )


def check_training(task: str) -> None:
    """Raise UnavailableError where this Python, which every node would run, lacks what training needs."""
    needs = ["torch", "numpy", *(["sklearn"] if task == "digits" else [])]
    if missing := [name for name in needs if importlib.util.find_spec(name) is None]:
        raise UnavailableError(
            f"{' and '.join(missing)} missing in {sys.executable}, which every node would run: {INSTALL_TRAINING}, "
            "or --runtime docker, whose image has it"
        )


def check_measure(measure: Measure, in_containers: bool) -> None:
    """Raise InputError where the measured file is outside the folder that a container shares with us."""
    if in_containers and measure.path and not measure.path.startswith("{run_dir}/"):
        raise InputError(
            f"measure: a command in a container shares only the files in {{run_dir}}, and {quoted(measure.path)} is "
            "not there: write e.g. {jsonl: '{run_dir}/metrics.jsonl', key: loss}"
        )


def _programs(
    command: OwnCommand, fillings: Sequence[Mapping[str, str]], environ: Mapping[str, str] | None
) -> Iterator[tuple[str, str]]:
    """(program, PATH) of each run."""
    for values in fillings if environ is not None else ():
        found = {**(environ or {}), **command.environment(values)}
        yield command.filled(values)[0], found.get("PATH", os.defpath)


def _check_program(command: OwnCommand, program: str, path: str) -> None:
    where = str(command.folder / program) if "/" in program else program
    if shutil.which(where, path=path):
        return
    if program.endswith(SCRIPTS):
        interpreter = "python" if program.endswith(".py") else "sh"
        raise InputError(f"command: {quoted(program)} is a script, not a program: write [{interpreter}, {program}]")
    if "/" not in program:
        raise InputError(f"command: there is no program {quoted(program)} in PATH")
    what = "is not a program that can be executed" if Path(where).exists() else "does not exist"
    raise InputError(f"command: {where} {what}")


def _script(argv: Sequence[str]) -> str | None:
    """The script that an interpreter, or torchrun, would run; None where the arguments do not show it."""
    program = PurePath(argv[0]).name
    no_file = next((other for kind, other in _NO_FILE.items() if kind.fullmatch(program)), None)
    if no_file is None:
        return None
    words = iter(argv[1:])
    for word in words:
        if no_file.fullmatch(word):
            return None
        if word in _WITH_A_VALUE:
            next(words, None)
        elif not word.startswith(("-", "+")) and (program != "torchrun" or word.endswith(".py")):
            return word
    return None
