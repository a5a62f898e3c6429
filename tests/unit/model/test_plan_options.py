"""An option of a network is declared once: each place that cannot be derived from that has it, with its default."""

import importlib
import inspect
import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

import harness
from harness.agent.settings import DEFAULT_NODES, Settings
from harness.backends.docker.container_options import ContainerOptions
from harness.errors import InputError
from harness.experiment.worker import placement_of
from harness.model.plan_options import COMPOSED, DEFAULTS, OPTIONS, PLAN_OPTIONS, NetworkOptions, PlanOptions
from harness.networks.placement import Placement

ROOT = Path(harness.__file__).parents[1]
PLACED = [name for name in OPTIONS if name not in PLAN_OPTIONS]
TEXTS = {"nodes": "7", "seed": "3", "mtu": "9000", "ecn": "1"}


def text_of(value):
    """The text of an option that may be given several times."""
    return (value or ("",))[0] if isinstance(value, tuple) else value


def verb(name, *subcommands):
    app = typer.Typer()
    app.callback()(lambda: None)
    importlib.import_module(f"harness.cli.{name}").register(app)
    command = get_command(app).commands[name]
    for one in subcommands:
        command = command.commands[one]
    return {one.name: one for one in command.params}


def written(name):
    """Its default as a file would have it."""
    default = DEFAULT_NODES if name == "nodes" else getattr(DEFAULTS, name)
    return OPTIONS[name].shown or ("" if default in (None, ()) else str(int(default) if name == "ecn" else default))


@pytest.mark.parametrize(("name", "options"), [("plan", PlanOptions), ("up", NetworkOptions), ("run", NetworkOptions)])
def test_verbs(name, options):
    params = verb(name)
    for one in fields(options):
        declared = OPTIONS[one.name]
        assert tuple(params[one.name].opts) == declared.flags
        assert params[one.name].help == declared.help
        assert (params[one.name].default or None) == (one.default or None)
        assert params[one.name].envvar == (declared.environ or None)


def test_python():
    params = inspect.signature(harness.network).parameters
    for name, default in asdict(DEFAULTS).items():
        assert name in params, f"network() in harness/api/start.py has no {name}"
        declared = params[name].default
        assert declared == default or (OPTIONS[name].environ and declared is None)
        assert re.search(rf"^        {name}: ", harness.network.__doc__, re.MULTILINE)


def test_python_passes_each_on(monkeypatch):
    passed = {}

    def check(placement, _):
        passed.update(vars(placement))
        raise InputError("nothing is started")

    monkeypatch.setattr(PlanOptions, "plan", lambda options: passed.update(vars(options)))
    monkeypatch.setattr(Placement, "check", check)
    given = {"nodes": 7, "seed": 3, "mtu": 9000, "ecn": True, "cpu": ("x",), "volumes": ("x",)}
    given |= {name: "x" for name in OPTIONS if name not in given}
    with pytest.raises(InputError, match="nothing is started"):
        harness.network(**given)
    assert passed == given, "see network() in harness/api/start.py"


def test_a_placement_has_each_that_no_plan_has():
    defaults = {name: getattr(DEFAULTS, name) for name in PLACED}
    assert {one.name: one.default for one in fields(Placement)} == defaults
    assert {*PLACED} - {"runtime"} <= {one.name for one in fields(ContainerOptions)}


def test_an_experiment_takes_and_keeps_each_that_no_plan_has():
    assert {*PLACED} <= verb("experiment", "run").keys(), "see _OPTIONS in harness/cli/experiment.py"
    placement = placement_of({OPTIONS[name].flags[0].removeprefix("--"): "x" for name in PLACED})
    assert {name: text_of(getattr(placement, name)) for name in PLACED} == dict.fromkeys(PLACED, "x")


def test_compose_hands_each_to_the_nodes():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["node"]
    for variable, name in COMPOSED.items():
        value = service["image"] if name == "image" else service["environment"].get(variable)
        assert value == f"${{{variable}:-{written(name)}}}", f"{variable} in compose.yaml"


def test_the_example_of_an_environment_has_each():
    given = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {variable: given.get(variable) for variable in COMPOSED} == {
        variable: written(name) for variable, name in COMPOSED.items()
    }


@pytest.mark.parametrize("name", [name for name in COMPOSED.values() if name != "image"])
def test_a_node_reads_it(name):
    names = {"HARNESS_NAMES": "node-{}"}
    default, other = (
        Settings.read(names | extra) for extra in ({}, {OPTIONS[name].compose: TEXTS.get(name, "something")})
    )

    def value(settings):
        assert hasattr(settings, name) or name in PLAN_OPTIONS, "see Settings in harness/agent/settings.py"
        return getattr(settings if hasattr(settings, name) else settings.options, name)

    assert value(default) == (DEFAULT_NODES if name == "nodes" else getattr(DEFAULTS, name))
    assert str(int(value(other)) if name == "ecn" else text_of(value(other))) == TEXTS.get(name, "something")
