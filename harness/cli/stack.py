"""``harness stack``: prints a stack for Docker Swarm: a network whose nodes are on many machines."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.agent.job_options import JobOptions
from harness.cli import job_options, options
from harness.cli.output import note, say
from harness.model.plan_options import COMPOSED, NetworkOptions

EPILOG = options.examples(
    "harness stack --nodes 8 --topology ring --profile wan > stack.yaml",
    "harness stack -n 16 -t regions:4 --name train --work ./job --runs ./runs --out t.yaml -- python train.py",
    then="Then: docker stack deploy --resolve-image never -c stack.yaml harness. Logs of rank 2: docker service logs"
    " harness_rank-2. To end it: docker stack rm harness. See docs/swarm.md",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"allow_interspersed_args": False}
    app.command("stack", epilog=EPILOG, context_settings=settings)(stack)


@options.network_options(*(name for name in COMPOSED.values() if name != "mtu"))
@job_options.job_options(
    "the stack and of the network",
    "Change the network while CMD runs: a name ('harness scenarios' lists them) or a file in --work.",
)
def stack(
    chosen: NetworkOptions,
    job: JobOptions,
    mtu: Annotated[
        int, typer.Option("--mtu", min=1280, help="Largest packet in bytes: 50 less than the MTU between the machines.")
    ] = 1450,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Folder whose files every node gets in /work.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", metavar="DIR", help="Folder for results on rank 0's machine.")
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="HOST",
            help="Host name of the manager that runs rank 0 (docker node ls); default: any.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the stack to this file.")] = None,
) -> None:
    """Print a stack for Docker Swarm: a shaped network whose nodes are on many machines.

    Nodes find each other by name and shape their own links, as in Compose; rank 0 runs on a manager of the swarm.
    """
    from harness.backends.docker.container_options import Limits
    from harness.backends.docker.stack_file import StackOptions, stack, to_yaml
    from harness.backends.docker.work_folder import inside, read_folder
    from harness.errors import InputError, quoted
    from harness.scenario.scenario_file import load_scenario
    from harness.scenario.scenario_name import scenario_path

    if runs is not None and not runs.is_dir():
        raise InputError(f"--runs {quoted(str(runs))} is not a folder: make it, as the user who shall own the results")
    chosen = replace(chosen, mtu=mtu)
    plan = chosen.plan()
    if job.scenario:
        load_scenario(scenario_path(job.scenario)).check(plan)
    files, empty = read_folder(work) if work is not None else ([], [])
    job = replace(job, image=chosen.image or job.image, scenario=inside("--scenario", job.scenario, work))
    stacked = StackOptions(
        **vars(job),
        files=files,
        runs=runs.absolute() if runs else None,
        machine=machine,
        limits=Limits.read(os.environ),
    )
    chosen = replace(
        chosen,
        topology=inside("--topology", chosen.topology, work),
        profile=inside("--profile", chosen.profile, work),
        between=inside("--between", chosen.between, work) if chosen.between else None,
    )
    text = to_yaml(stack(chosen, stacked, plan))
    if empty:
        note(f"empty files are not sent: {', '.join(empty[:5])}{' ...' if len(empty) > 5 else ''}")
    if out is None:
        say(text.rstrip())
    else:
        out.write_text(text)
    shown = out or "stack.yaml"
    note(f"to start it on a manager of the swarm: docker stack deploy --resolve-image never -c {shown} {job.name}")
