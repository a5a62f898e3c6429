"""Forms one process group after another, at torch's TCPStore, which rank 0 serves.

Keys of the store, where G is the number of a group (its generation) and R a rank:

    formed       the number of the newest group; 0 before the first
    here/G/R     the process of rank R, which wants to be in group G
    group/G      the members of group G, chosen by rank 0
    end/G        group G has ended: set by a member that failed in it, and by a rank that wants to join
    answer/G/R   rank R has noticed that group G - 1 has ended
    done/G/R     rank R, a member of group G, has finished the job
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from harness.errors import HarnessError, InputError
from harness.training.elastic.decide import Patience, Roster, complete, next_roster
from harness.training.elastic.watch import GroupWatch
from harness.training.group import blamed, import_torch

RESTART: Final = "HARNESS_RESTART"
"""The variable of a process that was started again: how many times (harness/networks/away.py)."""
_LOOK_SECONDS: Final = 0.02
_CONNECT_SECONDS: Final = 3.0
"""For one attempt to reach rank 0: when a link is up again, a new attempt sends at once, but an old connection only
when TCP's timer expires."""
_SILENT_SHARE: Final = 0.2
"""How long members of a failed group may be silent, as a share of the time for a collective."""


def make_meeting(environment: Mapping[str, str], timeout: float, away: float) -> Meeting:
    """This rank's part in the meeting. Raises UnavailableError, HarnessError; InputError if it cannot be elastic.

    Args:
        environment: torchrun's variables, and RESTART in a process that was started again.
        timeout: seconds for all ranks to come the first time, and for rank 0 to be reached later.
        away: seconds after which a collective fails because a member does not answer.
    """
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError("--elastic: torchrun restarts all ranks by itself; start this without torchrun")
    restarted = environment.get(RESTART, "0") not in ("", "0")
    if environment["RANK"] != "0":
        return Guest(environment, timeout, away, restarted)
    if restarted:
        raise InputError(
            "--elastic: rank 0 serves the store at which ranks meet, so the run has ended with it; continue from"
            " checkpoints with --resume"
        )
    return Host(environment, timeout, away)


