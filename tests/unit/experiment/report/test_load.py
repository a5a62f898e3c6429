"""harness.experiment.report.load: whatever a run left, it is told as far as it got, and what is odd is noted."""

import json
import math
import shutil

import pytest

from harness.errors import InputError
from harness.experiment.report.analysis import analyse
from harness.experiment.report.json_export import document
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.records import Target
from harness.model.capacity import Capacity
from harness.model.units import Rate
from tests.support.runs import DDP, DILOCO, make_experiment, read_lines, write_lines

SLUG = "wan.ring.ddp.seed0"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "bad-1"
    return make_experiment(made, profiles=("wan",), strategies=(DDP,), nodes=2, steps=20, limit=None)


def notes(experiment):
    return [str(note) for note in experiment.notes]


def step(number, loss=1.0, **more):
    times = {"time": 100.0 + number, "elapsed": float(number), "seconds": 1.0}
    spent = {"seconds_compute": 0.25, "seconds_comm": 0.75, "sent_bytes": 10, "received_bytes": 10}
    return {"kind": "step", "step": number, "loss": loss, **times, **spent, **more}


def start(resumed_from=None):
    return {"kind": "start", "time": 100.0, "rank": 0, "size": 2, "parameters": 5, "resumed_from": resumed_from}


def test_a_whole_experiment_has_no_notes(folder):
    experiment = load_experiment(folder)
    assert (experiment.id, experiment.name, notes(experiment)) == ("bad-1", "bad", [])
    (run,) = experiment.runs
    assert (run.profile, run.topology, run.label, run.status) == ("wan", "ring", "ddp", "finished")
    assert run.target == Target("loss", 0.4)
    assert {sample.attempt for sample in run.links} == {1}
    assert [len(rank.steps) for rank in run.ranks] == [20, 20]
    assert run.plan is not None
    assert run.plan.size == 2
    assert run.ranks[0].collectives[0].ops["all_reduce"].count == 20
    assert run.links[0].edges.keys() == {(0, 1), (1, 0)}


def test_runs_come_in_the_order_of_the_experiment(tmp_path):
    folder = make_experiment(tmp_path / "x", profiles=("wan", "local"), strategies=(DILOCO, DDP), nodes=2, steps=3)
    named = json.loads((folder / "experiment.json").read_text())["runs"]
    assert [run.slug for run in load_experiment(folder).runs] == named


def test_one_run_alone(folder):
    experiment = load_experiment(folder / SLUG)
    assert [run.slug for run in experiment.runs] == [SLUG]
    assert experiment.name == "bad"


@pytest.mark.parametrize("tail", ['{"kind": "step", "st', '{"kind": "eval"', "\x00\x00\x00"])
def test_a_last_line_that_was_cut_off_is_ignored_and_noted(folder, tail):
    path = folder / SLUG / "rank-1.jsonl"
    lines = len(path.read_text().splitlines())
    with path.open("a") as file:
        file.write(tail)
    experiment = load_experiment(folder)
    assert notes(experiment) == [f"{SLUG}/rank-1.jsonl:{lines + 1}: the last line was cut off; ignored"]
    assert len(experiment.runs[0].ranks[1].steps) == 20


def test_lines_in_the_middle_that_are_no_records_are_noted_a_few_times(folder):
    path = folder / SLUG / "rank-0.jsonl"
    path.write_text("nonsense\n[1]\n" + "\n".join(["{"] * 5) + "\n" + path.read_text())
    experiment = load_experiment(folder)
    assert notes(experiment)[0] == f"{SLUG}/rank-0.jsonl:1: no JSON object; ignored"
    assert notes(experiment)[-1] == f"{SLUG}/rank-0.jsonl: 4 more such lines ignored"
    assert len(experiment.runs[0].ranks[0].steps) == 20


@pytest.mark.parametrize("field", ["step", "elapsed", "seconds_comm", "sent_bytes"])
def test_a_record_with_nonsense_in_a_field_is_left_out_and_noted(folder, field):
    write_lines(folder / SLUG / "rank-0.jsonl", [start(), step(1), step(2, **{field: "many"}), step(3)])
    experiment = load_experiment(folder)
    assert [one.step for one in experiment.runs[0].ranks[0].steps] == [1, 3]
    assert notes(experiment)[0].startswith(f"{SLUG}/rank-0.jsonl:3: {field} is 'many', not a ")


def test_losses_that_are_no_numbers_stay_and_are_noted(folder):
    lines = [start(), step(1), step(2, math.nan), step(3, math.inf), step(4, None)]
    write_lines(folder / SLUG / "rank-0.jsonl", lines)
    experiment = load_experiment(folder)
    losses = [one.loss for one in experiment.runs[0].ranks[0].steps]
    assert losses[0] == 1.0
    assert not any(map(math.isfinite, losses[1:]))
    assert "from step 2 on, at 3 steps" in notes(experiment)[0]


