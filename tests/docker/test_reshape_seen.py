"""A job that runs while its links are changed: its collectives take as long as the links say, and none fails."""

import itertools
import re
import statistics
import time

import pytest

from tests.support.compose import project

pytestmark = [pytest.mark.docker, pytest.mark.timing, pytest.mark.xdist_group("one job")]

PROFILE = "rate: 100mbit\ndelay: 5ms\n"
CROSSINGS = 2, 14
"""How often the longest chain of messages of an all_reduce of 4 ranks crosses one edge: 2 (n - 1) hops around the ring
at least; gloo asks for each message, which goes back and forth, and for a first one ahead."""
STEPS = 4
PARAMETERS = 9930
"""Of the model that the default job trains, of 4 bytes each."""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    command = "python -m harness.training.train --steps 100000 --evaluate-every 100000 --checkpoint-every 0"
    folder = tmp_path_factory.mktemp("job")
    with project(folder, NODES=4, TOPOLOGY="ring", PROFILE="/work/even.yaml", COMMAND=command) as net:
        (net.work / "even.yaml").write_text(PROFILE)
        net.compose("up", "-d")
        net.wait_for_records(5)  # connections are warm
        yield net
        assert [net.state(rank)["Status"] for rank in range(4)] == ["running"] * 4
        assert not re.search(r"rank \d: step \d+: ", net.logs())  # what a rank says when a collective has failed


def median(net):
    """Seconds of an all_reduce from now on; the first one began before."""
    return statistics.median(record["seconds_comm"] for record in net.wait_for_records(STEPS + 1)[1:])


def test_slower_edges_are_seen_in_proportion_and_the_way_back_too(job):
    before = median(job)
    rises = {}
    for more in (60, 120):
        job.harness("link", "set", "0-1", "--delay", f"{5 + more}ms")
        rises[more] = median(job) - before
        assert CROSSINGS[0] * more / 1e3 <= rises[more] < CROSSINGS[1] * more / 1e3
    job.harness("link", "set", "0-1", "--delay", "5ms")
    assert 1.6 < rises[120] / rises[60] < 2.4
    assert abs(median(job) - before) < rises[60] / 3


def test_a_lower_rate_is_seen(job):
    before = median(job)
    job.harness("link", "set", "2-3", "--rate", "1mbit")
    slow = median(job)
    job.harness("link", "set", "2-3", "--rate", "100mbit")
    least = 2 * 3 / 4 * 4 * PARAMETERS * 8 / 1e6  # every edge carries 2 (n - 1) / n of the data
    assert slow - before > 0.9 * least
    assert median(job) - before < least / 2


def test_a_job_waits_for_a_link_that_is_down(job):
    before = job.records()[-1]["step"]
    job.harness("link", "down", "1-2")
    time.sleep(4)
    job.harness("link", "up", "1-2")
    last = job.wait_for_records(STEPS)[-1]["step"]
    times = [record["time"] for record in job.records() if before <= record["step"] <= last]
    gaps = [late - early for early, late in itertools.pairwise(times)]
    assert max(gaps) > 3
    assert statistics.median(gaps) < 1
