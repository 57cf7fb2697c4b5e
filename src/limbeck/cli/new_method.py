"""``limbeck new-method``: the files of a method that is to be written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import completing
from limbeck.cli.speaking import Json, emit, say


def new_method(
    slug: Annotated[
        str, typer.Argument(help="What it is called on the command line, such as my-way.")
    ],
    family: Annotated[
        str | None,
        typer.Option(
            help="Begin with the shortest method of this family; model, unless --like is given."
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Begin with this method.", autocompletion=completing.methods),
    ] = None,
    class_name: Annotated[
        str | None, typer.Option(help="Name of the class; from the slug by default.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page; from the slug.")] = None,
    out: Annotated[Path, typer.Option(help="Root of the checkout to write to.")] = Path(),
    json_wanted: Json = False,
) -> None:
    """Write the files of a new method into a checkout: it passes the contract as it stands.

    Class and presets begin as those of a method that stands; card, page, claims, test and example
    say what to fill in.

    \b
    Examples:
      limbeck new-method my-way
      limbeck new-method my-set --family data --out ../limbeck
    """
    from limbeck.scaffold import Plan, scaffold

    plan = Plan.of(slug, family=family, like=like, name=class_name, title=title)
    made = scaffold(plan, out)
    for path in made:
        say(str(path), json_wanted=json_wanted)
    say(f"\nIt begins as a copy of {plan.like}. What to do next:", json_wanted=json_wanted)
    for step in (
        f"pytest tests/contract -k '{slug}'   the contract, as often as you like",
        f"limbeck run {slug}   its demo",
        f"limbeck check {slug}   its claims, into results/{slug}.json",
        "python docs/render.py   its row and figures, into the pages",
    ):
        say(f"  {step}", json_wanted=json_wanted)
    if json_wanted:
        emit({"method": slug, "like": plan.like, "files": [path.as_posix() for path in made]})