def test_after_a_resume_the_later_line_of_a_step_holds(folder):
    first = [start(), *(step(number, 1.0) for number in range(1, 9))]
    counted = [{"kind": "collectives", "step": at, "ops": {"all_reduce": {"count": 4, "bytes": 40}}} for at in (4, 8)]
    again = [start(resumed_from=5), step(6, 2.0), step(7, 2.0)]
    write_lines(folder / SLUG / "rank-0.jsonl", [*first, *counted, *again])
    rank = load_experiment(folder).runs[0].ranks[0]
    assert [(one.step, one.loss) for one in rank.steps] == [(n, 1.0) for n in range(1, 6)] + [(6, 2.0), (7, 2.0)]
    assert [one.step for one in rank.collectives] == [4]
    assert rank.resumed_from == (5,)
    assert rank.uncounted == ((4, 5),)
    assert [number for number in range(1, 8) if not rank.counts(number)] == [5]


def counted(at):
    return {"kind": "collectives", "step": at, "ops": {"all_reduce": {"count": 4, "bytes": 40}}}


@pytest.mark.parametrize(
    ("lines", "uncounted"),
    [
        ([counted(5), start(resumed_from=5)], ()),
        ([counted(4), counted(9), start(resumed_from=8), counted(12), start(resumed_from=14)], ((4, 8), (12, 14))),
        ([start(resumed_from=8), start(resumed_from=8)], ((0, 8),)),
        ([start(resumed_from=8), start(resumed_from=5)], ((0, 5),)),
        ([counted(4), start(resumed_from=8), start()], ()),
    ],
)
def test_steps_whose_collectives_nobody_counts_are_known(folder, lines, uncounted):
    write_lines(folder / SLUG / "rank-0.jsonl", [start(), *(step(number) for number in range(1, 15)), *lines])
    assert load_experiment(folder).runs[0].ranks[0].uncounted == uncounted


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, None),
        ({"loss": 0.3}, Target("loss", 0.3)),
        ({"accuracy": 0.9}, Target("accuracy", 0.9)),
        ({"accuracy": "high"}, None),
        ([1], None),
    ],
)
def test_targets(folder, target, expected):
    path = folder / SLUG / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "target": target}))
    assert load_experiment(folder).runs[0].target == expected


def test_an_experiment_knows_its_file_and_its_options(folder):
    experiment = load_experiment(folder / SLUG)
    assert experiment.source == "/home/me/bad.yaml"
    assert experiment.run_options["engine"] == "userspace"
    (folder / "experiment.json").write_text(json.dumps({"source": 3, "home": []}))
    experiment = load_experiment(folder)
    assert (experiment.source, experiment.run_options) == (None, {})


def test_an_end_has_notes(folder):
    end = {"status": "finished", "notes": ["the engine's process was started again"]}
    write_lines(folder / SLUG / "end.json", [end])
    experiment = load_experiment(folder)
    assert experiment.runs[0].end.notes == ("the engine's process was started again",)
    assert document(analyse(experiment))["runs"][0]["notes"] == end["notes"]


def test_an_attempt_from_scratch_takes_everything_back(folder):
    write_lines(folder / SLUG / "rank-0.jsonl", [start(), step(1), step(2), start(), step(1, 3.0)])
    assert [(one.step, one.loss) for one in load_experiment(folder).runs[0].ranks[0].steps] == [(1, 3.0)]


def test_what_is_missing_is_noted(folder):
    for name in ("rank-1.jsonl", "links.jsonl", "end.json"):
        (folder / SLUG / name).unlink()
    (folder / "experiment.json").unlink()
    experiment = load_experiment(folder)
    assert experiment.runs[0].status == "unfinished"
    assert experiment.runs[0].links == ()
    assert {note.partition(": ")[0] for note in notes(experiment)} == {
        f"{SLUG}/rank-1.jsonl",
        f"{SLUG}/links.jsonl",
        "experiment.json",
    }


def test_the_links_of_a_job_that_does_not_train_are_read(folder):
    for path in (folder / SLUG).glob("rank-*.jsonl"):
        path.unlink()
    (run,) = [run for run in load_experiment(folder).runs if run.slug == SLUG]
    assert run.ranks == ()
    assert len(run.links) > 1


def test_a_run_of_which_only_the_settings_are_there(folder):
    for path in (folder / SLUG).glob("*.json*"):
        if path.name != "run.json":
            path.unlink()
    experiment = load_experiment(folder)
    assert experiment.runs[0].ranks == ()
    assert notes(experiment) == [
        f"{SLUG}: no rank-R.jsonl: no rank recorded its training, as harness.training.train does"
    ]


def test_a_plan_that_cannot_be_read_costs_the_drawing_only(folder):
    path = folder / SLUG / "run.json"
    settings = json.loads(path.read_text())
    settings["plan"]["edges"][0]["delay_s"] = "long"
    path.write_text(json.dumps(settings))
    experiment = load_experiment(folder)
    assert experiment.runs[0].plan is None
    assert notes(experiment)[0].startswith(f"{SLUG}/run.json: no plan that can be read")


