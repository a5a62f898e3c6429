"""Real runs, each slow for one known reason, and what harness.experiment.report.analysis.explain says of them."""

import pytest

from harness.experiment.report.analysis.explain import explain
from tests.support.live import addressing, needs, own
from tests.support.prepared_runs import PREPARED, make

pytestmark = [*needs(), pytest.mark.torch, pytest.mark.timing, pytest.mark.xdist_group("training")]
EVIDENCE = {
    "latency-ddp": " round trips of 80 ms a step; the links are ",
    "loss-bulk": "Bound by loss: 2 % loss lets TCP have ",
    "rate-ddp": " of 5 Mbit/s, and the training's bytes take ",
    "queue-upload": ", 10 ms with empty queues; ",
    "straggler-sleep": "Rank 1 is a straggler: it computes ",
    "compute-text": "Bound by computing: ",
    "changed-delay": " (delay 2 ms → delay 60 ms): steps took ",
}
"""Of one run per cause; the others repeat it in another way."""
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in EVIDENCE else pytest.mark.full) for name in PREPARED]
)
def test_a_run_is_slow_for_the_reason_that_it_was_made_for(name, harness, tmp_path):
    env = {**harness.env, "HARNESS_NAME": own("explain")}
    found = explain(make(name, tmp_path, env, SUBNETS))
    assert found.cause == PREPARED[name].cause, found
    assert EVIDENCE.get(name, "") in found.sentence
    largest = max(found.lost, key=found.lost.__getitem__)
    assert found.cause in (largest, "compute"), found
