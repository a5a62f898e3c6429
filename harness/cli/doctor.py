"""``harness doctor``: tests what works on this machine, and prints how to fix the rest."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
from pathlib import Path

import typer

from harness.agent.settings import NAMES
from harness.backends.docker.container_options import IMAGE
from harness.cli import options
from harness.cli.output import print_json, say, show, status, table
from harness.errors import HarnessError, InputError, UnavailableError
from harness.installed import INSTALL_DOCKER, INSTALL_TORCH
from harness.linux.cgroup import check_limits
from harness.linux.congestion_control import AVAILABLE
from harness.linux.host import has_ipv6
from harness.model.table import Styled
from harness.shaping.detect import ALL_FEATURES, Feature, choose_engine, features
from harness.shaping.facts import AUTO

_BACKLOG = Path("/proc/sys/net/core/netdev_max_backlog")
_ENOUGH_BACKLOG = 20_000


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", epilog=options.examples("harness doctor", "harness doctor --json"))(doctor)


def doctor(json_: options.JsonOption = False) -> None:
    """Test what works here, print how to fix the rest, and the engine that auto chooses. Changes nothing."""
    if NAMES in os.environ:
        raise InputError("this is a node: run harness doctor on the machine itself")
    with status("testing what works here"):
        found = features(ALL_FEATURES)
        engine, why = _engine(found)
        found += [_torch(), _backlog(), _congestion_control(), _ipv6(), _cpu_limits(), *_docker()]
    if json_:
        listed = [vars(feature) for feature in found]
        print_json({"kernel": platform.release(), "engine": engine, "why": why, "features": listed})
    else:
        made = table(f"Kernel {platform.release()}", "", "feature", "for~", "answer~")
        for feature in found:
            needed = f" ({', '.join(feature.needed_by)})" if feature.needed_by else ""
            answer = feature.detail if feature.ok else "see below"
            made.add_row(_mark(feature, engine), feature.name, feature.purpose + needed, answer)
        show(made)
        for feature in found:
            if not feature.ok:
                detail = f"{feature.detail}; " if feature.detail else ""
                say(f"{feature.name}: {detail}fix: {feature.remedy}")
        say(f"--engine auto takes {engine}: {why}" if engine else why)
    if engine is None:
        raise typer.Exit(UnavailableError.exit_code)


def _engine(found: list[Feature]) -> tuple[str | None, str]:
    """The engine that --engine auto chooses, and why; None if no engine works."""
    try:
        engine, line = choose_engine(AUTO, found)
    except HarnessError as error:
        return None, str(error)
    return engine, line or "all that it needs works"


def _mark(feature: Feature, engine: str | None) -> str:
    if feature.ok:
        return Styled("ok", "green")
    return Styled("MISSING", "red") if engine is None and feature.needed_by else Styled("no", "yellow")


def _torch() -> Feature:
    there = importlib.util.find_spec("torch") is not None
    return Feature("torch", "harness bench and training jobs", there, "" if there else "not installed", INSTALL_TORCH)


def _backlog() -> Feature:
    """netem releases bursts; the kernel drops what exceeds this queue, and tc does not count it."""
    size = int(_BACKLOG.read_text()) if _BACKLOG.exists() else _ENOUGH_BACKLOG
    return Feature(
        "netdev_max_backlog",
        "bursts at high rates: packets beyond it are dropped and not counted",
        size >= _ENOUGH_BACKLOG,
        str(size),
        f"sysctl -w net.core.netdev_max_backlog={_ENOUGH_BACKLOG} (for the whole machine)",
    )


def _congestion_control() -> Feature:
    there = AVAILABLE.read_text().split() if AVAILABLE.exists() else []
    detail = f"available: {' '.join(there)}"
    return Feature("cubic", "TCP in the nodes, by default", "cubic" in there, detail, "modprobe tcp_cubic")


def _ipv6() -> Feature:
    there = has_ipv6()
    detail = "" if there else "switched off: nodes have IPv4 only"
    remedy = "boot the machine without ipv6.disable=1"
    return Feature("ipv6", "the nodes' second address", there, detail, remedy)


def _cpu_limits() -> Feature:
    """Whether programs in namespaces can be limited; tried as a network does it."""
    purpose = "--cpu: nodes with a share of a CPU"
    try:
        return Feature("cpu limits", purpose, True, check_limits())
    except UnavailableError as error:
        cause, _, remedy = str(error).rpartition("; ")
        return Feature("cpu limits", purpose, False, cause, remedy)


def _docker() -> list[Feature]:
    """The daemon, Compose and our image."""
    from harness.backends.docker.daemon import DockerDaemon, DockerRefusal

    purpose = "nodes as containers"
    try:
        daemon = DockerDaemon(os.environ)
        version = str(daemon.ask("GET", "/version")["Version"])
    except HarnessError as error:
        return [Feature("docker", purpose, False, str(error), INSTALL_DOCKER)]
    try:
        daemon.ask("GET", f"/images/{IMAGE}/json")
        image = Feature("image", IMAGE, True)
    except DockerRefusal as refusal:
        image = Feature("image", IMAGE, False, refusal.cause, "harness image build")
    return [Feature("docker", purpose, True, version), _compose(), image]


def _compose() -> Feature:
    """Version 2, a plugin of Docker's command."""
    purpose, remedy = "docker compose up", "install Docker's compose plugin (Debian trixie: docker-compose)"
    try:
        done = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Feature("compose", purpose, False, str(problem), remedy)
    answer = (done.stdout or done.stderr).strip()
    there = done.returncode == 0 and not answer.startswith("1.")
    return Feature("compose", purpose, there, answer.splitlines()[0] if answer else "", remedy)
