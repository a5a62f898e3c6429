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
        (["--max-tokens", "64", "--tokenizer", "gpt2"], ["--max-tokens", "64", "--tokenizer", "gpt2"]),
        (["++hub.token=x", "+lr=1"], ["++hub.token=***", "+lr=1"]),
        (["--token=x y", "TOKEN=x y"], ["--token=***", "TOKEN=***"]),
        (["sh", "-c", "cd /x;  train --token 'x y' --lr 1"], ["sh", "-c", "cd /x;  train --token *** --lr 1"]),
        (["sh", "-c", "it's a \"quote"], ["sh", "-c", "it's a \"quote"]),
    ],
)
def test_values_of_options_that_are_called_after_a_secret(argv, recorded):
    assert masked(argv) == recorded
