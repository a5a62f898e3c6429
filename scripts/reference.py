#!/usr/bin/env python3
"""Write docs/reference/: one page for each file format and one for the environment, from what the code declares.

    .venv/bin/python scripts/reference.py

tests/unit/test_reference.py fails where a page is not what this writes.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from harness.experiment import spec_file
from harness.model import region_table, topology_file
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LINK_FIELDS, LinkShape
from harness.model.plan_options import OPTIONS, NetworkOptions
from harness.model.profile import NODE_KEYS
from harness.model.profile_file import PROFILE_KEYS
from harness.model.queueing import DISCIPLINES, Queue
from harness.model.region_file import CAPS_KEYS, TRUNK_KEYS
from harness.model.region_table import REGION_TABLE_KEYS
from harness.model.shape_file import CAPACITY_KEYS
from harness.model.topology_file import EDGE_KEYS, TOPOLOGY_KEYS
from harness.model.torchrun import environment
from harness.reproduce import published_file
from harness.reproduce.published_file import CELL_KEYS, PUBLISHED_KEYS
from harness.scenario import scenario_file
from harness.scenario.scenario_file import ACTION_KEYS, SCENARIO_KEYS, TIMING_KEYS
from harness.training.declared import help_of
from harness.training.strategies.catalogue import TABLE, find_strategy
from harness.training.tasks.task_options import TaskOptions

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "reference"
NOTE: Final = "<!-- Written by scripts/reference.py from what the code declares: change that, and run it. -->\n"

COMMAND: Final = {
    "HARNESS_NAME": "The network's `--name`.",
    **{one.environ: f"`{one.flags[0]}`: {one.help}" for one in OPTIONS.values() if one.environ},
    "HARNESS_STATE_DIR": "Where networks are registered: /run/harness, or $XDG_RUNTIME_DIR/harness without root.",
    "HARNESS_LOG": "debug, info or warning: what is logged on standard error, like `harness -v`.",
    "DOCKER_HOST": "The Docker daemon, as for docker.",
}
"""What the command line and the Python API read."""
SETUP: Final = {
    "HARNESS_PYTHON": "The Python of `make setup`, and whose pip collects wheels for the image.",
    "HARNESS_TORCH": "skip: `make setup` does not install PyTorch.",
    "HARNESS_TORCH_INDEX_URL": "The index with PyTorch's CPU wheels, for `make setup` and `harness image build`.",
    "BASE": "Another base for `harness image build`: Debian or Ubuntu with Python 3.11 or newer.",
}
NODE: Final = {
    "HARNESS_MANAGE": "Host names of the nodes on the agents' network, written as HARNESS_NAMES. Agents on several"
    " machines talk over that network, which is not shaped, instead of over the links.",
    "HARNESS_MACHINE": "On which machine the container is; `harness stack` sets it to Swarm's id of the machine.",
    "HARNESS_NAMES": "Host names of the nodes, with `{}` for the rank + 1 or `{rank}`. Without it the"
    " container is no node.",
    "HARNESS_PLAN_0": "A whole plan, packed, instead of the variables above; a long one goes on in HARNESS_PLAN_1, ...",
    "HARNESS_TRANSIENT": "Whether the node ends with the command that made it.",
}
"""What a container reads beside the variables of compose.yaml; `harness up --runtime docker` sets it."""
OURS: Final = {
    "HARNESS_NEIGHBOURS": "Ranks with a direct link to this one: `1,3`.",
    "HARNESS_RUN_DIR": "The folder of this run as its ranks see it, where it is recorded; harness.log writes there.",
    "HARNESS_STEP_FILE": "With `run --scenario`: where harness.step, or a script itself, writes each step's number.",
    "HARNESS_RESTART": "How many times this rank was started again after a scenario killed it; unset the first time.",
    "HARNESS_SEED": "In an experiment with a command of your own: the seed of the training.",
    "HARNESS_COLLECTIVES": "1: each collective of this run is recorded. `run --record --collectives` sets it; set it"
    " yourself for `experiment run` with a command of your own.",
}
"""What programs in nodes find of ours."""
INTERNAL: Final = ("HARNESS_PROGRAM_",)
"""Beginnings of names that harness uses between its own processes."""


def attributes(kind: type[Any]) -> dict[str, str]:
    """What a class says of its fields: in `Args:` of its docstring, or in a text below the field."""
    told: dict[str, str] = {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            told[field.target.id] = " ".join(str(text.value.value).split())  # type: ignore[union-attr]
    _, _, listed = (inspect.getdoc(kind) or "").partition("Args:\n")
    for name, text in re.findall(r"^    (\w+): (.*(?:\n      +.*)*)", listed, re.MULTILINE):
        told[name] = " ".join(text.split()).replace("None is", "unless given,").replace("None:", "unless given,")
    return told


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in [list(heads), *map(list, rows)]]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([lines[0], "|" + "---|" * len(escaped[0]), *lines[1:]]) + "\n"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def kind_of(name: str) -> str:
    """What a field of a link can be, for people."""
    field = LINK_FIELDS[name]
    if name == "jitter":
        return "a time, or a share of the delay: 10%"
    if field.choices:
        return " or ".join(field.choices)
    if field.kind is GilbertElliott:
        return "a mapping, see below, or p=1%,r=20%; or none"
    if name in ("queue", "buffer", "delivery"):
        told = {
            "queue": f"{', '.join(DISCIPLINES[1:])}, or a mapping",
            "buffer": "a time or a size: 100ms or 64KiB",
            "delivery": "a file, and how it is played: lte.up,loop=no,offset=10s,speed=2,scale=50%",
        }
        return f"{told[name]}; or {field.off}"
    kind = "a whole number" if field.kind is int else f"a {field.kind.KIND}: {field.kind.EXAMPLES}"
    return f"{kind}; or {field.off}" if field.off else kind


def link_keys() -> str:
    """The keys that shape a link, in profiles and at edges."""
    told = attributes(LinkShape)
    return table(("key", "value", "meaning"), ((f"`{n}`", kind_of(n), sentence(told[n])) for n in LINK_FIELDS))


def keys(told: Mapping[str, str]) -> str:
    """A table of the keys of a mapping."""
    return table(("key", "meaning"), ((f"`{key}`", text) for key, text in told.items()))


def queue_parameters() -> str:
    """The disciplines with their defaults, and what the parameters mean."""

    def shown(value: object) -> str:
        return "from the buffer" if value is None else "yes" if value is True else str(value)

    told = attributes(Queue)
    by_kind = {kind: Queue.of(kind).parameters for kind in DISCIPLINES}
    defaults = {
        kind: ", ".join(f"`{key}` {shown(one)}" for key, one in own.items()) or "none" for kind, own in by_kind.items()
    }
    named = dict.fromkeys(key for own in by_kind.values() for key in own)
    return (
        table(("queue", "parameters, with their defaults"), ((f"`{kind}`", text) for kind, text in defaults.items()))
        + "\n"
        + keys({name: sentence(told[name]) for name in named})
    )


def profile() -> str:
    """The page on profiles."""
    chain = attributes(GilbertElliott)
    return f"""# A profile

