"""Options that several verbs share; those of a network are made from model/plan_options.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, get_type_hints

import typer

from harness.cli import completion
from harness.model.plan_options import DEFAULTS, NAME_UNLESS_GIVEN, OPTIONS, NetworkOptions
from harness.model.torchrun import MASTER_PORT

DEFAULT_NAME: Final = NAME_UNLESS_GIVEN
NameOption = Annotated[
    str,
    typer.Option(
        "--name",
        envvar="HARNESS_NAME",
        help="Name of the network; several can be up at once.",
        autocompletion=completion.network_names,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
MasterPortOption = Annotated[int, typer.Option("--master-port", min=1, max=65535, help="MASTER_PORT at rank 0.")]
DEFAULT_MASTER_PORT: Final = MASTER_PORT
_EDGES: Final = "A-B, several as A-B,C-D, or all."
EdgesArgument = Annotated[str, typer.Argument(help=_EDGES, metavar="A-B|all", autocompletion=completion.edges)]
AllEdgesArgument = Annotated[str, typer.Argument(help=_EDGES, metavar="[A-B|all]", autocompletion=completion.edges)]
_RANKS: Final = "A rank, several as 0,2, or all."
RanksArgument = Annotated[str, typer.Argument(help=_RANKS, metavar="RANKS|all", autocompletion=completion.rank_lists)]
AllRanksArgument = Annotated[
    str, typer.Argument(help=_RANKS, metavar="[RANKS|all]", autocompletion=completion.rank_lists)
]
_COMPLETED: Final[Mapping[str, Callable[[str], list[str]]]] = {
    "topology": completion.topologies,
    "profile": completion.profiles,
    "between": completion.profiles,
    "runtime": completion.runtimes,
    "engine": completion.engines,
}

Verb = Callable[..., None]


def examples(*commands: str, then: str = "") -> str:
    """The text below a verb's options: commands to copy, one per line and never wrapped, and what to do next."""
    listed = "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
    return f"{listed}\n\n{then}" if then else listed


def network_options(*names: str) -> Callable[[Verb], Verb]:
    """Give a verb these options of a network; its parameter ``chosen`` gets them as NetworkOptions."""
    kinds = get_type_hints(NetworkOptions)
    made = {}
    for name in names:
        one, default = OPTIONS[name], getattr(DEFAULTS, name)
        declared = typer.Option(
            *one.flags,
            help=one.help,
            envvar=one.environ or None,
            show_default=one.shown or True,
            min=one.least,
            autocompletion=_COMPLETED.get(name),
        )
        several = isinstance(default, tuple)
        kind = list[str] | None if several else kinds[name]
        made[name] = (Annotated[kind, declared], None if several else default)
    return in_place_of("chosen", made, _chosen)


def _chosen(values: Mapping[str, Any]) -> NetworkOptions:
    several = {key: tuple(value or ()) for key, value in values.items() if isinstance(getattr(DEFAULTS, key), tuple)}
    return NetworkOptions(**{**values, **several})


def given(texts: Mapping[str, str | None]) -> dict[str, str]:
    """The options that were given."""
    return {name: text for name, text in texts.items() if text is not None}


def in_place_of(
    place: str, options: Mapping[str, tuple[Any, Any]], make: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Verb], Verb]:
    """Replace one parameter of a verb by several options.

    Args:
        place: the parameter; help lists the options in its place.
        options: Typer's annotation and the default of each, by name.
        make: makes the parameter's value from the options' values.
    """

    def decorate(function: Verb) -> Verb:
        def verb(**given: Any) -> None:
            values = {name: given.pop(name, default) for name, (_, default) in options.items()}
            function(**{place: make(values)}, **given)

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters: list[inspect.Parameter] = []
        for one in inspect.signature(function, eval_str=True).parameters.values():
            if one.name != place:
                parameters.append(one.replace(kind=kind))
                continue
            for name, (annotation, default) in options.items():
                parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
        verb.__doc__ = function.__doc__
        verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        verb.__annotations__ = {one.name: one.annotation for one in parameters}
        return verb

    return decorate