def test_a_run_whose_settings_are_half_written_is_left_out(folder):
    other = folder / "wan.ring.other.seed0"
    other.mkdir()
    (other / "run.json").write_text('{"version": 1, "sl')
    experiment = load_experiment(folder)
    assert [run.slug for run in experiment.runs] == [SLUG]
    assert any("this run is left out" in note for note in notes(experiment))


def test_one_run_whose_settings_are_half_written_is_wrong_input(folder):
    (folder / SLUG / "run.json").write_text('{"version": 1, "sl')
    with pytest.raises(InputError, match=r"its run\.json cannot be read, so nothing is known of this run"):
        load_experiment(folder / SLUG)


def test_runs_that_have_not_begun_are_named(folder):
    path = folder / "experiment.json"
    about = json.loads(path.read_text())
    about["runs"] += ["wan.ring.later.seed0", "../../etc", 7]
    path.write_text(json.dumps(about))
    assert load_experiment(folder).missing == ("wan.ring.later.seed0",)


def test_changes_are_told_in_words(folder):
    before = read_lines(folder / SLUG / "run.json")[0]["plan"]["edges"][0]
    after = {**before, "delay_s": 0.12}
    change = {"asked": 1.0, "acknowledged": 2.0, "edges": [{"src": 0, "dst": 1, "before": before, "after": after}]}
    odd = {"asked": 1.0, "acknowledged": 2.0, "edges": [{"src": 0, "dst": 1, "before": None, "after": {"x": 1}}]}
    down = {"asked": 1.0, "acknowledged": 2.0, "edges": [{"src": 1, "dst": 0, "before": {}, "after": {"down": True}}]}
    write_lines(folder / SLUG / "changes.jsonl", [change, odd, down, {"asked": 3}])
    experiment = load_experiment(folder)
    first, second, third = (change.edges[0] for change in experiment.runs[0].changes)
    assert first == "0→1: delay 24.1 ms → delay 120 ms"
    assert (second, third) == ("0→1: ? → ?", "1→0: ? → down")
    rate = experiment.runs[0].plan.edges[0, 1].shape.rate.bit_s
    assert [change.rates for change in experiment.runs[0].changes] == [{(0, 1): rate}, {}, {(1, 0): None}]
    assert "acknowledged is None" in notes(experiment)[0]


def test_changes_of_limits_are_told_in_words(folder):
    slow, fast = (Capacity(Rate(rate)).to_json() for rate in (5_000_000, 20_000_000))
    none = {"uplink": None, "downlink": None}
    times = {"asked": 1.0, "acknowledged": 2.0, "edges": []}
    nodes = [{"rank": 2, "before": none, "after": {**none, "uplink": slow, "cpu": 0.25}}]
    trunks = [{"from": "eu", "to": "us", "before": fast, "after": slow}]
    odd = {"nodes": [{"rank": 1, "before": None, "after": none}], "trunks": [{"from": "a", "to": "b", "before": 7}]}
    lines = [{**times, "nodes": nodes, "trunks": trunks}, {**times, **odd}, {**times, "nodes": 7}]
    write_lines(folder / SLUG / "changes.jsonl", lines)
    experiment = load_experiment(folder)
    assert [change.texts for change in experiment.runs[0].changes] == [
        ("node 2: uplink no limit → 5 Mbit/s, CPU no limit → 25 %", "trunk eu→us: 20 Mbit/s → 5 Mbit/s"),
        ("node 1: ?", "trunk a→b: ?"),
    ]
    assert "nodes is not a list of objects" in notes(experiment)[0]


FILES = ["rank-0.jsonl", "links.jsonl", "changes.jsonl", "run.json", "end.json", "../experiment.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_anywhere_can_be_reported(folder, file, share):
    other = folder / "wan.ring.other.seed0"
    shutil.copytree(folder / SLUG, other)
    path = other / file
    write_lines(other / "changes.jsonl", [{"asked": 1.0, "acknowledged": 2.0, "edges": []}])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    made = document(analyse(load_experiment(folder)))
    assert SLUG in [run["slug"] for run in made["runs"]]
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "is empty: nothing was recorded there"),
        (lambda folder: (folder / "e1").mkdir(parents=True), "contains no run"),
        (lambda folder: folder.write_text("x"), "no such folder"),
    ],
)
def test_nothing_to_read_is_wrong_input(tmp_path, make, remedy):
    make(tmp_path / "runs")
    with pytest.raises(InputError, match=remedy):
        load_experiment(tmp_path / "runs")


def test_the_folder_of_all_experiments_is_wrong_input_that_names_one(folder):
    with pytest.raises(InputError, match=r"contains several experiments.*bad-1"):
        load_experiment(folder.parent)


def test_an_experiment_of_which_no_run_has_begun(folder):
    for path in (folder / SLUG).iterdir():
        path.unlink()
    (folder / SLUG).rmdir()
    with pytest.raises(InputError, match="none of its 1 runs has begun"):
        load_experiment(folder)
