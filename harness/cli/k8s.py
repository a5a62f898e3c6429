"""``harness k8s``: the nodes of a network as the pods of a Kubernetes Job."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from harness.cli import completion, options
from harness.cli.output import note, say
from harness.model.plan_options import PLAN_OPTIONS, NetworkOptions

EPILOG = options.examples(
    "harness k8s --nodes 8 --profile wan --image registry.example/harness-node > job.yaml",
    "harness k8s -n 4 -t regions:aws --name train -- python /app/train.py > job.yaml",
    then="Then: kubectl apply -f job.yaml; kubectl logs -f -l app.kubernetes.io/instance=harness --prefix."
    " Not tried on a cluster yet: docs/kubernetes.md",
)
DEFAULT_COMMAND: Final = ("python", "-m", "harness.training.train", "--steps", "50")
"""As compose.yaml's."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"allow_interspersed_args": False}
    app.command("k8s", epilog=EPILOG, context_settings=settings)(k8s)


@options.network_options(*PLAN_OPTIONS, "engine", "congestion_control", "image")
def k8s(
    chosen: NetworkOptions,
    command: Annotated[
        list[str] | None,
        typer.Argument(help="What every node runs, after --; the digits workload unless given.", metavar="[-- CMD...]"),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the Job, its Service and its pods.")] = "harness",
    master_port: options.MasterPortOption = options.DEFAULT_MASTER_PORT,
    start_timeout: Annotated[
        int, typer.Option("--start-timeout", min=1, max=86_400, help="Seconds that a node waits for the others.")
    ] = 600,
    on_failure: Annotated[
        str, typer.Option("--on-failure", help="stop: the first rank that fails ends the job; or continue.")
    ] = "stop",
    collectives: Annotated[
        bool, typer.Option("--collectives", help="Record each collective of torch.distributed too.")
    ] = False,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            help="Play a scenario that ships while CMD runs ('harness scenarios' lists them).",
            autocompletion=completion.scenarios,
        ),
    ] = None,
    runs_claim: Annotated[
        str | None,
        typer.Option("--runs-claim", help="A PersistentVolumeClaim that all pods can write to, for results in /runs."),
    ] = None,
) -> None:
    """Print a Kubernetes Job of nodes whose links are shaped as the options say, and its headless Service.

    Nodes find each other by name and shape their own links, as in Compose. Needs NET_ADMIN, and a topology in which all
    nodes are neighbours.
    """
    import yaml

    from harness.agent.kubernetes_job import PodOptions, manifests
    from harness.errors import InputError, quoted
    from harness.scenario.scenario_file import load_scenario
    from harness.scenario.scenario_name import scenario_path

    if on_failure not in ("stop", "continue"):
        raise InputError(f"--on-failure {quoted(on_failure)}: write stop or continue")
    job = PodOptions(
        name,
        chosen.image or "harness-node",
        command or DEFAULT_COMMAND,
        master_port,
        start_timeout,
        on_failure == "stop",
        collectives,
        scenario or "",
        runs_claim,
    )
    made = manifests(chosen, job)
    if scenario:
        load_scenario(scenario_path(scenario)).check(chosen.plan())
    say(yaml.safe_dump_all(made, sort_keys=False).rstrip())
    note("this has been checked against Kubernetes' schemas, and not yet been tried on a cluster: docs/kubernetes.md")
