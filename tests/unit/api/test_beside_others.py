"""Containers start beside other networks of the same Docker daemon."""

from pathlib import Path

import pytest

from harness.api.start import _beside_others
from harness.errors import NetworkStateError
from harness.model.plan_options import PlanOptions
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.scenario.accompany import Accompaniment

SCENARIO = "events:\n  - {at: step 3, down: {edge: 0-1}}\n"


def test_the_step_file_is_made_again_where_a_subnet_was_taken(tmp_path, monkeypatch):
    """A failed attempt removes the file, and the next one's containers mount it."""
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO)
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path / "state"))
    found = []

    def start(placement, name, *_, **__):
        (volume,) = placement.volumes
        found.append(Path(volume.partition(":")[0]).exists())
        if len(found) == 1:
            LocalRegistry().remove(name)
            raise NetworkStateError("the subnet is taken")

    monkeypatch.setattr(Placement, "start", start)
    monkeypatch.setattr("harness.backends.docker.registry.DockerRegistry.names", lambda _: [])
    beside, placement = Accompaniment("mine", file).placed(Placement(runtime="docker"))
    _beside_others("mine", PlanOptions(nodes=2), placement, pytest.fail, beside)
    assert found == [True, True]
