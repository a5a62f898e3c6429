"""Rich's consoles, for spinners and bars: what a terminal shows while something is done."""

from __future__ import annotations

from typing import Final

from rich.console import Console


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end with 1, which means that something measured is off; main.py gives the exit code."""
        raise BrokenPipeError


out: Final = _Console(highlight=False, soft_wrap=False)
err: Final = _Console(stderr=True, highlight=False)
