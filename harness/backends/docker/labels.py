"""The Docker labels by which harness finds its containers, networks and stacks."""

from __future__ import annotations

from typing import Final

NETWORK: Final = "tc-harness.network"
"""The label with the network's name."""
RANK: Final = "tc-harness.rank"
"""The label with the rank, unless Compose numbers the containers."""
TRANSIENT: Final = "tc-harness.transient"
"""The label of containers that end with the command that made them."""
STACK: Final = "tc-harness.stack"
"""The label of a Docker Swarm stack, with its number of ranks; some may be on other machines."""
NAMESPACE: Final = "com.docker.stack.namespace"
"""Swarm's label with the name of a stack."""
