#!/usr/bin/env python3
"""Draw docs/models/: three minutes of each model of links that ships, as scenarios meet it, and a day of preemptions.

    .venv/bin/python scripts/plot_models.py

Needs the extra `report`.
"""

from __future__ import annotations

import re
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

import altair
import vl_convert

from harness.scenario.actions.nodes import Preemptions
from harness.scenario.models.catalogue import MODELS
from harness.scenario.models.model import WAYS, LinkModel
from harness.scenario.models.spot_preemption import NAME as PREEMPTIONS

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "models"
SEED: Final = "1"
SECONDS: Final = 180
STEP: Final = 1.0
WIDTH, HEIGHT = 640, 130
COLOURS: Final = ("#bc4c00", "#0969da")
NODES: Final = 8
HOURS: Final = 24
PANELS: Final = {"rate": "rate, Mbit/s", "delay": "one way, ms", "loss": "loss, %"}


def chart(model: LinkModel) -> altair.VConcatChart:
    """A panel for each thing that the model draws, over time."""
    rows = [
        {
            "way": way,
            "s": index * STEP,
            "rate": round(sample.rate / 1e6, 1),
            "delay": round(sample.delay * 1e3, 1),
            "loss": None if sample.loss is None else round(sample.loss * 100, 1),
        }
        for way in WAYS
        for index, sample in enumerate(islice(model.draw(SEED, way, STEP), round(SECONDS / STEP)))
    ]
    panels = [name for name in PANELS if any(row[name] is not None for row in rows)]
    colour = altair.Color("way:N", title=None, scale=altair.Scale(domain=WAYS, range=COLOURS))
    drawn: altair.VConcatChart = altair.vconcat(
        *(
            altair.Chart(altair.InlineData(values=rows), width=WIDTH, height=HEIGHT)
            .mark_line(interpolate="step-after", strokeWidth=1.2)
            .encode(
                x=altair.X("s:Q", title="s" if name == panels[-1] else None, scale=altair.Scale(domain=[0, SECONDS])),
                y=altair.Y(f"{name}:Q", title=PANELS[name]),
                color=colour,
            )
            for name in panels
        )
    ).configure(background="white")
    return drawn


def absences() -> altair.Chart:
    """Which of NODES nodes are away, over a day."""
    within = takewhile(lambda one: one.after < HOURS * 3600, Preemptions(SEED, 1.0, ""))
    rows = [
        {"node": rank, "from": one.after / 3600, "to": min(HOURS, (one.after + (one.lasts or 0)) / 3600)}
        for number, one in enumerate(within)
        for rank in one.chosen.drawn(NODES, f"{SEED}:{number}")
    ]
    drawn: altair.Chart = (
        altair.Chart(altair.InlineData(values=rows), width=WIDTH, height=HEIGHT)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=altair.X("from:Q", title="hours; a bar: the node is away", scale=altair.Scale(domain=[0, HOURS])),
            x2="to:Q",
            y=altair.Y("node:O", title="node", scale=altair.Scale(domain=list(range(NODES)))),
        )
        .configure(background="white")
    )
    return drawn


def main() -> None:
    """Write one file a model."""
    FOLDER.mkdir(exist_ok=True)
    charts = {name: chart(model) for name, model in MODELS.items()}
    for name, drawn in {**charts, PREEMPTIONS: absences()}.items():
        svg = vl_convert.vegalite_to_svg(drawn.to_json())
        shorter = re.sub(r"(\d\.\d)\d+", r"\1", svg)  # of coordinates: a tenth of a pixel
        (FOLDER / f"{name}.svg").write_text(shorter + "\n")


if __name__ == "__main__":
    main()
