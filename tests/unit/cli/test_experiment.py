"""``harness experiment run``: what it prints before it begins, and what it refuses before it touches anything."""

import importlib.util
import json

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import experiment
from harness.errors import HarnessError, InputError
from harness.experiment.runner import Runner
from harness.experiment.runs import ExperimentRuns
from harness.model.format import count
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry
from harness.run_files import RunFolder

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]

ENDED = {"seconds": 1.0, "code": 0, "failed_rank": None, "last_lines": []}
SMALL = "nodes: 2\nprofiles: [local, wan]\nstrategies: [ddp, {name: fedavg, H: [5, 10]}]\nsteps: 20\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the verb with these words, in a new folder."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    experiment.register(app)

    def invoke(*words, verb="run"):
        return CliRunner().invoke(app, ["experiment", verb, *map(str, words)])

    return invoke


@pytest.fixture
def refused(run, tmp_path):
    """The error of the verb, which must have made nothing."""

    def invoke(*words, code=2):
        done = run(*words)
        assert isinstance(done.exception, HarnessError), done.output
        assert done.exception.exit_code == code
        assert not (tmp_path / "runs").exists()
        assert LocalRegistry().names() == []
        (message,) = str(done.exception).splitlines()
        return message

    return invoke


def test_a_dry_run_names_every_run_and_makes_nothing(run, file, tmp_path):
    done = run(file, "--dry-run")
    assert done.exit_code == 0
    slugs = [
        "local.fully_connected.ddp.seed0",
        "wan.fully_connected.ddp.seed0",
        "wan.fully_connected.fedavg-H=10.seed0",
    ]
    assert all(slug in done.stdout for slug in slugs)
    assert done.stdout.splitlines()[-1] == "6 runs"
    assert list(tmp_path.iterdir()) == [file]


def test_a_dry_run_as_json(run, file):
    told = json.loads(run(file, "--dry-run", "--json").stdout)
    assert [one["slug"] for one in told["runs"]][:2] == [
        "local.fully_connected.ddp.seed0",
        "local.fully_connected.fedavg-H=5.seed0",
    ]
    assert told["experiment"]["strategies"][1] == {"name": "fedavg", "options": {"H": 5}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("profiles: [wann]", "mine.yaml:2: profiles[0]: profile 'wann' is unknown; did you mean 'wan'?"),
        ("topologies: rnig", "mine.yaml:5: topologies: topology 'rnig' is unknown; did you mean 'ring'?"),
        ("strategies: dilocco", "mine.yaml:3: strategies: strategy 'dilocco' is unknown; did you mean 'diloco'?"),
        ("strategies: [{name: ddp, H: 3}]", "mine.yaml:3: strategies[0]: strategy ddp has no option 'H'; known: "),
        ("task: {name: digit}", "mine.yaml:5: task: task 'digit' is unknown; did you mean 'digits'?"),
        ("target: soon", "mine.yaml:5: target: 'soon' where a mapping is expected, with keys such as loss, accuracy"),
        ("seeds: []", "mine.yaml:5: seeds: an empty list: there is nothing to run"),
        ("profiles: wan: 3", "mine.yaml:2: this is not YAML"),
        ("nodes: 100000", "mine.yaml:1: nodes: "),
    ],
)
def test_a_file_that_makes_no_sense(refused, file, line, message):
    key = line.partition(":")[0] + ":"
    rest = [one for one in SMALL.splitlines() if not one.startswith(key)]
    place = next((number for number, one in enumerate(SMALL.splitlines()) if one.startswith(key)), len(rest))
    file.write_text("\n".join([*rest[:place], line, *rest[place:]]) + "\n")
    assert message in refused(file)


def test_many_runs_need_a_yes(refused, file):
    file.write_text(SMALL + f"seeds: {list(range(50))}\n")
    message = refused(file)
    assert message == "300 runs: add --yes to start them, or list them with --dry-run"


def test_an_experiment_that_is_huge_is_told_at_once(refused, file):
    """Before every network is planned: a hundred thousand of them would take minutes."""
    file.write_text(SMALL + f"seeds: {list(range(9999))}\n")
    assert refused(file).endswith("mine.yaml: the experiment has 59994 runs; at most 10000 fit into one")
    file.write_text(SMALL + f"seeds: {list(range(1600))}\n")
    assert refused(file).startswith("9600 runs: ")


