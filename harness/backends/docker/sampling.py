"""Has the agents of a network record links and flows, into their containers' folder for results."""

from __future__ import annotations

import time
from typing import Final

from harness.backends.docker.agents import Agents
from harness.errors import HarnessError

_ASK_SECONDS: Final = 1.0
"""It asks agents for messages at most once in so long."""


class AgentSampling:
    """See Sampling. Each node writes links-R.jsonl and flows-R.jsonl.

    Args:
        agents: of the nodes.
        attempt: at this run.

    Raises:
        HarnessError: a node cannot record.
    """

    def __init__(self, agents: Agents, attempt: int) -> None:
        self._agents, self._asked, self._ended = agents, time.monotonic(), False
        for answer in agents.ask({rank: {"do": "record", "attempt": attempt} for rank in agents.ranks}).values():
            if isinstance(answer, HarnessError):
                raise answer

    def messages(self) -> list[str]:
        """See Sampling: messages of all nodes that answer, each text once."""
        if time.monotonic() < self._asked + _ASK_SECONDS:
            return []
        return self._ask(end=False)

    def stop(self) -> list[str]:
        if self._ended:
            return []
        self._ended = True
        return self._ask(end=True)

    def _ask(self, *, end: bool) -> list[str]:
        self._asked = time.monotonic()
        answers = self._agents.ask({rank: {"do": "recorded", "end": end} for rank in self._agents.ranks})
        said = (answer["messages"] for answer in answers.values() if not isinstance(answer, HarnessError))
        return list(dict.fromkeys(text for texts in said for text in texts))
