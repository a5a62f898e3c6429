"""An experiment of an own command: what its file says, and what is refused with file and line."""

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.experiment.measure import Measure
from harness.experiment.spec_file import load_experiment

SMALL = "profiles: wan\ncommand: [python, train.py]\n"
GRID = 'profiles: [local, wan]\ncommand: [python, train.py, --lr, "{lr}"]\n'


@pytest.fixture
def read(tmp_path):
    def load(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_experiment(path)

    return load


def refused(read, text):
    with pytest.raises(InputError) as error:
        read(text)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_two_lines_are_an_experiment(read, tmp_path):
    made = read(SMALL)
    (run,) = made.runs()
    assert (run.slug, run.variant.label) == ("wan.fully_connected.train.seed0", "train")
    assert (made.command.argv, made.command.folder) == (("python", "train.py"), tmp_path)
    assert (made.measure, made.target) == (Measure(), None)


def test_a_grid_multiplies_and_its_values_are_filled_in(read):
    made = read(
        GRID.replace("lr}", "lr}/{seed}")
        + 'grid: {lr: [0.1, 1e-2], on: yes}\nenv: {ON: "{on} {nodes}"}\nseeds: [0, 3]\n'
    )
    runs = list(made.runs())
    assert [run.slug for run in runs[:4]] == [
        "local.fully_connected.lr=0-1-on=yes.seed0",
        "local.fully_connected.lr=1e-2-on=yes.seed0",
        "local.fully_connected.lr=0-1-on=yes.seed3",
        "local.fully_connected.lr=1e-2-on=yes.seed3",
    ]
    values = runs[3].values(4, "/there")
    assert made.command.filled(values) == ("python", "train.py", "--lr", "1e-2/3")
    assert made.command.environment(values) == {"ON": "yes 4", "HARNESS_SEED": "3"}
    assert runs[3].variant.label == "lr=1e-2 on=yes"


def test_a_value_stays_one_argument(read):
    (run,) = read(GRID.replace("[local, wan]", "wan") + 'grid: {lr: "0.1; rm -rf $HOME {seed}"}\n').runs()
    argv = run.variant.command.filled(run.values(2, ""))
    assert argv == ("python", "train.py", "--lr", "0.1; rm -rf $HOME {seed}")


@pytest.mark.parametrize(
    ("line", "measure"),
    [
        ("", Measure()),
        ("measure: wall_time\n", Measure()),
        ("measure: {log: perplexity}\n", Measure("log", "perplexity")),
        ("target: {accuracy: 0.9}\n", Measure("log", "accuracy")),
        ("measure: {regex: 'acc=(?P<accuracy>.+)'}\ntarget: {accuracy: 0.9}\n",
         Measure("regex", "accuracy", pattern="acc=(?P<accuracy>.+)")),
        ('measure: {jsonl: "{run_dir}/m", key: loss}\n', Measure("jsonl", "loss", path="{run_dir}/m", key="loss")),
    ],
)  # fmt: skip
def test_what_counts(read, line, measure):
    assert read(SMALL + line).measure == measure


def test_what_is_written_of_it_has_no_value_of_its_environment(read):
    made = read(SMALL + "env: {TOKEN: hunter2}\n")
    assert "hunter2" not in str(made.to_json())
    assert made.to_json()["command"] == ["python", "train.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "strategies: ddp\n", "mine.yaml:2: command: an experiment has strategies or a command, not both"),
        (SMALL + "steps: 3\n", "mine.yaml:3: steps: this is for strategies; its script decides that"),
        (SMALL + "task: digits\n", "mine.yaml:3: task: this is for strategies"),
        (SMALL + "H: 3\n", "mine.yaml:3: H: this is for strategies"),
        ("profiles: wan\nstrategies: ddp\ngrid: {lr: 1}\n", "mine.yaml:3: grid: this is for a command; write options"),
        ("profiles: wan\nstrategies: ddp\nmeasure: wall_time\n", "mine.yaml:3: measure: this is for a command"),
        ("profiles: wan\ncommand: python train.py\n",
         "mine.yaml:2: command: write the program and each argument by itself: [python, train.py]"),
        ("profiles: wan\ncommand: python train.py --lr {lr} 'a b'\n", '[python, train.py, --lr, "{lr}", "a b"]'),
        ("profiles: wan\ncommand: python 'train.py\n", "[python, \"'train.py\"]"),
        ("profiles: wan\ncommand: [python, train.py, {lr}]\n",
         'mine.yaml:2: command[2]: {lr} without quotes is a mapping in YAML: write "{lr}"'),
        (SMALL + "env: {LR: {lr}}\n", 'mine.yaml:3: env.LR: {lr} without quotes is a mapping in YAML: write "{lr}"'),
        ("profiles: wan\ncommand: []\n", "mine.yaml:2: command: an empty command: there is nothing to run"),
        ("profiles: wan\ncommand: ['']\n", "mine.yaml:2: command: an empty command"),
        ("profiles: wan\ncommand: [python, {a: b}]\n", "mine.yaml:2: command[1]: a mapping where a value is expected"),
        ('profiles: wan\ncommand: [python, "a\\0b"]\n', "mine.yaml:2: command[1]: an argument cannot have a zero"),
        ("profiles: wan\ncommand:\n  - python\n  - '{lr}'\n",
         "mine.yaml:4: command[1]: placeholder '{lr}' has no value; known: seed, profile, topology, scenario, nodes, "
         "run_dir; write {{lr}} for the text itself"),
        (SMALL.replace("train.py", "'{rank}'"), "mine.yaml:2: command[1]: {rank} is not known here"),
        (GRID + "grid:\n  lr: 1\n  batch: 2\n",
         "mine.yaml:5: grid.batch: nothing depends on it: write {batch} in command or env, or leave it out"),
        (GRID + "grid: {lr: []}\n", "mine.yaml:3: grid.lr: an empty list: there is nothing to run"),
        (GRID + "grid: {lr: 1, lr: 2}\n", "mine.yaml:3: grid: key 'lr' is given twice"),
        (GRID + "grid: {lr: 1, seed: 2}\n", "mine.yaml:3: grid.seed: every command has seed (of the training)"),
        (GRID + "grid: {lr: 1, a-b: 2}\n", "mine.yaml:3: grid.a-b: 'a-b' cannot be a placeholder"),
        (GRID + "grid: [lr]\n", "mine.yaml:3: grid: a list where a mapping is expected"),
        (GRID + "grid: {lr: [1, 1]}\n", "mine.yaml: 2 runs would be called local.fully_connected.lr=1.seed0"),
        (GRID + f"grid: {{lr: {list(range(10_000))}, b: [1, 2]}}\nenv: {{B: '{{b}}'}}\n",
         "mine.yaml:3: grid: 20000 combinations: an experiment has at most 10000 runs"),
        (SMALL + "env: {A-B: 1}\n", "mine.yaml:3: env.A-B: 'A-B' cannot be a variable"),
        (SMALL + "env: {MASTER_ADDR: localhost}\n", "mine.yaml:3: env.MASTER_ADDR: harness sets this variable itself"),
        (SMALL + "env: {HARNESS_SEED: 3}\n", "mine.yaml:3: env.HARNESS_SEED: harness sets this variable itself"),
        (SMALL + "env: {A: '{b}'}\n", "mine.yaml:3: env.A: placeholder '{b}' has no value"),
        (SMALL + "measure: loss\n", "mine.yaml:3: measure: write what to measure: wall_time, {log: loss}, "),
        (SMALL + "measure: {logs: loss}\n", "mine.yaml:3: measure: unknown key 'logs'; did you mean 'log'?"),
        (SMALL + "measure: {log: a, regex: (b)}\n", "mine.yaml:3: measure: write one of wall_time, "),
        (SMALL + "measure: {jsonl: a}\n", "mine.yaml:3: measure: write one of wall_time, "),
        (SMALL + "measure: {log: loss, key: a}\n", "mine.yaml:3: measure: write one of wall_time, "),
        (SMALL + "measure: {}\n", "mine.yaml:3: measure: write one of wall_time, "),
        (SMALL + "measure: {log: the loss}\n", "mine.yaml:3: measure.log: 'the loss' cannot be a value's name"),
        (SMALL + "measure:\n  regex: 'loss=('\n", "mine.yaml:4: measure.regex: 'loss=(' is not a regular expression"),
        (SMALL + "measure: {regex: 'loss='}\n", "mine.yaml:3: measure.regex: 'loss=' has no group for the value"),
        (SMALL + "measure: {jsonl: '{out}', key: a}\n", "mine.yaml:3: measure: placeholder '{out}' has no value"),
        (SMALL + "measure: wall_time\ntarget: {loss: 1}\n",
         "mine.yaml:3: measure: measures wall_time, but the target is of loss: they must be the same"),
        (SMALL + "measure: {regex: '(.)'}\ntarget: {accuracy: 1}\n",
         "they must be the same; a group (?P<accuracy>...) names what it finds"),
        (SMALL + "commands: 3\n", "mine.yaml:3: unknown key 'commands'; did you mean 'command'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(read, text, message):
    assert message in refused(read, text)


def test_a_secret_is_in_no_message(read):
    assert "hunter2" not in refused(read, SMALL + "env: {TOKEN: 'hunter2 {x}'}\n")


def test_paths_are_of_the_folder_that_the_file_came_from(tmp_path):
    (tmp_path / "copy").mkdir()
    path = tmp_path / "copy" / "experiment.yaml"
    path.write_text(SMALL)
    made = load_experiment(path, root=Path("/somewhere"), name="mine")
    assert (made.command.folder, made.name) == (Path("/somewhere"), "mine")
