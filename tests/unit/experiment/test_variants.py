"""What a command of the user's own is called."""

import pytest

from harness.experiment.variants import CommandVariant, OwnCommand


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("python", "/x/train.py", "--config", "y.py"), "train"),
        (("torchrun", "--nproc-per-node", "2", "train.py"), "train"),
        (("python", "-m", "torch.distributed.run", "train.py"), "train"),
        (("python", "-m", "torch.distributed.run", "-m", "mine.train"), "train"),
        (("python", "-m", "mine.train", "--config", "y.py"), "train"),
        (("./run.sh", "x"), "run"),
        (("sh", "-c", "true"), "sh"),
    ],
)
def test_a_command_is_called_after_its_script_or_module(argv, name):
    assert OwnCommand(argv).name == CommandVariant(OwnCommand(argv)).label == name


def test_parameters_tell_the_commands_of_a_grid_apart():
    command = OwnCommand(("python", "train.py", "--lr", "{lr}"))
    assert CommandVariant(command, {"lr": "0.1", "batch": "8"}).label == "lr=0.1 batch=8"
