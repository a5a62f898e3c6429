"""Rich's consoles, for spinners and progress bars."""

from __future__ import annotations

from typing import Final

from rich.console import Console


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let main.py choose the exit code: rich's own, 1, means that something measured is off."""
        raise BrokenPipeError


out: Final = _Console(highlight=False, soft_wrap=False)
err: Final = _Console(stderr=True, highlight=False)
