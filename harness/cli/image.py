"""``harness image``: builds the image that containers run."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from harness.backends.docker.build_context import build_context
from harness.cli import options

app = typer.Typer(no_args_is_help=True, help="Build the image that containers run: build.")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="image")


@app.command("build", epilog=options.examples("harness image build", "harness image build --without-torch --tag mine"))
def build(
    without_torch: Annotated[
        bool, typer.Option("--without-torch", help="Build a small image, for jobs that need no PyTorch.")
    ] = False,
    tag: Annotated[
        str | None, typer.Option("--tag", help="Its name; default: harness-node, or harness-node:no-torch.")
    ] = None,
) -> None:
    """Build the image that containers run, with this version of harness.

    Environment: BASE names another base image; HARNESS_TORCH_INDEX_URL is the index of PyTorch's CPU wheels.
    """
    script = build_context() / "scripts" / "build-image"
    words = [*(["--without-torch"] if without_torch else []), *(["--tag", tag] if tag else [])]
    os.environ.setdefault("HARNESS_PYTHON", sys.executable)
    sys.stdout.flush()
    os.execvp("bash", ["bash", str(script), *words])
