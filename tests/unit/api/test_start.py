"""harness.network refuses bad input before anything is touched; the names and imports of the package."""

import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import InputError, PlanError, ProfileError, TopologyError
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry


@pytest.fixture
def untouched(monkeypatch):
    """Fails the test where a network would be started."""

    def never(*_, **__):
        raise AssertionError("a network was started")

    monkeypatch.setattr(Placement, "start", never)
    monkeypatch.delenv("HARNESS_ENGINE", raising=False)
    monkeypatch.delenv("HARNESS_RUNTIME", raising=False)


@pytest.fixture
def planned(untouched, monkeypatch):
    """The plans of networks that would be started."""
    plans = []

    def start(self, name, plan, **_):
        plans.append(plan)
        raise AssertionError("a network was started")

    monkeypatch.setattr(Placement, "start", start)
    return plans


def test_files_may_be_texts_or_paths(planned, tmp_path):
    profile, between, topology = (tmp_path / f"{name}.yaml" for name in ("profile", "between", "topology"))
    profile.write_text("delay: 7ms\n")
    between.write_text("delay: 9ms\n")
    topology.write_text("edges:\n  - {between: [0, 1]}\n")
    for kind in (Path, str):
        for options in (
            {"topology": kind(topology), "profile": kind(profile)},
            {"nodes": 4, "topology": "islands", "profile": kind(profile), "between": kind(between)},
        ):
            with pytest.raises(AssertionError, match="started"):
                harness.network(**options)
    assert planned[:2] == planned[2:]
    delays = [{str(edge.shape.delay) for edge in plan.edges.values()} for plan in planned[:2]]
    assert delays == [{"7ms"}, {"7ms", "9ms"}]


def test_whole_numbers_of_other_libraries_are_accepted(planned):
    class Whole:
        """As numpy's are."""

        def __index__(self):
            return 3

    for seed in (-1, Whole()):
        with pytest.raises(AssertionError, match="started"):
            harness.network(Whole(), seed=seed)
    assert [(plan.size, plan.seed, type(plan.seed)) for plan in planned] == [(3, -1, int), (3, 3, int)]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"nodes": 0}, InputError, "nodes=0: a network has at least one node"),
        ({"nodes": -3}, InputError, "at least one node"),
        ({"nodes": "4"}, InputError, "nodes='4': write a whole number, e.g. 4"),
        ({"nodes": 4.0}, InputError, "nodes=4.0: write a whole number"),
        ({"seed": "1"}, InputError, "seed='1': write a whole number, e.g. 1"),
        ({"seed": 1.5}, InputError, "seed=1.5: write a whole number"),
        ({"seed": None}, InputError, "seed=None: write a whole number"),
        ({"profile": None}, InputError, "profile=None: write 'none', a name"),
        ({"profile": {"delay": "1ms"}}, InputError, "write 'none', a name, e.g. 'wan', or a YAML file"),
        ({"between": 3, "topology": "islands"}, InputError, "between=3: write"),
        ({"topology": None}, InputError, "topology=None: write a name, e.g. 'ring', or a YAML file"),
        ({"topology": [(0, 1)]}, InputError, "write a name, e.g. 'ring'"),
        ({"profile": Path("no_such_p.yaml")}, ProfileError, "no_such_p.yaml"),
        ({"topology": Path("no_such_p.yaml")}, TopologyError, "no_such_p.yaml"),
        ({"volumes": "/data:/data", "runtime": "docker"}, InputError, r"volumes='/data:/data': write a list"),
        ({"profile": "wann"}, ProfileError, "wann"),
        ({"topology": "rind"}, TopologyError, "rind"),
        ({"engine": "pigeon"}, InputError, "no engine is called 'pigeon'"),
        ({"runtime": "moon"}, InputError, "no runtime is called 'moon'"),
        ({"subnet": "10.0.0.0/33"}, PlanError, "subnet"),
        ({"nodes": 9, "subnet": "10.0.0.0/29"}, PlanError, "do not fit"),
        ({"image": "mine"}, InputError, "are for containers"),
        ({"volumes": ["x"], "runtime": "docker"}, InputError, "--volume 'x'"),
        ({"between": "wan"}, InputError, "islands"),
        ({"name": "No Name"}, InputError, "No Name"),
    ],
)
def test_bad_input(options, error, words):
    with pytest.raises(error, match=words) as raised:
        harness.network(**options)
    assert raised.value.exit_code == 2


@pytest.mark.usefixtures("untouched")
def test_the_environment_is_the_default_for_engine_and_runtime(monkeypatch):
    monkeypatch.setenv("HARNESS_ENGINE", "pigeon")
    with pytest.raises(InputError, match="pigeon"):
        harness.network(2)
    with pytest.raises(AssertionError, match="started"):
        harness.network(2, engine="netem")
    monkeypatch.setenv("HARNESS_RUNTIME", "moon")
    with pytest.raises(InputError, match="moon"):
        harness.network(2, engine="netem")


def test_names_are_good_and_differ():
    from harness.api.start import _new_name

    names = {_new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(LocalRegistry.check_name(name) for name in names)


def test_what_the_package_offers():
    assert {"network", "ShapedNetwork", "RankError", "Call"} <= set(dir(harness))
    assert all(getattr(harness, name) is not None for name in harness._API)
    with pytest.raises(AttributeError, match="no attribute 'netwrok'"):
        harness.netwrok  # noqa: B018


def test_importing_the_package_imports_nothing_slow():
    code = "import sys; before = set(sys.modules); import harness; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "['__future__', 'harness', 'harness.public_names']\n"


def test_the_api_needs_no_torch():
    code = "import sys, harness, harness.api.remote, harness.networks.network; harness.network; "
    code += "print('torch' in sys.modules, 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_warning_is_at_the_users_line():
    from harness.api.failures import warn

    with pytest.warns(harness.HarnessWarning, match="slow") as caught:
        warn("slow")
    assert caught[0].filename == __file__

    namespace = {"__name__": "harness.api.pretended", "warn": warn}
    exec(compile("def through(): warn('slow')", "<package>", "exec"), namespace)
    with pytest.warns(harness.HarnessWarning) as caught:
        namespace["through"]()
    assert caught[0].filename == __file__


ROOT = Path(harness.__file__).parents[1]
