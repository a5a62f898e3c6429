"""What the programs train, bench and pace share: parsers of command line values, and their end."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Final, Never

from harness.errors import HarnessError, InputError, quoted
from harness.linux.host import explain
from harness.model.units import Size

TIMEOUT_HELP: Final = "seconds after which a collective counts as failed"


def ended(run: Callable[[], None]) -> int:
    """Run a program and return its exit code; print an error in one line on standard error."""
    warnings.simplefilter("ignore", FutureWarning)
    try:
        run()
    except HarnessError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"rank {os.environ['RANK']}: {explain(error)}", file=sys.stderr, flush=True)
        return HarnessError.exit_code
    return 0


def leave(code: int) -> Never:
    """Exit without Python's shutdown, which torch's threads sometimes abort after a failed collective."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def seconds(text: str) -> float:
    """A finite number of seconds over 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0")
    return value


def size(text: str) -> int:
    """A size in bytes."""
    try:
        return Size.parse(text).bytes
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def pair(text: str) -> tuple[str, str]:
    """The parts of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{quoted(text)}: write NAME=VALUE, like H=20")
    return name, value
