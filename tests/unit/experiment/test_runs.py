"""An experiment's folder: made once, found again, and what is left to do in it."""

import json
import time
from pathlib import Path

import pytest

from harness.errors import InputError, NetworkStateError
from harness.experiment.runs import ExperimentRuns, load_folder, new_folder
from harness.experiment.spec import Experiment
from harness.experiment.spec_file import load_experiment
from harness.experiment.variants import StrategyVariant
from harness.run_files import RunFolder

NOW = time.struct_time((2026, 11, 22, 20, 15, 0, 6, 326, 0))
HOME = {
    "runtime": "netns",
    "engine": "auto",
    "image": None,
    "volume": [],
    "subnet": "198.18.4.0/24",
    "name": "default",
}
EXPERIMENT = Experiment("e", ("local", "wan"), ("ring",), (StrategyVariant("ddp"), StrategyVariant("fedavg", {"H": 5})))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("profiles: wan  # as it was written\n")
    return path


@pytest.fixture
def folder(tmp_path, source):
    return new_folder(tmp_path / "runs", EXPERIMENT, source, HOME, NOW)


def end(folder, run, status):
    RunFolder(folder / run.slug).end(status, seconds=1.0, code=0, failed_rank=None, last_lines=[])


def test_a_folder_says_what_it_is_and_keeps_the_file(folder, tmp_path, source):
    assert folder == tmp_path / "runs" / "e-20261122-201500"
    told = json.loads((folder / "experiment.json").read_text())
    assert (told["version"], told["id"], told["name"]) == (1, "e-20261122-201500", "e")
    assert told["runs"] == [run.slug for run in EXPERIMENT.runs()]
    assert told["source"] == str(source)
    assert told["home"] == HOME
    assert (folder / "experiment.yaml").read_bytes() == source.read_bytes()
    assert load_folder(folder, HOME) == (EXPERIMENT, HOME)


def test_the_source_is_where_it_is_for_everybody(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = new_folder(tmp_path / "runs", EXPERIMENT, Path(source.name), HOME, NOW)
    assert json.loads((folder / "experiment.json").read_text())["source"] == str(source)


def test_an_experiment_goes_on_where_it_was_begun(tmp_path, source):
    begun = {**HOME, "runtime": "docker", "image": "mine", "volume": ["/a:/b", "/c:/d"], "name": "lab"}
    folder = new_folder(tmp_path / "runs", EXPERIMENT, source, begun, NOW)
    assert load_folder(folder, HOME) == (EXPERIMENT, begun)
    assert load_folder(folder, {**HOME, "runtime": "docker"}, ["runtime"]) == (EXPERIMENT, begun)
    assert load_folder(folder, {**HOME, "name": "other"}, ["name"]) == (EXPERIMENT, {**begun, "name": "other"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"runtime": "docker"}, "was started with --runtime netns, and must be continued so; leave out --runtime$"),
        ({"image": "mine"}, "was started without --image, and must be continued so; leave out --image$"),
        (
            {"subnet": "10.9.0.0/24", "volume": ["/a:/b"]},
            r"with --subnet 198\.18\.4\.0/24 without --volume, and must be continued so; leave out --subnet, --volume$",
        ),
    ],
)
def test_what_the_user_asks_for_otherwise_is_refused(folder, given, told):
    with pytest.raises(InputError, match=told):
        load_folder(folder, {**HOME, **given}, list(given))


def test_a_folder_of_before_they_were_recorded_takes_todays_options(folder):
    change(folder, home={"runtime": "netns", "engine": "auto"})
    home = {**HOME, "subnet": "10.9.0.0/24"}
    assert load_folder(folder, home, ["subnet"]) == (EXPERIMENT, home)


def test_nothing_is_written_over(folder, tmp_path, source):
    with pytest.raises(InputError, match=f"{folder} exists already; continue it with --resume {folder}"):
        new_folder(tmp_path / "runs", EXPERIMENT, source, HOME, NOW)


def test_a_place_where_no_folder_can_be_made(source, tmp_path):
    with pytest.raises(InputError, match=r"/mine\.yaml/e-20261122-201500 cannot be made: .*; name another folder"):
        new_folder(source, EXPERIMENT, source, HOME, NOW)