def test_without_torch_it_is_refused_at_once(refused, run, file, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    assert "which every node would run" in refused(file, code=69)
    assert run(file, "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a file, or the folder of an experiment to --resume"),
        (["mine.yaml", "--resume", "x"], "name a file, or the folder of an experiment to --resume"),
        (["none.yaml"], "none.yaml: there is no such file"),
        (["--resume", "none"], "none has no experiment.json; 'harness experiment list' shows where one is"),
        (["mine.yaml", "--runs", "/proc/x"], "cannot be made: No such file or directory; name another folder"),
        (["mine.yaml", "--name", "My Net"], "--name 'My Net'"),
        (["mine.yaml", "--runtime", "vm"], "no runtime is called 'vm'"),
        (["mine.yaml", "--engine", "magic"], "no engine is called 'magic'"),
        (["mine.yaml", "--image", "mine"], "add --runtime docker"),
        (["mine.yaml", "--jobs", "0"], "--jobs '0': write how many runs at a time, or auto"),
        (["mine.yaml", "--jobs", "4", "--runtime", "docker", "--subnet", "198.18.4.0/29"], "2 nodes do not fit"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("file")
def test_a_command_that_makes_no_sense(refused, words, message):
    assert message in refused(*words)


BEGUN = {
    "runtime": "docker",
    "engine": "userspace",
    "congestion-control": "reno",
    "image": "mine",
    "volume": ["/a:/b"],
    "gpus": None,
    "subnet": "198.18.4.0/24",
    "subnet6": "fd01::/64",
    "name": "lab",
}
"""Options that all differ from their defaults."""


@pytest.fixture
def begun(tmp_path, file):
    """The folder of an experiment with one finished run, by another command."""
    import time

    from harness.experiment.runs import new_folder
    from harness.experiment.spec_file import load_experiment

    folder = new_folder(tmp_path / "begun", load_experiment(file), file, BEGUN, time.localtime())
    for slug, status in (("local.fully_connected.ddp.seed0", "finished"), ("wan.fully_connected.ddp.seed0", "failed")):
        RunFolder(folder / slug).end(status, seconds=1.0, code=0, failed_rank=None, last_lines=[])
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cores", "2"), "--cores needs --on"),
        (("--on", "slurm"), "--on 'slurm': write ray"),
        (("--on", "ray", "--jobs", "2"), "--jobs is for this machine"),
        (("--on", "ray", "--runtime", "docker"), "--on performs runs in namespaces"),
        (("--on", "ray", "--cores", "0"), "--cores '0': write a whole number of cores"),
        (("--on", "ray", "--name", "n" * 50), "--name 'nnn"),
    ],
)
def test_what_does_not_go_with_a_cluster_is_refused_before_it_is_looked_for(refused, file, words, message):
    assert message in refused(file, *words)


def test_to_resume_does_what_is_left(run, begun):
    told = json.loads(run("--resume", begun, "--dry-run", "--json").stdout)
    slugs = [one["slug"] for one in told["runs"]]
    assert len(slugs) == 5
    assert "local.fully_connected.ddp.seed0" not in slugs
    assert "wan.fully_connected.ddp.seed0" in slugs


def test_to_resume_elsewhere_is_refused(refused, begun):
    message = refused("--resume", begun, "--engine", "netem", "--runtime", "docker", "--image", "other")
    assert message == (
        f"{begun} was started with --engine userspace with --image mine, and must be continued so; leave out --engine,"
        " --image"
    )


@pytest.fixture
def performed(monkeypatch):
    """The runs by who performed them; all finish at once, and make nothing."""
    done = []

    def perform(runner, run, watch):
        done.append((runner, run.slug))
        runner.folder_of(run).end("finished", **ENDED)
        return runner.folder_of(run).ending

    monkeypatch.setattr(Runner, "perform", perform)
    return done


def test_to_resume_needs_no_option_that_it_was_begun_with(run, begun, performed, monkeypatch):
    monkeypatch.setenv("HARNESS_RUNTIME", "netns")
    assert run("--resume", begun, "--engine", "userspace").exit_code == 0
    (runner, _), *_ = performed
    assert runner.placement == Placement("docker", "userspace", "reno", "mine", ("/a:/b",))
    assert (runner.name, runner.subnets) == ("lab", ("198.18.4.0/24", "fd01::/64"))
    assert len(performed) == 5


def test_a_resumed_networks_name_may_be_another(run, begun, performed, monkeypatch):
    monkeypatch.setenv("HARNESS_NAME", "today")
    assert run("--resume", begun).exit_code == 0
    assert performed[0][0].name == "today"


