"""Chooses where a rank computes: on the CPU, or on a GPU, which nodes of one machine may share.

gloo's collectives copy CUDA tensors to the machine's memory and back. Its send and recv take only CPU tensors: for
these, ``off_device`` and ``Tensor.copy_`` do the same.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, Literal, get_args

from harness.errors import HarnessError, InputError, UnavailableError

Device = Literal["cpu", "cuda", "auto"]
Transport = Literal["gloo", "nccl"]
"""What carries GPU tensors; gloo always carries CPU tensors."""
DEVICES: Final = get_args(Device)
TRANSPORTS: Final = get_args(Transport)
DEVICE_HELP: Final = (
    "where a rank computes: cpu, cuda (nodes of one machine share its GPUs), auto: cuda if there is one"
)
TRANSPORT_HELP: Final = "what carries GPU tensors: gloo, or nccl over sockets, where each rank has a GPU of its own"
_WORKSPACE: Final = "CUBLAS_WORKSPACE_CONFIG"
_GPUS: Final = "nvidia-smi lists GPUs; containers get them by --gpus all"


def prepare(environment: MutableMapping[str, str]) -> None:
    """Let cuBLAS compute the same in every run (its manual, 'Results reproducibility'); before torch is imported."""
    environment.setdefault(_WORKSPACE, ":4096:8")


def find_device(wanted: str, transport: str, rank: int, numbers: Sequence[int] | None = None) -> Any:
    """The torch.device of this rank; of several GPUs, rank r takes number r modulo their count.

    Args:
        wanted: cpu, cuda or auto.
        transport: gloo or nccl.
        rank: of this process.
        numbers: of the GPUs to use; None: all that this process sees.

    Raises:
        UnavailableError: there is no GPU, or this PyTorch cannot use it.
        InputError: NCCL is asked for without a GPU.
    """
    import torch

    if wanted == "cpu" or (wanted == "auto" and not _available()):
        if transport == "nccl":
            raise InputError("NCCL carries only tensors of GPUs: take --device cuda, or --transport gloo")
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # torch's PowerSGD waits for a GPU wherever it sees one
        return torch.device("cpu")
    if not _available():
        raise UnavailableError(f"device cuda: {_why_not()}")
    if transport == "nccl" and not torch.distributed.is_nccl_available():
        raise UnavailableError(f"PyTorch {torch.__version__} is built without NCCL: take --transport gloo")
    seen = torch.cuda.device_count()
    chosen = list(numbers or range(seen))
    device = torch.device("cuda", chosen[rank % len(chosen)])
    if device.index >= seen:
        raise UnavailableError(f"{device}: there are only {seen} GPUs, from 0; {_GPUS}")
    try:
        torch.cuda.set_device(device)
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:  # torch.cuda.OutOfMemoryError too
        raise HarnessError(f"{torch.cuda.get_device_name(device)}: {str(error).splitlines()[0]}") from None
    return device


def _available() -> bool:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. of a driver that is too old, which _why_not reports in one line
        return bool(torch.cuda.is_available())


def _why_not() -> str:
    import torch

    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA: install a build that has it, or take --device cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.cuda.init()
        except Exception as error:  # RuntimeError, AssertionError: torch has no one class for it
            return f"{str(error).strip().splitlines()[0].partition('. ')[0]}; {_GPUS}"
    return f"PyTorch {torch.__version__} finds no GPU; {_GPUS}"


def synchronize(device: Any) -> None:
    """Wait until the GPU has done all its work; on a CPU, do nothing."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def backend_of(transport: str) -> str:
    """The backend for init_process_group."""
    return "gloo" if transport == "gloo" else "cpu:gloo,cuda:nccl"


def off_device(tensor: Any) -> Any:
    """The tensor on the CPU, from where gloo can send it."""
    return tensor.cpu() if tensor.device.type != "cpu" else tensor


def described_device(device: Any) -> str:
    """``cpu``, or ``cuda:0 (NVIDIA H100 80GB HBM3)``."""
    if device.type != "cuda":
        return str(device)
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"