A YAML file: the ranges that every edge of a network draws its own values from. `--profile ./mine.yaml`. A key that is
missing does nothing; a value is one, or a range `[low, high]`, from which every direction of every edge gets its own,
the same for the same seed. An unknown key is an error. The profiles that ship are such files (tc_profiles/).

{keys(PROFILE_KEYS)}
## Keys of a link

{link_keys()}
## Keys of nodes

What all of a node's edges share, whatever each edge does ([capacity.md](../capacity.md)). A rate, a range of rates from
which every node draws its own, a mapping, or none.

{keys(NODE_KEYS)}
## Keys of a capacity

Of an `uplink` or `downlink` that is a mapping. What it does not name of `queue`, `buffer` and `overhead` is as the
profile says beside it, else by default.

{keys(CAPACITY_KEYS)}
## Parameters of queues

`queue: codel,target=10ms,ecn=no` or `queue: {{kind: codel, target: 10ms, ecn: no}}`. Sources of the defaults: RFC 8289
(CoDel), RFC 8290 (FQ-CoDel), RFC 8033 (PIE), Floyd and Jacobson 1993 (RED).

{queue_parameters()}
## Keys of gilbert_elliott

{table(("key", "meaning"), ((f"`{key}`", sentence(chain[key])) for key in chain))}
`p` and `r` are required. `loss_bad` is 100%, `loss_good` 0% unless given.
"""


def region_table_example() -> str:
    """Of a table of regions, from the module's docstring."""
    return textwrap.dedent((region_table.__doc__ or "").partition("::\n\n")[2]).strip()


def topology() -> str:
    """The page on topologies."""
    _, _, told = (topology_file.__doc__ or "").partition("YAML::\n\n")
    example, _, format_ = told.strip("\n").partition("\n\n")
    return f"""# A topology

A YAML file of edges, or matrices as CSV. `--topology ./mine.yaml`.

{keys(TOPOLOGY_KEYS)}
## Keys of an edge

{keys(EDGE_KEYS)}
And every [key of a link](profile.md#keys-of-a-link).

## Keys of a trunk

{keys(TRUNK_KEYS)}
And every [key of a capacity](profile.md#keys-of-a-capacity), of which `rate` is required.

## Keys of caps

Under `all`, a region's name or a rank: the uplink and the downlink of these nodes, each a rate, a range, a
[capacity](profile.md#keys-of-a-capacity) or none. They win over `--uplink` and `--downlink`, which win over the
network's profile.

{keys(CAPS_KEYS)}

## Keys of a table of regions

For `--topology regions:./mine.yaml`; `harness regions` shows the one that ships, `regions:aws`.

{keys(REGION_TABLE_KEYS)}
```yaml
{region_table_example()}
```

## Format, with an example

```yaml
{textwrap.dedent(example)}
```

{format_.replace("``", "`").replace("CSV: ", "**CSV**: ", 1)}
"""


