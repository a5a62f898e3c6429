"""Checks that the kernel has what a scenario's changes need, before the first of them."""

from __future__ import annotations

from harness.errors import InputError, UnavailableError
from harness.networks.network import Network
from harness.scenario.schedule import NetworkScenario
from harness.shaping.needs import needs_of


def check_kernel(script: NetworkScenario, network: Network) -> None:
    """Probe the features that the first change of each event needs, so that no probe delays the change.

    Args:
        script: checked against the network's plan.
        network: a network that is up.

    Raises:
        UnavailableError, InputError: a feature is missing; with the event's place in the file.
    """
    plan, engine = network.plan, network.backend.engine.name
    seen = {need.feature for need in needs_of(plan, engine)}
    for event in script.events:
        for _, edit, _ in event.action.steps():
            try:
                changed = edit(plan)
            except InputError:  # it needs what an earlier event sets
                break
            needed = {need.feature for need in needs_of(changed, engine)}
            if not needed <= seen:
                try:
                    network.backend.check(changed, plan)
                except (InputError, UnavailableError) as error:
                    raise type(error)(f"{event.place}: {error}") from None
                seen |= needed
            break
