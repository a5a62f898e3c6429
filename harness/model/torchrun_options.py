"""Finds the rendezvous options of a torchrun in a command, which a node's variables must not contradict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import PurePath
from typing import Final

_LAUNCHERS: Final = ("torchrun", "torch.distributed.run", "torch.distributed.launch")
_FLAGS: Final = frozenset(
    ("standalone", "module", "m", "no-python", "run-path", "use-env", "virtual-local-rank", "help", "h")
)
"""torchrun's options without a value (torch/distributed/run.py)."""


def left_out(argv: Sequence[str]) -> frozenset[str]:
    """Names of the PET_ variables that would override options of a torchrun in this command.

    The variables are defaults of options, but PET_RDZV_ENDPOINT overrides --master-addr and PET_NNODES overrides
    --standalone; and a job of one node must not have the node rank 1. Finds torchrun in the words of a shell command,
    too, but not in scripts.
    """
    options = _options(argv)
    if _of_one_node(options):
        return frozenset(("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "RDZV_ENDPOINT", "LOCAL_ADDR"))
    if options.get("rdzv-backend", "static") == "static" and {"master-addr", "master-port"} & set(options):
        return frozenset(("RDZV_ENDPOINT",))
    return frozenset()


def _of_one_node(options: dict[str, str]) -> bool:
    """Whether every node has a job of its own: by option, or because the rendezvous is at a loopback address."""
    if "standalone" in options or options.get("nnodes") in ("1", "1:1"):
        return True
    return any(_is_loopback(options.get(name, "")) for name in ("rdzv-endpoint", "master-addr"))


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0] if endpoint.count(":") == 1 or "]:" in endpoint else endpoint
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _options(argv: Sequence[str]) -> dict[str, str]:
    """The options of the first torchrun in the command, up to the program that it starts; underscores are dashes."""
    words = [word for text in argv for word in _words(text)]
    start = next((number for number, word in enumerate(words) if PurePath(word).name in _LAUNCHERS), len(words))
    found = {}
    rest = iter(words[start + 1 :])
    for word in rest:
        if not word.startswith("-") or word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("_", "-")
        found[name] = value if equals or name in _FLAGS else next(rest, "")
    return found


def _words(text: str) -> Iterator[str]:
    """The words of an argument; one with blanks is split like a shell command."""
    if not any(blank in text for blank in " \t\n"):
        yield text
        return
    try:
        yield from shlex.split(text)
    except ValueError:
        yield from text.split()