def test_what_is_begun_records_how(run, file, tmp_path, performed):
    words = ("--image", "mine", "-v", "/a:/b", "--subnet", "198.18.4.0/24", "--name", "lab", "--runtime", "docker")
    assert run(file, *words).exit_code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    expected = BEGUN | {"engine": "auto", "congestion-control": "cubic", "subnet6": None}
    assert json.loads((folder / "experiment.json").read_text())["home"] == expected
    assert len(performed) == 6


def test_what_another_command_has_done_meanwhile_is_not_done_again(run, begun, performed, monkeypatch):
    """It ends its last run after we have read what is left, and before we get the lock."""
    alone = ExperimentRuns.lock

    def late(campaign):
        RunFolder(begun / "wan.fully_connected.ddp.seed0").end("finished", **ENDED)
        return alone(campaign)

    monkeypatch.setattr(ExperimentRuns, "lock", late)
    assert run("--resume", begun).exit_code == 0
    assert [slug for _, slug in performed] == [
        "local.fully_connected.fedavg-H=5.seed0",
        "local.fully_connected.fedavg-H=10.seed0",
        "wan.fully_connected.fedavg-H=5.seed0",
        "wan.fully_connected.fedavg-H=10.seed0",
    ]


def test_to_resume_what_another_version_made_is_refused(refused, begun):
    path = begun / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    assert "was made by another version of harness" in refused("--resume", begun)


def test_nothing_left_to_do_is_fine(run, begun):
    for slug in json.loads((begun / "experiment.json").read_text())["runs"]:
        RunFolder(begun / slug).end("finished", seconds=1.0, code=0, failed_rank=None, last_lines=[])
    done = run("--resume", begun)
    assert done.exit_code == 0
    assert f"{count(0, 'run')}; records in" in done.stderr


def test_the_command_ends_with_2_and_one_line(harness, file):
    file.write_text(SMALL.replace("wan", "wann"))
    done = harness("experiment", "run", str(file), code=InputError.exit_code)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"harness: error: {file}:2: profiles[1]: profile 'wann' is unknown")


def test_what_is_on_the_disk_is_listed(run, begun):
    assert begun.name in run("--runs", "begun", verb="list").stdout
    (listed,) = json.loads(run("--json", "--runs", "begun", verb="list").stdout)
    assert (listed["folder"], listed["kind"]) == (f"begun/{begun.name}", "experiment")
    assert sum(listed["runs"].values()) == 6
    assert json.loads(run("--json", "--runs", "elsewhere", verb="list").stdout) == []


OWN = """
command: [python, train.py, --lr, "{lr}", --token, hunter2, --out, "{run_dir}"]
grid: {lr: [0.1, "1 2"]}
env: {SECRET: hunter2}
profiles: [local, wan]
nodes: 2
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    (tmp_path / "train.py").write_text("")
    return path


def test_a_dry_run_of_a_command_prints_what_would_be_started_without_secrets(run, own):
    done = run(own, "--dry-run")
    assert done.exit_code == 0
    assert "python train.py --lr '1 2' --token '***' --out '{run_dir}'" in done.stdout
    assert "hunter2" not in done.stdout
    told = json.loads(run(own, "--dry-run", "--json").stdout)
    assert told["runs"][0] == {
        "slug": "local.fully_connected.lr=0-1.seed0",
        "command": ["python", "train.py", "--lr", "0.1", "--token", "***", "--out", "{run_dir}"],
    }
    assert told["experiment"]["parameters"] == [{"lr": "0.1"}, {"lr": "1 2"}]
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[python, train.py", "[pyhton, train.py", "command: there is no program 'pyhton' in PATH"),
        ("train.py", "trian.py", "command: there is no file trian.py in "),
        ('"{lr}"', '"{lrr}"', "own.yaml:2: command[3]: placeholder '{lrr}' has no value; did you mean 'lr'?"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused_before_the_first_network(refused, own, before, after, message):
    own.write_text(OWN.replace(before, after))
    assert message in refused(own)


def test_a_command_needs_no_torch_here(run, own, performed, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    assert run(own).exit_code == 0
    assert len(performed) == 4
    (folder,) = (tmp_path / "runs").iterdir()
    assert [path.name for path in folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == [
        "experiment.yaml"
    ]
    RunFolder(folder / "wan.fully_connected.lr=0-1.seed0").end("stopped", **ENDED)
    assert run("--resume", folder).exit_code == 0
    assert [slug for _, slug in performed[4:]] == ["wan.fully_connected.lr=0-1.seed0"]


def test_several_runs_at_a_time_do_not_add_to_one_file(refused, own):
    own.write_text(OWN + "measure: {jsonl: m.jsonl, key: loss}\n")
    assert "runs would add to m.jsonl" in refused(own, "--jobs", "2")
