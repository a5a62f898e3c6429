"""Runs on the machines of a real Ray cluster: they come home, also where a machine is lost, and leave nothing there."""

import json
import signal
import subprocess

import pytest

from tests.support.cli import HARNESS, wait_for
from tests.support.live import needs, own
from tests.support.ray_cluster import RayCluster

pytestmark = [*needs(), pytest.mark.xdist_group("campaign")]
EXPERIMENT = """
command: [sh, job.sh, "{until}"]
grid: {until: go}
nodes: 2
topologies: ring
profiles: near.yaml
seeds: [0, 1]
"""
OLD = "__version__ = '0.0.9'\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    old = tmp_path_factory.mktemp("old")
    (old / "harness").mkdir()
    (old / "harness" / "__init__.py").write_text(OLD)
    made = RayCluster()
    try:
        made.add("a", 2)
        made.add("b", 2)
        made.add("old", 4, old)
        yield made
    finally:
        made.close()


class Campaign:
    """The command, in a folder with an experiment, whose runs last until ``finish`` is called."""

    def __init__(self, cluster, folder):
        self._cluster, self._folder, self.root = cluster, folder, folder / "runs"
        (folder / "job.sh").write_text(f'echo "rank $RANK"\nuntil [ -e {folder}/"$1" ]; do sleep 0.3; done\n')
        (folder / "near.yaml").write_text("delay: 1ms\n")
        (folder / "mine.yaml").write_text(EXPERIMENT)

    def start(self, *words):
        argv = [*HARNESS, "experiment", "run", *words, "--on", self._cluster.address, "--runs", str(self.root)]
        argv += [] if "--resume" in words else ["--name", own("campaign")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, cwd=self._folder, env=self._cluster.env, text=True, **pipes)

    def finish(self):
        (self._folder / "go").touch()

    def networks(self):
        done = subprocess.run([*HARNESS, "ls", "--json"], env=self._cluster.env, capture_output=True, check=True)
        return [one["name"] for one in json.loads(done.stdout) if one["name"].startswith(own("campaign"))]

    def slug(self, seed):
        return f"near.ring.until=go.seed{seed}"

    def wait_for_both(self, process):
        """Until both runs have begun, each on its machine."""
        logs = "harness-campaign-*/mine-*/*/rank-1.log"

        def both():
            assert process.poll() is None, process.communicate()
            found = [path for path in self._cluster.machines.glob(logs) if path.stat().st_size]
            return len(found) == 2 and len(self.networks()) == 2

        wait_for(both, 180)

    def record(self, seed, file):
        return json.loads((self.made / self.slug(seed) / file).read_text())

    @property
    def made(self):
        (folder,) = self.root.iterdir()
        return folder

    def leaves_nothing(self, seconds):
        wait_for(lambda: not self.networks(), seconds)


@pytest.fixture
def campaign(cluster, tmp_path):
    return Campaign(cluster, tmp_path)


def test_ctrl_c_brings_home_what_was_done_and_a_killed_command_leaves_nothing(campaign, cluster):
    process = campaign.start("mine.yaml")
    campaign.wait_for_both(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130, errors
    assert f"--on {cluster.address}" in errors
    assert "Traceback" not in errors
    assert [campaign.record(seed, "end.json")["status"] for seed in (0, 1)] == ["stopped", "stopped"]
    assert campaign.networks() == []
    assert list(cluster.machines.glob("harness-campaign-*")) == []

    again = campaign.start("--resume", str(campaign.made))
    campaign.wait_for_both(again)
    again.kill()
    again.communicate()
    campaign.leaves_nothing(30)
    assert [campaign.record(seed, "end.json")["status"] for seed in (0, 1)] == ["stopped", "stopped"]


def test_what_a_lost_machine_did_is_done_again_on_another(campaign, cluster):
    process = campaign.start("mine.yaml")
    campaign.wait_for_both(process)
    cluster.kill("b")
    campaign.finish()
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert out.count("near.ring.until=go.seed") == 2
    assert [campaign.record(seed, "end.json")["status"] for seed in (0, 1)] == ["finished", "finished"]
    facts = [campaign.record(seed, "run.json") for seed in (0, 1)]
    assert [one["machine"]["name"] for one in facts] == ["a", "a"]
    assert sorted(one["lost_machines"] for one in facts) == [[], ["b"]]
    notes = [note for seed in (0, 1) for note in campaign.record(seed, "end.json")["notes"]]
    assert notes == ["done again: b was lost during it"]
    assert sorted(path.name for path in campaign.made.iterdir() if path.is_dir()) == [
        campaign.slug(0),
        campaign.slug(1),
    ]
    assert (campaign.made / campaign.slug(1) / "rank-1.log").read_text() == "rank 1\n"
    assert campaign.networks() == []


def test_where_no_machine_can_do_a_run_it_says_what_each_lacks(campaign):
    process = campaign.start("mine.yaml", "--cores", "3")  # as only `old` has
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 69, errors
    assert "no machine is left that can do it: old has tc-harness 0.0.9 (" in errors
    assert "install the same there: pip install 'tc-harness[ray]==" in errors