def type_text(kind: Any) -> str:
    """A type of an option, for people."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    names = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
    words = [names.get(word.strip(), word.strip()) for word in getattr(kind, "__name__", str(kind)).split("|")]
    return " or ".join(word for word in words if word != "None")


def default_text(field: Any) -> str:
    """A field's default."""
    return "" if field.default is MISSING or field.default is None else f"`{field.default}`"


def strategy_options() -> Iterator[tuple[str, str, str, str, str]]:
    """Every option of every strategy that ships."""
    for name in TABLE:
        options = find_strategy(name).Options
        told, types = attributes(options), get_type_hints(options)
        for field in fields(options):
            text = told.get(field.name, "")
            yield f"`{name}`", f"`{field.name}`", type_text(types[field.name]), default_text(field), text


def experiment() -> str:
    """The page on experiments."""
    types = get_type_hints(TaskOptions)
    task = (
        (f"`{one.name}`", type_text(types[one.name]), default_text(one), sentence(help_of(one)))
        for one in fields(TaskOptions)
    )
    example = (spec_file.__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip()
    return f"""# An experiment

A YAML file: `harness experiment run FILE` makes a run of every combination of profile, topology, strategy (or point of
a command's grid) and seed. Paths in it are relative to its own folder. With an example:
[experiments.md](../experiments.md).

```yaml
{example}
```

{keys(spec_file.KEYS)}
## Keys of task

{table(("key", "value", "default", "meaning"), task)}
## Options of strategies

What each strategy does: [strategies.md](../strategies.md).

{table(("strategy", "option", "value", "default", "meaning"), strategy_options())}"""


def compose_variables() -> Iterator[tuple[str, str, str]]:
    """The variables of .env.example with their defaults and the comments above them."""
    comment: list[str] = []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line.startswith("# ---"):
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif "=" in line:
            name, _, value = line.partition("=")
            yield f"`{name}`", f"`{value}`" if value else "", " ".join(comment) or "The same, for IPv6."
            comment = []
        else:
            comment = []


def program_variables() -> list[str]:
    """What a program in a node finds."""
    return [name for name in environment(NetworkOptions(nodes=2).plan(), 0, {}) if name not in OURS]


def variables(told: Mapping[str, str]) -> str:
    """A table of variables."""
    return table(("variable", "meaning"), ((f"`{name}`", text) for name, text in told.items()))


def scenario() -> str:
    """The page on scenarios."""
    example = textwrap.dedent((scenario_file.__doc__ or "").partition("::\n\n")[2].partition("\n\nTimes")[0])
    return f"""# A scenario

A YAML file: `harness play FILE`, `harness run --scenario FILE`. With traces: [scenarios.md](../scenarios.md).

{keys(SCENARIO_KEYS)}
## Keys of an event: when

{keys(TIMING_KEYS)}
## Keys of an event: what

One of these, each with keys of its own:

{keys(ACTION_KEYS)}
## An example

```yaml
{example.strip()}
```
"""


def published() -> str:
    """The page on published measurements."""
    example = textwrap.dedent((published_file.__doc__ or "").partition("::\n\n")[2].partition("\n\nA cell")[0])
    return f"""# Published measurements

A YAML file: `harness reproduce FILE`; see [predict.md](../predict.md#reproducing-what-others-measured).

{keys(PUBLISHED_KEYS)}
## Keys of a figure

{keys(CELL_KEYS)}
## An example

```yaml
{example.strip()}
```
"""


def environment_page() -> str:
    """The page on variables."""
    found = ", ".join(f"`{name}`" for name in program_variables())
    return f"""# Environment variables

## Of the harness command and the Python API

{variables(COMMAND)}
## Of set-up and the image

{variables(SETUP)}
## Of docker compose

{table(("variable", "default", "meaning"), compose_variables())}
## Of a container that is a node

The variables of the network and the job above, and:

{variables(NODE)}
## What a program in a node finds

{variables(OURS)}
And what torchrun sets, and reads as defaults of its options (`PET_...`; those are left out that contradict a torchrun
in the command): {found}.
"""


PAGES: Final = {
    "profile.md": profile,
    "topology.md": topology,
    "experiment.md": experiment,
    "scenario.md": scenario,
    "published.md": published,
    "environment.md": environment_page,
}


def write() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(NOTE + page())


if __name__ == "__main__":
    write()
