"""Times torch.distributed's gloo collectives; `harness bench` runs it.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.training.bench --collectives all_reduce,broadcast --sizes 1024,64KiB
        [--warmup W] [--repeats R] [--seconds BUDGET] [--timeout SECONDS] [--device cuda] [--transport nccl]

Sizes and bandwidths are those of nccl-tests (NVIDIA/nccl-tests: doc/PERFORMANCE.md, and src/sendrecv.cu for
send_recv). With n ranks, `bytes` is S:

| collective | S | busbw / algbw |
|---|---|---|
| all_reduce | each rank's array | 2 (n - 1) / n |
| broadcast | the root's array; the root is rank 0 | 1 |
| all_gather | the gathered array: each rank sends S / n | (n - 1) / n |
| reduce_scatter | each rank's whole input; it keeps S / n | (n - 1) / n |
| all_to_all | what each rank sends, its own part included | (n - 1) / n |
| send_recv | what each rank sends to rank + 1, the last to 0, all at once | 1 |
| barrier | 0 | 1 |

algbw = S / t with the median t. Elements are float32. Sizes are cut to whole elements, at least one, and to the same
number for every rank if each has a part: `bytes` is the size that was moved, `bytes_asked` the one that was asked for.

A repeat starts at the same moment on all ranks, by a clock that they share; they agree on the moment before, by an
all_reduce of their clocks. It ends when the last rank has finished. Ranks without a shared clock (on more than one
machine) start when that all_reduce returns, and the longest of their times counts; `start` in the result says which
applies. A rank that starts late makes a repeat longer: `late_max` is the largest delay. Ranks exchange their times
after all repeats.

With --device cuda the arrays are on the GPU, and a repeat ends when the GPU has its result.

Rank 0 writes only JSON to standard output, one object per line: first `{"done": 0, "total": 12}` when all ranks are
connected, then one per finished row, `{"done": 1, "total": 12, "row": {...}}`, and at last
`{"result": {"rows": [...], "torch": "2.13.0", "world_size": 4, "start": "shared clock", "device": "cpu"}}`.

Exit codes: 0; 2 wrong input; 130 interrupted; 69 no torch; 70 a collective failed or its result is wrong, with one
line on standard error: `rank 2: all_reduce of 1048576 bytes: <cause>`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from harness.model.bound import COLLECTIVES, bus_factor
from harness.training import command
from harness.training.bench_collectives import CASES, NOTES, WIDTH, moved_bytes
from harness.training.bench_ranks import BenchRanks
from harness.training.device import DEVICE_HELP, DEVICES, TRANSPORT_HELP, TRANSPORTS, described_device
from harness.training.group import blamed, check_environment

MIN_REPEATS: Final = 3


def sweep(collectives: Sequence[str], sizes: Sequence[int]) -> list[tuple[str, int]]:
    """The rows to measure, in order; a barrier has no size and is measured once."""
    return [(name, size) for name in collectives for size in ((0,) if name == "barrier" else sizes)]


def repeats_within(budget: float | None, asked: int, seconds: float) -> int:
    """The number of repeats that fit the budget: at most `asked`, at least MIN_REPEATS if so many were asked."""
    if budget is None:
        return asked
    return min(asked, max(MIN_REPEATS, int(budget / max(seconds, 1e-6))))


def warmups_within(budget: float | None, asked: int, seconds: float) -> int:
    """The number of warm-up runs that fit a quarter of the budget: at most `asked`, at least one."""
    if budget is None:
        return asked
    return min(asked, max(1, int(budget / 4 / max(seconds, 1e-6))))


def _measure(ranks: BenchRanks, collective: str, asked: int, options: argparse.Namespace) -> dict[str, Any]:
    size = moved_bytes(collective, asked, ranks.size)
    with blamed(ranks.rank, f"{collective} of {size} bytes"):
        case = CASES[collective](ranks, size // WIDTH)
        times: list[float] = []
        late = 0.0

        def once() -> None:
            nonlocal late
            case.prepare()
            ranks.settle()
            moment = ranks.start()
            late = max(late, time.perf_counter() - moment)
            case.run()
            ranks.settle()
            times.append(time.perf_counter() - moment)

        def cycle() -> float:
            began = time.perf_counter()
            once()
            return ranks.largest([time.perf_counter() - began])[0]

        lasted = cycle()
        for _ in range(warmups_within(options.seconds, options.warmup, lasted) - 1):
            lasted = min(lasted, cycle())
        case.check()
        times, late = [], 0.0
        for _ in range(repeats_within(options.seconds, options.repeats, lasted)):
            once()
        case.check()
        late, *times = ranks.largest([late, *times])
    median = statistics.median(times)
    return {
        "collective": collective,
        "bytes": size,
        "bytes_asked": asked,
        "seconds_median": median,
        "seconds_min": min(times),
        "seconds_max": max(times),
        "repeats": len(times),
        "late_max": late,
        "algbw_bit_s": size * 8 / median,
        "busbw_bit_s": size * 8 / median * bus_factor(collective, ranks.size),
        **({"note": NOTES[collective]} if collective in NOTES else {}),
    }


def _run(options: argparse.Namespace, environment: Mapping[str, str], out: IO[str]) -> None:
    ranks = BenchRanks(environment, options.timeout, options.device, options.transport)
    todo = sweep(options.collectives, options.sizes)
    rows: list[dict[str, Any]] = []

    def emit(line: Mapping[str, Any]) -> None:
        if ranks.rank == 0:
            print(json.dumps(line), file=out, flush=True)

    emit({"done": 0, "total": len(todo)})
    for collective, size in todo:
        rows.append(_measure(ranks, collective, size, options))
        emit({"done": len(rows), "total": len(todo), "row": rows[-1]})
    start = "shared clock" if ranks.shared_clock else "all_reduce"
    facts = {"torch": str(ranks.torch.__version__), "world_size": ranks.size, "device": described_device(ranks.device)}
    emit({"result": {"rows": rows, "start": start, **facts}})
    ranks.close()


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    def collectives(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in COLLECTIVES:
                raise argparse.ArgumentTypeError(f"{name!r} is unknown; one of {', '.join(COLLECTIVES)}")
        return names

    def sizes(text: str) -> list[int]:
        return [command.size(size) for size in text.split(",")]

    parser = argparse.ArgumentParser(prog="harness.training.bench", description="Time gloo collectives.")
    parser.add_argument("--collectives", type=collectives, default=list(COLLECTIVES), help="comma-separated names")
    parser.add_argument("--sizes", type=sizes, default=[1024, 65536, 1048576], help="comma-separated sizes: 1024,64KiB")
    parser.add_argument("--warmup", type=command.count, default=2, help="runs to warm up, which are not timed")
    parser.add_argument("--repeats", type=command.count, default=10, help="runs that are timed")
    parser.add_argument("--seconds", type=command.seconds, help="time limit of a row: fewer repeats, at least 3")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=DEVICE_HELP)
    parser.add_argument("--transport", choices=TRANSPORTS, default="gloo", help=TRANSPORT_HELP)
    parser.add_argument("--timeout", type=command.seconds, default=1800, help=command.TIMEOUT_HELP)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and return the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments)

    def run() -> None:
        check_environment(os.environ)
        with os.fdopen(os.dup(sys.stdout.fileno()), "w") as out:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print, but not into the result
            _run(options, os.environ, out)

    return command.ended(run)


if __name__ == "__main__":
    command.leave(main())
