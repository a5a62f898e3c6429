"""``harness scenarios``: lists the scenarios that ship, and the models that scenarios of your own can use."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import completion, options
from harness.cli.output import print_json, say, show, table

EPILOG = options.examples(
    "harness scenarios",
    "harness scenarios commute > mine.yaml",
    then="To play one: harness run --scenario flaky-wan -- python train.py, or harness play flaky-wan",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("scenarios", epilog=EPILOG)(scenarios)


def scenarios(
    name: Annotated[
        str | None,
        typer.Argument(help="Print the file of this scenario instead.", autocompletion=completion.scenarios),
    ] = None,
    json_: options.JsonOption = False,
) -> None:
    """List the scenarios that ship, for run --scenario and play, and the models that a scenario of your own can use."""
    from harness.scenario.models import spot_preemption as spot
    from harness.scenario.models.catalogue import MODELS
    from harness.scenario.scenario_file import load_scenario
    from harness.scenario.scenario_name import scenario_path, shipped_scenarios

    if name is not None:
        file = scenario_path(name)
        load_scenario(file)
        say(file.read_text().rstrip())
        return
    described = {name: load_scenario(file).description for name, file in shipped_scenarios().items()}
    models = [(one.name, "trace", one.description, one.sources) for one in MODELS.values()]
    models += [(spot.NAME, "availability", spot.DESCRIPTION, spot.SOURCES)]
    if json_:
        print_json(
            {
                "scenarios": [{"name": name, "description": text} for name, text in described.items()],
                "models": [
                    {"name": name, "of": of, "description": description, "sources": sources}
                    for name, of, description, sources in models
                ],
            }
        )
        return
    listed = table("Scenarios", "name", "description~")
    for each, text in described.items():
        listed.add_row(each, text)
    show(listed)
    offered = table("Models", "name", "of", "description~")
    for each, of, text, _ in models:
        offered.add_row(each, of, text)
    offered.caption = "In a scenario: {at: 0s, trace: {edge: 0-1, model: NAME}}; sources: --json, docs/scenarios.md."
    show(offered)
