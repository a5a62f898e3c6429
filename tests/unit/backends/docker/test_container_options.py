"""What containers are asked for."""

import pytest

from harness.backends.docker.container_options import Limits, parse_gpus
from harness.errors import InputError


def test_limits_are_generous_and_can_be_set_or_lifted():
    assert Limits.read({}) == Limits("4096", "16g", "4g")
    given = {"HARNESS_PIDS": "0", "HARNESS_MEMORY": "512M", "HARNESS_TMP": "1000000"}
    assert Limits.read(given) == Limits("0", "512M", "1000000")
    assert Limits.read(dict.fromkeys(given, "")) == Limits(), "as Compose takes an empty variable"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HARNESS_PIDS", "many"),
        ("HARNESS_PIDS", "-1"),
        ("HARNESS_PIDS", "٤"),
        ("HARNESS_MEMORY", "16 GB"),
        ("HARNESS_MEMORY", "-1g"),
        ("HARNESS_TMP", "4g,exec"),
        ("HARNESS_TMP", "lots"),
    ],
)
def test_nonsense_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=rf"^{name}=.*: write .*0 for no limit$"):
        Limits.read({name: value})


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        (None, None),
        ("all", {"count": -1}),
        ("2", {"count": 2}),
        ("device=0,GPU-3a23c669", {"device_ids": ["0", "GPU-3a23c669"]}),
    ],
)
def test_gpus_are_asked_for_as_by_docker_run(text, request_):
    assert parse_gpus(text) == request_


@pytest.mark.parametrize("text", ["", "0", "some", "-1", "device=", "device=0,", "device=0;1", "٢"])
def test_gpus_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="write all, a number of GPUs, or device=0,2"):
        parse_gpus(text)
