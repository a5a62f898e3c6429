"""How networks of containers are started beside those of others."""

from pathlib import Path

import pytest

from harness.api.start import _beside_others
from harness.errors import NetworkStateError
from harness.model.plan_options import PlanOptions
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.scenario.accompany import Accompaniment

SCENARIO = "events:\n  - {at: step 3, down: {edge: 0-1}}\n"


def test_the_file_of_steps_is_there_again_where_a_subnet_was_taken(tmp_path, monkeypatch):
    """A try that fails takes it away with the rest; the containers of the next one would not find what they mount."""
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
