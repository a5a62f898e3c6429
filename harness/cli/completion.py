"""Values that a shell offers for options and arguments; ``harness --install-completion`` turns it on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from harness.errors import HarnessError
from harness.model.plan_options import NAME_UNLESS_GIVEN

if TYPE_CHECKING:
    from harness.model.plan import NetworkPlan


def topologies(incomplete: str) -> list[str]:
    """Names of topologies; the shell itself completes files."""
    from harness.model.region_table import shipped_tables
    from harness.model.topology_names import TOPOLOGIES

    return _matching([*TOPOLOGIES, *(f"regions:{name}" for name in shipped_tables())], incomplete)


def profiles(incomplete: str) -> list[str]:
    """Names of profiles, and none."""
    from harness.model.profile_file import shipped_profiles

    return _matching([*shipped_profiles(), "none"], incomplete)


def scenarios(incomplete: str) -> list[str]:
    """Names of scenarios; the shell itself completes files."""
    from harness.scenario.scenario_name import shipped_scenarios

    return _matching(shipped_scenarios(), incomplete)


def runtimes(incomplete: str) -> list[str]:
    """Names of backends."""
    from harness.networks.backends import BACKENDS

    return _matching(BACKENDS, incomplete)


def engines(incomplete: str) -> list[str]:
    """Names of engines."""
    from harness.shaping.facts import AUTO, ENGINES

    return _matching([AUTO, *ENGINES], incomplete)


def network_names(incomplete: str) -> list[str]:
    """Names of networks that are up, or were."""
    from harness.cli.networks import registries

    found: list[str] = []
    for registry in registries():
        try:
            found += registry.names()
        except (HarnessError, OSError):  # Docker may refuse
            continue
    return _matching(found, incomplete)


def ranks(context: typer.Context, incomplete: str) -> list[str]:
    """The ranks of the command's network, and all."""
    plan = _plan(context)
    return _matching([*map(str, range(plan.size if plan else 0)), "all"], incomplete)


def rank_lists(context: typer.Context, incomplete: str) -> list[str]:
    """The same for the last item of a list."""
    plan = _plan(context)
    return _last_of_list(map(str, range(plan.size if plan else 0)), incomplete)


def edges(context: typer.Context, incomplete: str) -> list[str]:
    """The edges of the command's network, for the last item of a list, and all."""
    from harness.model.plan_edit import undirected

    plan = _plan(context)
    return _last_of_list((f"{a}-{b}" for a, b in undirected(plan.edges)) if plan else (), incomplete)


def trunks(context: typer.Context, incomplete: str) -> list[str]:
    """The pairs of regions with edges between them, likewise."""
    from harness.model.regions import crossed_trunks

    plan = _plan(context)
    return _last_of_list((f"{a}-{b}" for a, b in crossed_trunks(plan.regions, plan.edges)) if plan else (), incomplete)


def _last_of_list(words: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + word for word in _matching([*words, *([] if comma else ["all"])], last)]


def loads(context: typer.Context, incomplete: str) -> list[str]:
    """The numbers of the traffic in the command's network, and all."""
    from harness.cli.networks import find_network
    from harness.traffic.manager import loads

    try:
        network = find_network(context.params.get("name") or NAME_UNLESS_GIVEN)
        record = network.registration()
        found = [str(load.id) for load in loads(network.registry, record.name, record.created)]
    except (HarnessError, OSError):
        found = []
    return _matching([*found, "all"], incomplete)


def _plan(context: typer.Context) -> NetworkPlan | None:
    from harness.cli.networks import find_network

    try:
        return find_network(context.params.get("name") or NAME_UNLESS_GIVEN).plan
    except (HarnessError, OSError):
        return None


def _matching(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
