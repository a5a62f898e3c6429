"""Colours in light and dark, and how charts use them.

A chart on the page names CSS variables, so that the theme can be switched without drawing again; an image has the
colours themselves. The eight colours of strategies have a contrast of at least 3:1 with the paper (WCAG 2.2, 1.4.11)
and a distance of at least 13 in CIELAB from each other, also as seen with protanopia, deuteranopia and tritanopia
(Machado, Oliveira and Fernandes 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

Mode = Literal["light", "dark"]
COLOURS: Final[Mapping[Mode, Mapping[str, str]]] = {
    "light": {
        "paper": "#ffffff",
        "panel": "#f6f7f9",
        "ink": "#16191d",
        "soft": "#55606c",
        "line": "#d9dee4",
        "grid": "#eaedf0",
        "compute": "#8794a2",
        "wait": "#25313d",
        "good": "#0b6e46",
        "bad": "#b0261b",
        "link": "#1a56c4",
        "c0": "#1a56c4",
        "c1": "#c4400c",
        "c2": "#0e9460",
        "c3": "#5b1466",
        "c4": "#b08c00",
        "c5": "#123c3e",
        "c6": "#1f96f0",
        "c7": "#74101f",
    },
    "dark": {
        "paper": "#14171c",
        "panel": "#1c2027",
        "ink": "#e8ebef",
        "soft": "#a3adb9",
        "line": "#343b45",
        "grid": "#262c34",
        "compute": "#6a7786",
        "wait": "#e3e8ee",
        "good": "#5fd39c",
        "bad": "#ff8b7e",
        "link": "#7fb2ff",
        "c0": "#5b9cf6",
        "c1": "#ff8a3d",
        "c2": "#22b886",
        "c3": "#d072bd",
        "c4": "#f2e14c",
        "c5": "#dfe8da",
        "c6": "#58dff0",
        "c7": "#f7476f",
    },
}
SERIES: Final = 8
"""Number of colours of strategies; further strategies reuse them with dashes."""
DASHES: Final = ([1, 0], [6, 3], [2, 2])
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def variable(name: str) -> str:
    """A colour as a CSS variable, for the page."""
    return f"var(--{name})"


def literal(mode: Mode) -> Callable[[str], str]:
    """A function for a colour's value, for images."""
    return COLOURS[mode].__getitem__


def css_variables(mode: Mode) -> str:
    """The colours as CSS declarations."""
    return "".join(f"--{name}:{value};" for name, value in COLOURS[mode].items())


def config(colour: Callable[[str], str]) -> dict[str, Any]:
    """Vega-Lite's configuration: axes, the palette, and the styles that charts name.

    ``colour``: `variable` or `literal(mode)`.
    """
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": colour("soft"),
            "titleColor": colour("soft"),
            "gridColor": colour("grid"),
            "domainColor": colour("line"),
            "tickColor": colour("line"),
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 6,
            "labelPadding": 4,
            "labelOverlap": True,
        },
        "axisX": {"grid": False, "tickSize": 4},
        "axisY": {"domain": False, "ticks": False},
        "legend": {"labelColor": colour("ink"), "titleColor": colour("soft"), "labelFontSize": 11, "labelLimit": 240},
        "title": {"color": colour("ink"), "fontSize": 14, "anchor": "start", "fontWeight": 600, "offset": 12},
        "range": {
            "category": [colour(f"c{number}") for number in range(SERIES)],
            "ordinal": [colour("compute"), colour("wait")],
        },
        "style": {
            "target": {"color": colour("soft"), "strokeDash": [3, 3], "strokeWidth": 1},
            "target-name": {"color": colour("soft"), "fontSize": 11, "align": "left", "baseline": "bottom"},
            "note": {"color": colour("ink"), "fontSize": 11, "align": "left", "baseline": "middle"},
            "strip": {"fill": colour("link")},
            "whisker": {"color": colour("ink"), "strokeWidth": 1.5},
            "seed": {"fill": colour("paper"), "stroke": colour("ink"), "strokeWidth": 1, "size": 26, "opacity": 1},
            "traffic": {"fill": colour("wait"), "fillOpacity": 0.1},
            "away": {"fill": colour("soft"), "fillOpacity": 0.16},
            "change": {"color": colour("ink"), "strokeDash": [2, 2], "strokeWidth": 1.5},
            "change-name": {"color": colour("ink"), "fontSize": 11, "align": "left", "baseline": "top"},
        },
    }