def test_what_counts_is_not_done_again(folder):
    campaign = ExperimentRuns(EXPERIMENT, folder)
    runs = list(EXPERIMENT.runs())
    assert campaign.todo() == runs
    for run, status in zip(runs, ("finished", "failed", "limit", "stopped"), strict=True):
        end(folder, run, status)
    assert campaign.todo() == [runs[1], runs[3]]
    assert [status for _, status in campaign.statuses()] == ["finished", "failed", "limit", "stopped"]


def test_half_an_ending_is_none(folder):
    run = next(EXPERIMENT.runs())
    (folder / run.slug).mkdir()
    (folder / run.slug / "end.json").write_text('{"status": "fin')
    campaign = ExperimentRuns(EXPERIMENT, folder)
    assert run in campaign.todo()
    assert next(campaign.statuses()) == (run, "to do")


def test_two_commands_do_not_do_the_same_experiment(folder):
    with (
        ExperimentRuns(EXPERIMENT, folder).lock(),
        pytest.raises(NetworkStateError, match=f"another command is working on {folder}"),
        ExperimentRuns(EXPERIMENT, folder).lock(),
    ):
        pass
    with ExperimentRuns(EXPERIMENT, folder).lock():
        pass


def test_the_lock_of_an_experiment_follows_no_link(folder, tmp_path):
    (tmp_path / "mine").write_text("dear to me")
    (folder / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"\.lock cannot be written"), ExperimentRuns(EXPERIMENT, folder).lock():
        pass
    assert (tmp_path / "mine").read_text() == "dear to me"


def change(folder, **values):
    path = folder / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 0}, "was made by another version of harness; start again from /.*/mine.yaml"),
        ({"version": 0, "source": None}, "was made by another version of harness; start again from .*/experiment.yaml"),
        ({"spec": {"name": "e"}}, "experiment.json cannot be read"),
        ({"spec": None}, "experiment.json cannot be read"),
        ({"home": None}, "experiment.json cannot be read"),
        ({"spec": {**EXPERIMENT.to_json(), "task": {"name": "poetry"}}}, "experiment.json cannot be read"),
        ({"home": {"runtime": 3}}, "experiment.json cannot be read"),
        ({"home": {"runtime": ["netns"]}}, "experiment.json cannot be read"),
        ({"home": {"volume": "/a:/b"}}, "experiment.json cannot be read"),
        ({"home": {"volume": [3]}}, "experiment.json cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_gone_on_with(folder, values, message):
    change(folder, **values)
    with pytest.raises(InputError, match=message):
        load_folder(folder, HOME)


def test_a_folder_that_is_no_experiments(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"has no experiment\.json"):
            load_folder(place, HOME)


OWN = """
command: [python, train.py, --lr, "{lr}", --token, hunter2]
grid: {lr: [0.1, 1]}
env: {TOKEN: hunter2}
profiles: wan
topologies: ring
"""


@pytest.fixture
def own(tmp_path, source):
    source.write_text(OWN)
    experiment = load_experiment(source)
    return experiment, new_folder(tmp_path / "runs", experiment, source, HOME, NOW)


def test_the_experiment_of_a_command_goes_on_with_the_environment_of_its_file(own, tmp_path):
    experiment, folder = own
    assert load_folder(folder, HOME) == (experiment, HOME)
    assert experiment.command.env == {"TOKEN": "hunter2"}
    assert experiment.command.folder == tmp_path
    assert "hunter2" not in (folder / "experiment.json").read_text()


def test_a_copy_that_was_changed_or_is_gone_is_refused(own):
    _, folder = own
    (folder / "experiment.yaml").write_text(OWN.replace("0.1", "0.2"))
    with pytest.raises(InputError, match="was changed since, and has other runs"):
        load_folder(folder, HOME)
    (folder / "experiment.yaml").unlink()
    with pytest.raises(InputError, match="there is no such file"):
        load_folder(folder, HOME)


def test_who_may_not_read_the_file_may_not_read_its_copy(tmp_path, source):
    source.chmod(0o600)
    folder = new_folder(tmp_path / "private", EXPERIMENT, source, HOME, NOW)
    assert (folder / "experiment.yaml").stat().st_mode & 0o777 == 0o600
