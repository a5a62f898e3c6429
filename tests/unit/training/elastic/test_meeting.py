"""Jobs that cannot be elastic are refused."""

import pytest

from harness.errors import InputError
from harness.training.elastic.meeting import make_meeting

ENVIRONMENT = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"HARNESS_RESTART": "1"}, "rank 0 serves the store"),
        ({"TORCHELASTIC_USE_AGENT_STORE": "True"}, "start this without torchrun"),
    ],
)
def test_refused(more, message):
    with pytest.raises(InputError, match=message):
        make_meeting(ENVIRONMENT | more, 1, 1)