class Meeting(ABC):
    """One rank's part in all groups of the job.

    Args:
        environment: torchrun's variables.
        timeout: seconds for all ranks to come the first time, and for rank 0 to be reached later.
        away: seconds after which a collective fails because a member does not answer.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float, away: float) -> None:
        _, self._dist = import_torch()
        self.rank, self.size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        self.host, self.port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        self.timeout, self.away = timeout, away
        self._process = uuid.uuid4().hex
        self._newest = Roster(0, {}, (), ())
        self._watch: GroupWatch | None = None

    def join(self) -> Roster | None:
        """Form the next group with this rank; None: the others have finished without it.

        Raises HarnessError: not all ranks came the first time, or rank 0 is gone.
        """
        roster = self._meet()
        self._newest = roster or self._newest
        return roster

    @abstractmethod
    def _meet(self) -> Roster | None: ...

    @abstractmethod
    def leave(self) -> None:
        """The newest group has failed."""

    @abstractmethod
    def finish(self) -> None:
        """The job is done. Rank 0 serves the store until all members say so."""

    def connection(self) -> Any:
        """A new connection to the store. Raises GroupError."""
        with blamed(self.rank, f"connecting to rank 0 at {self.host}:{self.port}"):
            return self._store()

    def watch(self, ended: Callable[[], None]) -> None:
        """Call a function when the newest group has ended, in a thread that waits for that."""
        generation = self._newest.generation
        self._watch = GroupWatch(self.connection(), f"end/{generation}", f"answer/{generation + 1}/{self.rank}", ended)

    def _close_watch(self) -> None:
        if self._watch:
            self._watch.close()

    def _store(self, serves: bool = False) -> Any:
        wait = timedelta(seconds=self.timeout)
        return self._dist.TCPStore(self.host, self.port, None, serves, wait, wait_for_workers=False)


class Host(Meeting):
    """Rank 0, which serves the store and chooses the members. Arguments as Meeting."""

    def __init__(self, environment: Mapping[str, str], timeout: float, away: float) -> None:
        super().__init__(environment, timeout, away)
        with blamed(0, f"serving the store at {self.host}:{self.port}"):
            self._served = self._store(serves=True)
            self._served.set("formed", "0")

    def leave(self) -> None:
        self._close_watch()
        self._served.set(f"end/{self._newest.generation}", "")

    def finish(self) -> None:
        self._close_watch()
        deadline = time.monotonic() + self.away
        keys = [f"done/{self._newest.generation}/{rank}" for rank in self._newest.members if rank]
        while time.monotonic() < deadline and not all(self._served.check([key]) for key in keys):
            time.sleep(_LOOK_SECONDS)
        self._served.set(f"end/{self._newest.generation}", "")

    def _meet(self) -> Roster:
        """Wait for the others, and form the group."""
        generation, began = self._newest.generation + 1, time.monotonic()
        first = generation == 1
        before = range(self.size) if first else self._newest.members
        silent = self.timeout if first else self.away * _SILENT_SHARE
        patience = Patience(silent, silent + self.away)
        self._served.set(f"here/{generation}/0", self._process)
        while True:
            here, answered = self._found(f"here/{generation}"), self._found(f"answer/{generation}")
            if complete(before, here, answered, time.monotonic() - began, patience):
                break
            time.sleep(_LOOK_SECONDS)
        if first and (missing := sorted(set(before) - set(here))):
            raise HarnessError(
                f"rank 0: connecting {self.size} ranks at {self.host}:{self.port}: rank"
                f" {', '.join(map(str, missing))} did not come within {self.timeout:g} s"
            )
        roster = next_roster(generation, self._newest.processes, here)
        self._served.set(f"group/{generation}", json.dumps(vars(roster)))
        self._served.set("formed", str(generation))
        return roster

    def _found(self, folder: str) -> dict[int, str]:
        """The values of a key by rank, for ranks that have set it."""
        keys = {rank: f"{folder}/{rank}" for rank in range(self.size)}
        return {rank: self._served.get(key).decode() for rank, key in keys.items() if self._served.check([key])}


class Guest(Meeting):
    """Any other rank.

    Args:
        environment: as Meeting.
        timeout: as Meeting.
        away: as Meeting.
        restarted: whether an earlier process of this rank was killed.
    """

    def __init__(self, environment: Mapping[str, str], timeout: float, away: float, restarted: bool) -> None:
        super().__init__(environment, timeout, away)
        self._restarted = restarted

    def leave(self) -> None:
        """See Meeting; the others learn of it when this rank comes to the store."""
        self._close_watch()

    def finish(self) -> None:
        self._close_watch()
        with contextlib.suppress(HarnessError, RuntimeError):
            self.connection().set(f"done/{self._newest.generation}/{self.rank}", "")

    def _meet(self) -> Roster | None:
        """Offer to join until rank 0 forms a group with this process."""
        while True:
            if not self._reached():
                return None
            try:
                roster = self._offer(self._store())
            except self._dist.DistError as error:
                if "timeout" in str(error):
                    raise HarnessError(f"rank {self.rank}: rank 0 formed no group within {self.timeout:g} s") from None
                continue  # the connection was lost
            if roster.processes.get(self.rank) == self._process:
                return roster

    def _offer(self, store: Any) -> Roster:
        """Offer to be in the next group, and return it."""
        formed = int(store.get("formed"))
        store.set(f"here/{formed + 1}/{self.rank}", self._process)
        if formed:
            store.set(f"end/{formed}", "")
        key = f"group/{formed + 1}"
        store.wait([key])
        told = json.loads(store.get(key))
        processes = {int(rank): process for rank, process in told["processes"].items()}
        return Roster(formed + 1, processes, tuple(told["lost"]), tuple(told["joined"]))

    def _reached(self) -> bool:
        """Wait until rank 0 can be reached; False if the job has ended without this rank.

        Raises HarnessError: rank 0 is gone, or was not reached in time.
        """
        deadline, member = time.monotonic() + self.timeout, self._newest.generation > 0
        while True:
            try:
                socket.create_connection((self.host, self.port), _CONNECT_SECONDS).close()
                return True
            except ConnectionRefusedError:
                if (self._watch and self._watch.told) or (self._restarted and not member):
                    return False
                if member:
                    raise HarnessError(
                        f"rank {self.rank}: rank 0 is gone, which serves the store at which ranks meet"
                    ) from None
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"rank {self.rank}: rank 0 at {self.host}:{self.port} was not reached within {self.timeout:g} s"
                )
            time.sleep(_LOOK_SECONDS)
