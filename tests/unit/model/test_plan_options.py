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
from harness.model.plan_options import DEFAULTS, OPTIONS, NetworkOptions, PlanOptions

ROOT = Path(harness.__file__).parents[1]
COMPOSED = {one.compose: name for name, one in OPTIONS.items() if one.compose}
TEXTS = {"nodes": "7", "seed": "3", "mtu": "9000", "ecn": "1"}


def text_of(value):
    """The text of an option that may be given several times."""
    return (value or ("",))[0] if isinstance(value, tuple) else value


def verb(name):
    app = typer.Typer()
    app.callback()(lambda: None)
    importlib.import_module(f"harness.cli.{name}").register(app)
    return {one.name: one for one in get_command(app).commands[name].params}


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
        declared = params[name].default
        assert declared == default or (OPTIONS[name].environ and declared is None)
        assert re.search(rf"^        {name}: ", harness.network.__doc__, re.MULTILINE)


def test_compose_hands_each_to_the_nodes():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["node"]
    for variable, name in COMPOSED.items():
        value = service["image"] if name == "image" else service["environment"][variable]
        assert value == f"${{{variable}:-{written(name)}}}"


def test_the_example_of_an_environment_has_each():
    given = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {variable: given[variable] for variable in COMPOSED} == {
        variable: written(name) for variable, name in COMPOSED.items()
    }


@pytest.mark.parametrize("name", [name for name in COMPOSED.values() if name != "image"])
def test_a_node_reads_it(name):
    names = {"HARNESS_NAMES": "node-{}"}
    default, other = (
        Settings.read(names | extra) for extra in ({}, {OPTIONS[name].compose: TEXTS.get(name, "something")})
    )

    def value(settings):
        return getattr(settings if hasattr(settings, name) else settings.options, name)

    assert value(default) == (DEFAULT_NODES if name == "nodes" else getattr(DEFAULTS, name))
    assert str(int(value(other)) if name == "ecn" else text_of(value(other))) == TEXTS.get(name, "something")
