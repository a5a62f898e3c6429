"""``harness k8s``: prints a Kubernetes Job whose pods are the nodes of a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from harness.agent.job_options import JobOptions
from harness.cli import job_options, options
from harness.cli.output import note, say
from harness.model.plan_options import COMPOSED, NetworkOptions

EPILOG = options.examples(
    "harness k8s --nodes 8 --profile wan --image registry.example/harness-node > job.yaml",
    "harness k8s -n 4 -t regions:aws --name train -- python /app/train.py > job.yaml",
    then="Then: kubectl apply -f job.yaml; kubectl logs -f -l app.kubernetes.io/instance=harness --prefix."
    " Not tried on a cluster yet: docs/kubernetes.md",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"allow_interspersed_args": False}
    app.command("k8s", epilog=EPILOG, context_settings=settings)(k8s)


@options.network_options(*COMPOSED.values())
@job_options.job_options(
    "the Job, its Service and its pods", "Change the network while CMD runs: a name ('harness scenarios' lists them)."
)
def k8s(
    chosen: NetworkOptions,
    job: JobOptions,
    runs_claim: Annotated[
        str | None,
        typer.Option("--runs-claim", help="A PersistentVolumeClaim that all pods can write to, for results in /runs."),
    ] = None,
) -> None:
    """Print a Kubernetes Job of nodes with shaped links, and its headless Service.

    Nodes find each other by name and shape their own links, as in Compose. Pods need NET_ADMIN, and a topology in which
    all nodes are neighbours.
    """
    import yaml

    from harness.agent.kubernetes_job import PodOptions, manifests
    from harness.scenario.scenario_file import load_scenario
    from harness.scenario.scenario_name import scenario_path

    job = replace(job, image=chosen.image or job.image)
    made = manifests(chosen, PodOptions(**vars(job), runs_claim=runs_claim))
    if job.scenario:
        load_scenario(scenario_path(job.scenario)).check(chosen.plan())
    say(yaml.safe_dump_all(made, sort_keys=False).rstrip())
    note("this was checked against Kubernetes' schemas, but has not been tried on a cluster yet: docs/kubernetes.md")
