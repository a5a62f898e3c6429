"""Any process of a network may be killed at any moment: ``harness down`` removes what there is, and nothing is left."""

import os
import random

import pytest

from harness.networks.backends import DOCKER
from tests.support.kills import Trial
from tests.support.live import needs, runtime_name

pytestmark = [*needs(), pytest.mark.backend, pytest.mark.timing]


SLOW = [pytest.mark.full] if runtime_name() == DOCKER else []
"""Ten seconds each; in CI three do on containers."""


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=SLOW) for seed in range(3, 6))])
def test_nothing_is_left_whatever_is_killed(tmp_path, seed):
    image = os.environ.get("IMAGE", "harness-node") if runtime_name() == DOCKER else ""
    trial = Trial(runtime_name(), tmp_path, random.Random(seed), image)
    assert trial.go() == [], trial.told
