"""Which arguments of a command are not recorded."""

import pytest

from harness.experiment.masked import masked


@pytest.mark.parametrize(
    ("argv", "recorded"),
    [
        (["train.py", "--token", "x", "--lr", "0.1"], ["train.py", "--token", "***", "--lr", "0.1"]),
        (["--hf-token=x=y"], ["--hf-token=***"]),
        (["--API_KEY", "x"], ["--API_KEY", "***"]),
        (["-password", "x"], ["-password", "***"]),
        (["env", "WANDB_API_KEY=x", "python"], ["env", "WANDB_API_KEY=***", "python"]),
        (["hub.token=x"], ["hub.token=***"]),
        (["--use-token", "--lr", "1"], ["--use-token", "--lr", "1"]),
        (["tokenize.py", "x"], ["tokenize.py", "x"]),
        (["--lr", "0.1", "token", "x"], ["--lr", "0.1", "token", "x"]),
    ],
)
def test_values_of_options_that_are_called_after_a_secret(argv, recorded):
    assert masked(argv) == recorded
