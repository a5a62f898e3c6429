"""The command with a network of its own: the Docker daemon may have others."""

import pytest

from tests.support.live import own


@pytest.fixture
def harness(harness):
    """The harness command, whose network has a name that nobody else's has."""
    harness.env["HARNESS_NAME"] = own("e2e")
    yield harness
    harness("down")
