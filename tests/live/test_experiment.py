"""``harness experiment`` that trains on real networks, as a user runs it: Ctrl-C, a full disk, going on, a reshape."""

import json
import os
import signal

import pytest

from harness.experiment.report.load import load_experiment
from harness.model.link import LinkShape
from tests.support.cli import wait_for
from tests.support.laboratory import Laboratory
from tests.support.live import needs
from tests.support.traces import area, check_sums, read_trace
from tests.support.trainers import holding, of_kind, records

pytestmark = [*needs(), pytest.mark.torch]
SLOW = os.environ.get("WITH_NETEM") == "uml"
"""One emulated CPU, where half a minute passes until torch is imported: one run stands for all."""
FAR = "delay: 10ms\nloss: 1%\nrate: 50mbit\n"
PATIENT = """
import json
import sys
import time
from pathlib import Path
from harness.training.strategies.ddp import Ddp


class PatientDdp(Ddp):
    def share_parameters(self):
        changes = Path(json.loads(sys.argv[sys.argv.index("--json") + 1])["out"], "changes.jsonl")
        deadline = time.monotonic() + 200
        while self.steps >= 20 and not changes.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        super().share_parameters()
"""
"""A user's strategy, whose ranks wait at a step until a link has been changed."""
COURSE = "nodes: 2\ntopologies: ring\nprofiles: ./far.yaml\nevaluate_every: 10\ntask: {batch: 16, lr: 0.002}\n"


class TrainingLaboratory(Laboratory):
    """With a profile, and a strategy whose ranks wait."""

    def __init__(self, harness, folder):
        super().__init__(harness, folder, "experiment", COURSE)
        (folder / "far.yaml").write_text(FAR)
        (folder / "patient.py").write_text(PATIENT)

    def has_step(self, slug, step):
        """Whether all ranks have recorded it."""
        try:
            return all(
                any(line["step"] >= step for line in of_kind("step", records(self.made / slug, rank)))
                for rank in (0, 1)
            )
        except (OSError, ValueError):
            return False

    def is_up(self):
        return self.harness.env["HARNESS_NAME"] in self.harness("ls").stdout

    def close(self):
        super().close()
        self.harness("down")


@pytest.fixture
def laboratory(harness, tmp_path):
    made = TrainingLaboratory(harness, tmp_path)
    yield made
    made.close()


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def ending(folder):
    return json.loads((folder / "end.json").read_text())


def facts(folder):
    return json.loads((folder / "run.json").read_text())


def check_links(samples):
    """Up to ten times a second, counters of both directions that only grow, and TCP that had to send again."""
    times = [sample["time"] for sample in samples]
    assert len(samples) >= 3
    assert times == sorted(times)
    assert len(samples) <= 10 * (times[-1] - times[0]) + 3
    for pair in ((0, 1), (1, 0)):
        edges = [edge for sample in samples for edge in sample["edges"] if (edge["src"], edge["dst"]) == pair]
        assert len(edges) >= 3
        for key in ("sent_packets", "sent_bytes", "dropped"):
            counts = [edge[key] for edge in edges]
            assert counts == sorted(counts)
        assert edges[-1]["sent_bytes"] - edges[0]["sent_bytes"] > 500_000
        assert edges[-1]["dropped"] > 0
    for rank in ("0", "1"):
        assert samples[-1]["tcp"][rank]["sent_segments"] > samples[0]["tcp"][rank]["sent_segments"]
        assert samples[-1]["tcp"][rank]["retransmitted_segments"] > 0


def check_trace(harness, folder):
    """What `harness trace` writes of it has the sums of its records."""
    harness("trace", str(folder))
    read, (run,) = read_trace(folder / "trace.json.gz"), load_experiment(folder).runs
    check_sums(read, run)
    assert read.order[:3] == ["run", "rank 0", "rank 1"]
    assert all(area(read.counters["links", f"{edge} rate Mbit/s"]) > 0 for edge in ("0→1", "1→0"))
    return run


if SLOW:

    @pytest.mark.backend
    def test_a_run_leaves_its_records(laboratory):
        laboratory.run(laboratory.write("strategies: ddp\nsteps: 20\n"), code=0)
        folder = laboratory.made / "far.ring.ddp.seed0"
        assert ending(folder)["status"] == "finished"
        assert all(len(of_kind("step", records(folder, rank))) == 20 for rank in (0, 1))

else:

    def test_a_run_that_was_stopped_goes_on_and_a_full_disk_ends_it_in_a_clear_error(laboratory):
        slug = "far.ring.patient-PatientDdp.seed0"
        strategy = "strategies: ./patient.py:PatientDdp\n"
        process = laboratory.start(laboratory.write(strategy + "steps: 60\ncheckpoint_every: 5\n"))
        wait_for(lambda: laboratory.has_step(slug, 12), 200)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 130, f"{out}\n{errors}"
        assert f"to continue: harness experiment run --resume {laboratory.made}" in errors
        folder = laboratory.made / slug
        assert ending(folder)["status"] == "stopped"
        assert not laboratory.is_up()
        assert all((folder / f"rank-{rank}.log").read_text().count("Traceback") == 0 for rank in (0, 1))

        (folder / "links.jsonl").rename(folder / "kept")
        (folder / "links.jsonl").mkdir()
        _, errors = laboratory.run("--resume", str(laboratory.made), code=70)
        assert f"{folder}/links.jsonl cannot be written: Is a directory" in errors
        assert "to continue: harness experiment run --resume" in errors
        assert "Traceback" not in errors
        assert not (folder / "end.json").exists()
        assert not laboratory.is_up()

        (folder / "links.jsonl").rmdir()
        (folder / "kept").rename(folder / "links.jsonl")
        process = laboratory.start("--resume", str(laboratory.made))
        wait_for(lambda: len(of_kind("start", records(folder, 1))) == 2, 200)
        laboratory.harness("link", "set", "0-1", "--delay", "30ms")
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, f"{out}\n{errors}"
        told = ending(folder)
        assert (told["status"], told["code"], told["failed_rank"]) == ("finished", 0, None)
        assert facts(folder)["attempt"] == 3
        assert facts(folder)["plan"]["profile"] == facts(folder)["profile"] == "far"
        assert not laboratory.is_up()
        for rank in (0, 1):
            found = records(folder, rank)
            first, again = of_kind("start", found)
            assert first["resumed_from"] is None
            assert again["resumed_from"] >= 10
            held = holding(found)
            assert [line["step"] for line in of_kind("step", held)] == list(range(1, 61))
            elapsed = [line["elapsed"] for line in of_kind("step", held)]
            assert elapsed == sorted(elapsed)
        samples = lines_of(folder / "links.jsonl")
        attempts = [line["attempt"] for line in samples]
        assert set(attempts) == {1, 3}
        assert attempts == sorted(attempts)
        check_links([line for line in samples if line["attempt"] == 3])
        (change,) = lines_of(folder / "changes.jsonl")
        assert facts(folder)["started"] < change["asked"] <= change["acknowledged"] < told["time"]
        assert [(edge["src"], edge["dst"]) for edge in change["edges"]] == [(0, 1), (1, 0)]
        for when, delay in (("before", 10), ("after", 30)):
            assert {LinkShape.from_json(edge[when]).delay.ns for edge in change["edges"]} == {delay * 1_000_000}
        assert len(check_trace(laboratory.harness, folder).changes) == 1
