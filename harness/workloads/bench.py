"""Times torch.distributed's gloo collectives on whatever network is there: what `harness bench` runs on every rank.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.workloads.bench --collectives all_reduce,broadcast --sizes 1024,64KiB --out FILE
        [--warmup W] [--repeats R] [--seconds BUDGET] [--progress FILE] [--timeout SECONDS]

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

algbw = S / t with the median t. Elements are float32. Sizes are cut to whole elements, the same number for every rank
where ranks have parts, at least one: `bytes` is what was moved, `bytes_asked` what was asked.

A repeat begins at one moment on all ranks, which they agree on before by an all_reduce of their clocks, far enough
ahead that all know it in time, by a clock that they share; it lasts until the last rank is through. Where ranks do not
share a clock (more than one machine) each starts when that all_reduce lets it, and the longest of their times counts;
the result's `start` tells which it was. A rank that comes too late makes a repeat longer: `late_max` has the worst.
What ranks tell each other about times is sent after all the repeats.

Progress (rank 0, to standard error or --progress FILE, which may be a FIFO or /dev/fd/N) is one JSON object per line:
first `{"done": 0, "total": 12}` when all ranks are connected, then one per finished row: `{"done": 1, "total": 12,
"row": {...}}`.

Exit codes: 0; 2 wrong input; 130 interrupted; 69 no torch; 70 a collective failed or its result is wrong, with one
line on standard error: `rank 2: all_reduce of 1048576 bytes: <cause>`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import statistics
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final

from harness.bound import COLLECTIVES
from harness.errors import HarnessError, InputError, UnavailableError
from harness.units import Size

MIN_REPEATS: Final = 3
_WIDTH: Final = 4
"""Bytes of an element."""
_TORCHRUN: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SOURCE_PLACE: Final = re.compile(r"^(\[[^]]*\.cc?p?p?:\d+\] ?)+")
"""What gloo's and torch's messages begin with: ``[/pytorch/.../pair.cc:537] ``."""
_NOTES: Final = {
    "reduce_scatter": "gloo has none of its own: torch runs an all_reduce and each rank keeps its part",
}
"""Read in PyTorch's ProcessGroupGloo.cpp; in torch 2.13.0 it moved 2 (n - 1) S bytes in all, as all_reduce does."""


def bus_factor(collective: str, ranks: int) -> float:
    """busbw / algbw, by nccl-tests' doc/PERFORMANCE.md."""
    if collective == "all_reduce":
        return 2 * (ranks - 1) / ranks
    if collective in ("all_gather", "reduce_scatter", "all_to_all"):
        return (ranks - 1) / ranks
    return 1.0


def sweep(collectives: Sequence[str], sizes: Sequence[int]) -> list[tuple[str, int]]:
    """The rows to measure, in order; a barrier has no size and comes once."""
    return [(name, size) for name in collectives for size in ((0,) if name == "barrier" else sizes)]


