"""Renders the templates in templates/. All text is escaped, since names, labels and log lines can contain anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.experiment.report.analysis.groups import format_spread
from harness.experiment.report.analysis.sentences import headline, margin, runs_counted, sentence, time_to_target
from harness.experiment.report.page.theme import SERIES, variable
from harness.model.format import (
    NOTHING,
    count,
    format_number,
    format_rate,
    format_shape,
    format_share,
    format_size,
    format_time,
)

_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|×|(?:[nmµ]?s|min|h|[kMGT]?B|[KMG]iB|[kMGT]?bit/s)\b))")
"""Matches the space between a number and its unit, where lines must not break."""
_FUNCTIONS: Final = (
    *(count, format_number, format_rate, format_shape, format_share, format_size, format_spread, format_time),
    *(headline, margin, runs_counted, sentence, time_to_target),
)
_GLOBALS: Final[Mapping[str, Any]] = {
    **{function.__name__: function for function in _FUNCTIONS},
    "NOTHING": NOTHING,
    "SERIES": SERIES,
    "colour": variable,
}


def render(template: str, **context: Any) -> Markup:
    """The template of that name, filled with the context."""
    return Markup(_environment().get_template(template).render(context))


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(_GLOBALS)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return environment


def _unbroken(value: object) -> object:
    """Text with a no-break space between a number and its unit; markup unchanged."""
    return value if isinstance(value, Markup) else _UNIT.sub("\u00a0", str(value))


def inline_safe(source: str) -> Markup:
    """JavaScript for a script element, in which no string ends the element or opens a comment."""
    return Markup(source.replace("</script", "<\\/script").replace("<!--", "\\x3c!--"))
