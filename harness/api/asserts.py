"""What a function from a pytest module needs of pytest in a node that has no pytest.

Pytest rewrites ``assert`` in test modules: a condition that is false asks these functions for its words, and with
enable_assertion_pass_hook one that is true asks whether somebody wants them (_pytest/assertion/rewrite.py). A
container's image has no pytest.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

_MODULE: Final = "_pytest.assertion.rewrite"


def stand_in() -> None:
    """Where there is no pytest, let these functions be found in its place."""
    if importlib.util.find_spec("_pytest") is not None:
        return
    module = ModuleType(_MODULE)
    for function in (
        _saferepr,
        _format_assertmsg,
        _format_explanation,
        _should_repr_global_name,
        _call_reprcompare,
        _format_boolop,
        _check_if_assertion_pass_impl,
    ):
        setattr(module, function.__name__, function)
    parent, _, _ = _MODULE.rpartition(".")
    for name in (parent.partition(".")[0], parent):
        sys.modules[name] = ModuleType(name)
    sys.modules[_MODULE] = module


def _saferepr(value: object) -> str:
    try:
        return repr(value)[:240].replace("\n", "\\n")
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {error!r}>"


def _format_assertmsg(value: object) -> str:
    return str(value).replace("%", "%%")


def _format_explanation(text: str) -> str:
    """In lines, without the marks by which pytest nests them: >, {, } and ~."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(line[1:] for line in rest if line[1:])])


def _should_repr_global_name(value: object) -> bool:
    return not callable(value)


def _call_reprcompare(_: Sequence[str], results: Sequence[object], told: Sequence[str], __: Sequence[object]) -> str:
    """The words of the first comparison of a chain that is false."""
    return next((text for text, result in zip(told, results, strict=False) if not result), told[-1])


def _format_boolop(told: Sequence[str], is_or: bool) -> str:
    return "(" + (" or " if is_or else " and ").join(told).replace("%", "%%") + ")"


def _check_if_assertion_pass_impl() -> bool:
    """Without pytest no hook wants conditions that are true."""
    return False
