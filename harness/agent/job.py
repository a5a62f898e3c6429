"""Runs the user's program in a node, as an unprivileged user, with the rank in front of every line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from harness.agent.log import takes
from harness.errors import InputError
from harness.linux.line_splitter import LineSplitter

RUNS: Final = Path("/runs")
"""The folder for results, which is the host's."""
GRACE_SECONDS: Final = 5.0
NOBODY: Final = 1000
"""The user that programs run as where the folder for results is root's."""
_CHUNK: Final = 1 << 16
_FULL_SECONDS: Final = 0.05
_NOT_FOUND, _NOT_STARTED = 127, 126


def user_of(folder: Path = RUNS) -> tuple[int, int]:
    """(uid, gid) that programs run as: those of the folder for results, so that they can write there."""
    with contextlib.suppress(OSError):
        found = folder.stat()
        if found.st_uid:
            return found.st_uid, found.st_gid
    return NOBODY, NOBODY


@contextlib.contextmanager
def as_user(uid: int, gid: int) -> Iterator[None]:
    """Make files in the block as that user, if we are root."""
    if os.getuid():
        yield
        return
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def make_run_folder(name: str, root: Path = RUNS) -> Path | None:
    """Make a run folder that the job's user may write to; None if there is no folder for results. Raises InputError."""
    if not root.is_dir():
        return None
    folder = root / name
    uid, gid = user_of(root)
    if root.stat().st_uid:
        done = subprocess.run(["mkdir", "-p", str(folder)], user=uid, group=gid, extra_groups=[], capture_output=True)
        if done.returncode:
            raise InputError(f"{folder} cannot be made: {done.stderr.decode(errors='replace').strip()}")
        return folder
    try:
        folder.mkdir(exist_ok=True)
        if not stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
            folder.chmod(0o1777)
    except OSError as problem:
        raise InputError(f"{folder} cannot be made: {problem.strerror}; make ./runs yourself") from None
    return folder


def make_steps(folder: Path) -> Path:
    """Make the file of a run folder to which jobs append the number of each step. Raises OSError."""
    path = folder / "steps"
    with as_user(*user_of()):
        path.touch()
    return path


class Job:
    """A running program.

    Args:
        rank: is put in front of every line.
        argv: the program and its arguments.
        env: its whole environment.
    """

    def __init__(self, rank: int, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._prefix = f"[{rank}] ".encode()
        self._argv, self._env = list(argv), dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> int:
        """Start it and wait for its end; the exit code, 128 + number for a signal."""
        uid, gid = user_of()
        try:
            self._process = subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=[],
            )
        except OSError as problem:
            os.write(2, self._prefix + f"cannot start {self._argv[0]!r}: {problem.strerror}\n".encode())
            return _NOT_FOUND if isinstance(problem, FileNotFoundError) else _NOT_STARTED
        pumps = [
            asyncio.create_task(self._pump(self._process.stdout, 1)),
            asyncio.create_task(self._pump(self._process.stderr, 2)),
        ]
        code = await asyncio.to_thread(self._process.wait)
        self._signal(signal.SIGKILL)  # what it left running in its process group
        await asyncio.wait(pumps, timeout=GRACE_SECONDS)
        for pump in pumps:
            pump.cancel()
        return code if code >= 0 else 128 - code

    def stop(self, after: float = 0.0) -> None:
        """Send it SIGTERM after so many seconds, and later SIGKILL."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(after))

    async def _stop(self, after: float) -> None:
        await asyncio.sleep(after)
        self._signal(signal.SIGTERM)
        await asyncio.sleep(GRACE_SECONDS)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _pump(self, pipe: IO[bytes] | None, target: int) -> None:
        """Pass on whole lines, each with its prefix."""
        assert pipe is not None
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        splitter = LineSplitter()
        try:
            while data := await reader.read(_CHUNK):
                await self._print(target, splitter.feed(data))
        finally:
            await self._print(target, splitter.end())
            transport.close()

    async def _print(self, target: int, lines: Sequence[bytes]) -> None:
        """Where nobody reads the container's log, e.g. when Docker's daemon has died, only the job waits."""
        data = b"".join(self._prefix + line + b"\n" for line in lines)
        with contextlib.suppress(OSError):
            while data:
                while not takes(target):
                    await asyncio.sleep(_FULL_SECONDS)
                data = data[os.write(target, data[: select.PIPE_BUF]) :]
