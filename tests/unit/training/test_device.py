"""The device of a rank, on machines with and without a GPU."""

import os

import pytest
import torch

from harness.errors import HarnessError, InputError, UnavailableError
from harness.training import device
from harness.training.strategies.base import CommClock

has_gpu = torch.cuda.is_available()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """find_device sets it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", "0"))


def test_a_rank_on_the_cpu_sees_no_gpu():
    assert device.find_device("cpu", "gloo", 0).type == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_auto_takes_a_gpu_where_there_is_one():
    found = device.find_device("auto", "gloo", 3)
    assert found.type == ("cuda" if has_gpu else "cpu")


def test_nccl_without_a_gpu_is_refused():
    with pytest.raises(InputError, match="NCCL carries only tensors of GPUs"):
        device.find_device("cpu", "nccl", 0)


@pytest.mark.parametrize(
    ("cuda", "cause", "words"),
    [
        (None, None, "is built without CUDA: install a build that has it"),
        ("13.0", RuntimeError("Found no NVIDIA driver on your system. Please check ..."), "Found no NVIDIA driver"),
        ("13.0", RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please"), "too old"),
        ("13.0", None, "finds no GPU; nvidia-smi lists GPUs"),
    ],
)
def test_why_there_is_no_gpu_is_one_line(monkeypatch, cuda, cause, words):
    def init():
        if cause:
            raise cause

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(UnavailableError, match=words) as error:
        device.find_device("cuda", "gloo", 0)
    assert "\n" not in str(error.value)


def test_a_build_that_does_not_fit_the_gpu_is_one_line(monkeypatch):
    def ones(*_, **__):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    monkeypatch.setattr(torch, "ones", ones)
    with pytest.raises(HarnessError, match="Some GPU: CUDA error: no kernel image is available") as error:
        device.find_device("cuda", "gloo", 0)
    assert "\n" not in str(error.value)


def test_ranks_share_the_gpus_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda chosen: taken.append(chosen.index))
    cpu = torch.zeros(1)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: cpu.clone())
    for rank in range(3):
        device.find_device("cuda", "gloo", rank)
    device.find_device("cuda", "gloo", 1, [1])
    assert taken == [0, 1, 0, 1]
    with pytest.raises(UnavailableError, match="there are only 2 GPUs"):
        device.find_device("cuda", "gloo", 0, [2])


def test_what_a_gpu_still_computes_is_not_waiting():
    """The clock starts when the GPU has done its work, and stops when received data is on it."""
    called = []
    clock = CommClock(lambda: called.append("settled"))
    with clock.waiting():
        called.append("waiting")
    assert called == ["settled", "waiting", "settled"]
