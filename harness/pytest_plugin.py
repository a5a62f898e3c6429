"""The pytest plugin: ``def test_x(shaped_network): net = shaped_network(nodes=4, profile="mobile")``.

Pytest imports this wherever the package is installed, so it imports no slow modules.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.api.shaped import ShapedNetwork

_SKIP = "harness_skip_unavailable"
_CHOICES = {
    "runtime": "where nodes live: netns or docker (or set HARNESS_RUNTIME)",
    "engine": "what enforces the links: netem, userspace or auto (or set HARNESS_ENGINE)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options, and the same for configuration files, with _ in place of -."""
    group = parser.getgroup("harness", "shaped networks (tc-harness)")
    for word, text in _CHOICES.items():
        group.addoption(f"--harness-{word}", metavar="NAME", help=text)
        parser.addini(f"harness_{word}", text)
    text = "skip tests whose network cannot be made on this machine, instead of failing them"
    group.addoption("--harness-skip-unavailable", action="store_true", help=text)
    parser.addini(_SKIP, text, type="bool", default=False)


def chosen(config: pytest.Config, word: str) -> str | None:
    """The runtime or engine from the command line, else the environment, else the configuration file."""
    found = config.getoption(f"--harness-{word}") or os.environ.get(f"HARNESS_{word.upper()}")
    return found or config.getini(f"harness_{word}") or None


@pytest.fixture
def shaped_network(request: pytest.FixtureRequest) -> Iterator[Callable[..., ShapedNetwork]]:
    """Makes networks, with the arguments of ``harness.network``; they end with the test.

    Where a network cannot be made on this machine, the test fails with a remedy, or is skipped with
    --harness-skip-unavailable.
    """
    with contextlib.ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> ShapedNetwork:
            from harness.api.start import network
            from harness.errors import PrivilegeError, UnavailableError

            for word in _CHOICES:
                if options.get(word) is None:
                    options[word] = chosen(request.config, word)
            try:
                made = network(*arguments, **options)
            except (UnavailableError, PrivilegeError) as error:
                if request.config.getoption("--harness-skip-unavailable") or request.config.getini(_SKIP):
                    pytest.skip(f"no shaped network here: {error}")
                raise
            stack.callback(made.down)
            return made

        yield make
