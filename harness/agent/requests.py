"""The requests that the command line sends to an agent through the control socket, and their answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from harness.agent.changes import Changes
from harness.agent.edits import fingerprint
from harness.agent.job import user_of
from harness.agent.lifecycle import Membership
from harness.agent.links import NodeLinks
from harness.agent.manage_network import ManageNetwork
from harness.agent.node_job import NodeJob
from harness.agent.protocol import Message
from harness.agent.recording_orders import RecordingOrders
from harness.agent.survey import Survey
from harness.errors import InputError
from harness.linux.programs import signal_programs
from harness.model.machines import Machines


class Requests:
    """Answers requests.

    Args:
        links: of this node.
        changes: of the links.
        membership: to which changes are passed on.
        orders: recordings.
        job: of this node.
        begin: called when the command that made the network says that all nodes are shaped.
        manage: the agents' network, if there is one.
        survey: of the machines, if there is one.
    """

    def __init__(
        self,
        links: NodeLinks,
        changes: Changes,
        membership: Membership,
        orders: RecordingOrders,
        job: NodeJob,
        begin: Callable[[], None],
        manage: ManageNetwork | None,
        survey: Survey | None,
    ) -> None:
        self._links, self._changes, self._membership, self._orders = links, changes, membership, orders
        self._job, self._begin, self._manage, self._survey = job, begin, manage, survey
        self.held = False
        """Whether the command that made the network has said that it is still there."""

    def answer(self, message: Message) -> Mapping[str, Any]:
        """Do what one request asks for; the reply. Raises HarnessError."""
        match message["do"]:
            case "state":
                return self._state(bool(message.get("plan")), message.get("known"))
            case "time" | "machine" | "machines" if self._survey is not None:
                return self._survey.answer(message)
            case "machines":
                return Machines([]).to_json()
            case "where":
                return self._where(int(message["rank"]))
            case "observe":
                return self._links.observe().to_json()
            case "edits" | "apply":
                status, news = self._changes.command(message)
                self._membership.share(news, message.get("asked", ()))
                return status.to_json() if status else {}
            case "play":
                status = self._changes.play(message)
                return status.to_json() if status else {}
            case "record" | "recorded":
                return self._orders.answer(message)
            case "kill" | "restart" | "pause" | "resume" as action:
                self._act_on_job(action)
            case "hold":
                self.held = True
            case "begin":
                self._begin()
            case unknown:
                raise InputError(f"the agent has no request {unknown!r}")
        return {}

    def _act_on_job(self, action: str) -> None:
        program = self._job.program
        match action:
            case "kill":
                if program is not None:
                    program.will_be_killed()
                signal_users(signal.SIGKILL)
            case "restart":
                if program is not None:
                    program.restart()
            case "pause":
                signal_users(signal.SIGSTOP)
            case "resume":
                signal_users(signal.SIGCONT)

    def _state(self, with_plan: bool, known: str | None) -> dict[str, Any]:
        """What a command asks first. It gets no plan where it has sent the fingerprint of the current one."""
        state = {"engine": self._links.engine.name, "user": ":".join(map(str, user_of()))}
        plan = self._links.plan.to_json() if with_plan else None
        return state if plan is None or fingerprint(plan) == known else {**state, "plan": plan}

    def _where(self, rank: int) -> dict[str, Any]:
        """The address of a rank's agent on the agents' network. Raises InputError."""
        if self._manage is None or not 0 <= rank < self._links.plan.size:
            raise InputError(f"the agents' network (HARNESS_MANAGE) has no rank {rank}")
        return {"address": self._manage.address(rank)}


def signal_users(number: signal.Signals) -> None:
    """Send a signal to all programs of users in this container: those that do not run as root."""
    signal_programs("/proc", number, lambda folder: os.stat(folder).st_uid != 0)
