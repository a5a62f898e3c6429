"""The whole life of a network of containers, on every engine: up with a profile, measured, reshaped, gone."""

import json

import pytest

from tests.support.compose import left, project

pytestmark = [pytest.mark.docker, pytest.mark.torch]

JOB = """
until test -e go; do sleep 0.2; done
exec python -m harness.training.train --steps 100000 --evaluate-every 100000 --checkpoint-every 0
"""
DELAY_S = 1.0


def test_up_verify_reshape_down(tmp_path):
    with project(tmp_path, NODES=2, TOPOLOGY="line", PROFILE="mobile", SEED=3, COMMAND="sh job.sh") as net:
        (net.work / "job.sh").write_text(JOB)
        net.start()
        rows = json.loads(net.harness("verify", "--json", "--seconds", "2").stdout)  # a job would be in its way
        assert {(row["src"], row["dst"]) for row in rows} == {(0, 1), (1, 0)}
        assert {row["quantity"] for row in rows} == {"rtt", "jitter", "loss", "rate"}

        (net.work / "go").touch()
        before = net.wait_for_records(3)
        done = json.loads(net.harness("link", "set", "0-1", "--delay", "1s", "--jitter", "0", "--json").stdout)
        assert [edge["delay_s"] for edge in done["changed"]] == [DELAY_S] * 2
        after = net.wait_for_records(3)[1:]  # the first may have begun before
        assert min(step["seconds_comm"] for step in before) < DELAY_S
        assert min(step["seconds_comm"] for step in after) >= DELAY_S
        for edge in json.loads(net.harness("link", "show", "--json").stdout):
            assert edge["applied"]["delay_s"] == DELAY_S
            assert edge["mismatch"] is None

        net.compose("down")
        assert left(net.name) == []