def moved_bytes(collective: str, asked: int, ranks: int) -> int:
    """The size that is moved for the size asked: whole elements, the same number for each rank."""
    if collective == "barrier":
        return 0
    step = _WIDTH * (ranks if collective in ("all_gather", "reduce_scatter", "all_to_all") else 1)
    return max(asked // step, 1) * step


def repeats_within(budget: float | None, asked: int, seconds: float) -> int:
    """How many repeats of this duration fit the budget: at most what was asked, but MIN_REPEATS if so many were."""
    if budget is None:
        return asked
    return min(asked, max(MIN_REPEATS, int(budget / max(seconds, 1e-6))))


def warmups_within(budget: float | None, asked: int, seconds: float) -> int:
    """How many warm-up runs of this duration fit a quarter of the budget: at most what was asked, at least one."""
    if budget is None:
        return asked
    return min(asked, max(1, int(budget / 4 / max(seconds, 1e-6))))


@dataclass(frozen=True)
class _Case:
    """One collective, ready to run again and again.

    Args:
        prepare: puts input in place and spoils the output.
        run: the collective itself, until this rank has its result.
        pairs: (what the output is, what it must be) after a run.
    """

    prepare: Callable[[], None]
    run: Callable[[], None]
    pairs: Callable[[], list[tuple[Any, Any]]]

    def check(self) -> None:
        """Raise HarnessError where the result is wrong."""
        for got, expected in self.pairs():
            wrong = (got != expected).nonzero()
            if len(wrong):
                place = int(wrong[0])
                raise HarnessError(
                    f"wrong result: element {place} is {got[place].item():g}, expected {expected[place].item():g}"
                )


class _Ranks:
    """The process group, and what ranks agree on."""

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
        try:
            import torch
            import torch.distributed as dist
        except ImportError as error:
            raise UnavailableError(f"PyTorch is missing ({error}); install torch==2.13.0+cpu") from None
        torch.set_num_threads(1)
        self.torch: Any = torch
        self.dist: Any = dist
        self.rank = int(environment["RANK"])
        self.size = int(environment["WORLD_SIZE"])
        where = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        with _blamed(self.rank, f"connecting {self.size} ranks at {where}"):
            dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
            clock = _clock_identity()
            self.shared_clock = self.largest([clock, -clock]) == [clock, -clock]
            self._waits: deque[float] = deque(maxlen=4)
            self._wait = 0.0
            for _ in range(3):
                self.start()

    def largest(self, values: Iterable[float]) -> list[float]:
        """Of each value the largest of any rank."""
        tensor = self.torch.tensor(list(values), dtype=self.torch.float64)
        self.dist.all_reduce(tensor, op=self.dist.ReduceOp.MAX)
        return list(tensor.tolist())

    def start(self) -> float:
        """Return at the same moment on all ranks; that moment by this process's clock.

        The margin is half as long again as the ranks last needed to hear from each other.
        """
        last, wait = self.largest([time.perf_counter(), self._wait])
        if not self.shared_clock:
            return time.perf_counter()
        self._wait = time.perf_counter() - last
        self._waits.append(wait)
        moment = last + 1.5 * max(self._waits) + 0.0005
        time.sleep(max(0.0, moment - time.perf_counter()))
        return moment

    def case(self, collective: str, size: int) -> _Case:
        """Make a collective's buffers of known numbers."""
        return _CASES[collective](self, size // _WIDTH)

    def numbers(self, count: int, base: int) -> Any:
        """base + 0, 1, 2, 3, 4, 0, 1, ...: small whole numbers, so that float32 sums are exact."""
        return (self.torch.arange(count) % 5 + base).to(self.torch.float32)

    def empty(self, count: int) -> Any:
        """An array to be filled."""
        return self.torch.empty(count, dtype=self.torch.float32)

    def sum_of_all(self, count: int) -> Any:
        """The sum of numbers(count, rank) over all ranks."""
        return (self.torch.arange(count) % 5 * self.size + self.size * (self.size - 1) // 2).to(self.torch.float32)

    def blocks(self, block: int, base: Callable[[int], int]) -> Any:
        """For each rank its numbers, in order."""
        return self.torch.cat([self.numbers(block, base(rank)) for rank in range(self.size)])


def _all_reduce(ranks: _Ranks, count: int) -> _Case:
    own, data = ranks.numbers(count, ranks.rank), ranks.empty(count)
    return _Case(
        lambda: data.copy_(own), lambda: ranks.dist.all_reduce(data), lambda: [(data, ranks.sum_of_all(count))]
    )


def _broadcast(ranks: _Ranks, count: int) -> _Case:
    own, data = ranks.numbers(count, 7 + ranks.rank), ranks.empty(count)
    return _Case(
        lambda: data.copy_(own), lambda: ranks.dist.broadcast(data, 0), lambda: [(data, ranks.numbers(count, 7))]
    )


def _all_gather(ranks: _Ranks, count: int) -> _Case:
    block = count // ranks.size
    own, out = ranks.numbers(block, ranks.rank), ranks.empty(count)
    gather = getattr(ranks.dist, "all_gather_single", None) or ranks.dist.all_gather_into_tensor
    return _Case(
        lambda: out.fill_(-1), lambda: gather(out, own), lambda: [(out, ranks.blocks(block, lambda rank: rank))]
    )


def _reduce_scatter(ranks: _Ranks, count: int) -> _Case:
    block = count // ranks.size
    own, out = ranks.numbers(count, ranks.rank), ranks.empty(block)
    scatter = getattr(ranks.dist, "reduce_scatter_single", None) or ranks.dist.reduce_scatter_tensor
    first = ranks.rank * block
    return _Case(
        lambda: out.fill_(-1),
        lambda: scatter(out, own),
        lambda: [(out, ranks.sum_of_all(count)[first : first + block])],
    )


def _all_to_all(ranks: _Ranks, count: int) -> _Case:
    block = count // ranks.size
    own = ranks.blocks(block, lambda dst: ranks.rank * ranks.size + dst)
    out = ranks.empty(count)
    return _Case(
        lambda: out.fill_(-1),
        lambda: ranks.dist.all_to_all_single(out, own),
        lambda: [(out, ranks.blocks(block, lambda src: src * ranks.size + ranks.rank))],
    )


def _send_recv(ranks: _Ranks, count: int) -> _Case:
    after, before = (ranks.rank + 1) % ranks.size, (ranks.rank - 1) % ranks.size
    own, out = ranks.numbers(count, ranks.rank), ranks.empty(count)

    def run() -> None:
        sent = ranks.dist.isend(own, after)
        ranks.dist.recv(out, before)
        sent.wait()

    return _Case(lambda: out.fill_(-1), run, lambda: [(out, ranks.numbers(count, before))])


def _barrier(ranks: _Ranks, _: int) -> _Case:
    return _Case(lambda: None, ranks.dist.barrier, list)


_CASES: Final[dict[str, Callable[[_Ranks, int], _Case]]] = {
    "all_reduce": _all_reduce,
    "broadcast": _broadcast,
    "all_gather": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "all_to_all": _all_to_all,
    "send_recv": _send_recv,
    "barrier": _barrier,
}


def _clock_identity() -> int:
    """A number that two processes share where their perf_counter counts from the same moment: one boot, one offset."""
    texts = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/timens_offsets"):
        try:
            texts.append(Path(path).read_text())
        except OSError:
            texts.append("")
    return int.from_bytes(hashlib.sha256("".join(texts).encode()).digest()[:6], "big")


@contextmanager
def _blamed(rank: int, action: str) -> Iterator[None]:
    """Any failure within ends as one line that names rank, action and cause."""
    try:
        yield
    except (HarnessError, OSError, RuntimeError, ValueError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        cause = _SOURCE_PLACE.sub("", line).partition(". This is typically ")[0]
        raise HarnessError(f"rank {rank}: {action}: {cause}") from error


def _measure(ranks: _Ranks, collective: str, asked: int, options: argparse.Namespace) -> dict[str, Any]:
    size = moved_bytes(collective, asked, ranks.size)
    with _blamed(ranks.rank, f"{collective} of {size} bytes"):
        case = ranks.case(collective, size)
        times: list[float] = []
        late = 0.0

        def once() -> None:
            nonlocal late
            case.prepare()
            moment = ranks.start()
            late = max(late, time.perf_counter() - moment)
            case.run()
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
        **({"note": _NOTES[collective]} if collective in _NOTES else {}),
    }


def _run(options: argparse.Namespace, environment: Mapping[str, str], progress: IO[str]) -> None:
    ranks = _Ranks(environment, options.timeout)
    todo = sweep(options.collectives, options.sizes)
    rows: list[dict[str, Any]] = []

    def tell(line: Mapping[str, Any]) -> None:
        if ranks.rank == 0:
            print(json.dumps(line), file=progress, flush=True)

    tell({"done": 0, "total": len(todo)})
    for collective, size in todo:
        rows.append(_measure(ranks, collective, size, options))
        tell({"done": len(rows), "total": len(todo), "row": rows[-1]})
    result = {
        "rows": rows,
        "torch": str(ranks.torch.__version__),
        "world_size": ranks.size,
        "start": "shared clock" if ranks.shared_clock else "all_reduce",
    }
    if ranks.rank == 0:
        _write(options.out, result)
    with _blamed(ranks.rank, "waiting for the last rank"):
        ranks.dist.barrier()
    ranks.dist.destroy_process_group()


def _write(path: Path, result: Mapping[str, Any]) -> None:
    """All of the file or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(result, indent=1) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise HarnessError(f"rank 0: writing {path}: {error.strerror}") from None


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    def collectives(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in COLLECTIVES:
                raise argparse.ArgumentTypeError(f"{name!r} is unknown; one of {', '.join(COLLECTIVES)}")
        return names

    def sizes(text: str) -> list[int]:
        try:
            return [Size.parse(size).bytes for size in text.split(",")]
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
        return int(text)

    def seconds(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0")
        return value

    parser = argparse.ArgumentParser(prog="harness.workloads.bench", description="Time gloo collectives.")
    parser.add_argument("--collectives", type=collectives, default=list(COLLECTIVES), help="comma-separated names")
    parser.add_argument("--sizes", type=sizes, default=[1024, 65536, 1048576], help="comma-separated sizes: 1024,64KiB")
    parser.add_argument("--warmup", type=count, default=2, help="runs before those that count")
    parser.add_argument("--repeats", type=count, default=10, help="runs that count")
    parser.add_argument("--seconds", type=seconds, help="of a row's repeats; fewer of them to keep it, at least 3")
    parser.add_argument("--timeout", type=seconds, default=1800, help="seconds until a collective counts as failed")
    parser.add_argument("--progress", type=Path, help="file for progress lines instead of standard error")
    parser.add_argument("--out", type=Path, required=True, help="JSON file that rank 0 writes")
    return parser.parse_args(arguments)


def _check(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    missing = [name for name in _TORCHRUN if not environment.get(name)]
    if missing:
        raise InputError(f"{', '.join(missing)} not set; run this under `harness run` or torchrun")
    if not environment["RANK"].isdecimal() or not environment["WORLD_SIZE"].isdecimal():
        raise InputError("RANK and WORLD_SIZE must be whole numbers")
    if int(environment["WORLD_SIZE"]) < 2:
        raise InputError("a collective needs at least 2 ranks")
    if not options.out.absolute().parent.is_dir():
        raise InputError(f"{options.out.absolute().parent} is no directory: --out cannot be written")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    warnings.simplefilter("ignore", FutureWarning)
    try:
        _check(options, os.environ)
        if options.progress is None or os.environ["RANK"] != "0":
            _run(options, os.environ, sys.stderr)
        else:
            with options.progress.open("w") as progress:
                _run(options, os.environ, progress)
    except HarnessError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"rank 0: writing {options.progress}: {error.strerror}", file=sys.stderr, flush=True)
        return InputError.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
