"""Figures of nodes that share a GPU: what its tensors cost on the way through gloo, and through NCCL over sockets.

Nodes in namespaces, every edge 1 ms, at several rates; the collectives' medians against the bound of the links, arrays
in the machine's memory and on the GPU in turns on the same network. Needs a GPU: scripts/check-gpu runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Row, table

NODES: Final = 4
SIZE: Final = "64MiB"
RATES: Final = ("200mbit", "1gbit", "5gbit")
WAYS: Final = {
    "gloo, CPU": ("cpu", "gloo"),
    "gloo, GPU": ("cuda", "gloo"),
    "NCCL, GPU": ("cuda", "nccl"),
}
_NAME: Final = f"bench-gpu-{os.getpid()}"


def _harness(*words: str) -> str:
    argv = [sys.executable, "-m", "harness", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _collectives(rate: str, folder: Path) -> list[Row]:
    profile = folder / f"{rate}.yaml"
    profile.write_text(f"delay: 1ms\nrate: {rate}\n")
    rows = []
    _harness("up", "-n", str(NODES), "-p", str(profile), "--name", _NAME)
    try:
        for way, (device, transport) in WAYS.items():
            words = ["--device", device, "--transport", transport, "--collectives", "all_reduce", "--sizes", SIZE]
            try:
                told = _harness("bench", "--name", _NAME, "--json", "--seconds", "3", "--repeats", "3", *words)
            except RuntimeError as error:
                rows.append(Row(f"{rate}: all_reduce of {SIZE}, {way}", str(error)[-60:]))
                continue
            (row,) = json.loads(told)["rows"]
            share = row["bound_seconds"] / row["seconds_median"]
            rows.append(
                Row(f"{rate}: all_reduce of {SIZE}, {way}", f"{row['seconds_median']:.3f} s, bound {share:.0%} of it")
            )
    finally:
        _harness("down", "--name", _NAME)
    return rows


def _steps(device: str, network: list[str], folder: Path) -> Row:
    """Of the text model, 0.5 million parameters by default: the median step."""
    out = folder / f"{device}-{network[-1].rpartition('/')[2]}"
    words = ["--task", "text", "--strategy", "ddp", "--steps", "15", "--device", device, "--out", str(out)]
    program = [sys.executable, "-m", "harness.training.train", *words, "--checkpoint-every", "0"]
    _harness("run", "-n", str(NODES), *network, "--name", _NAME, "--", *program)
    lines = [json.loads(line) for line in (out / "rank-0.jsonl").open()]
    steps: list[dict[str, Any]] = [line for line in lines if line["kind"] == "step"][5:]
    middle = sorted(steps, key=lambda step: step["seconds"])[len(steps) // 2]
    parts = f"{middle['seconds']:.3f} s, of it {middle['seconds_compute']:.3f} computing"
    return Row(f"step of the text model with ddp on {device}, {network[-1].rpartition('/')[2]}", parts)


def main() -> None:
    """Measure and print."""
    import torch

    if not torch.cuda.is_available():
        print("gpu: PyTorch sees no GPU here, so nothing is measured")
        return
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        rows = [row for rate in RATES for row in _collectives(rate, folder)]
        slow = ["-p", str(folder / "200mbit.yaml")]
        rows += [_steps(device, network, folder) for network in (slow, ["-p", "none"]) for device in ("cpu", "cuda")]
    table(f"{NODES} nodes that share a GPU", rows)
