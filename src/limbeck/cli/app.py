"""All verbs on one board; a verb's file is imported when somebody asks for it."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from limbeck import __version__
from limbeck.errors import nearest

HELP = """Distil big models, ensembles and data into something small.

Start with [bold]limbeck run[/bold]: three teachers become one small student on embedded data, in
half a minute. [bold]limbeck list[/bold] names the methods, [bold]limbeck show NAME[/bold] tells
one's settings and presets, [bold]limbeck doctor[/bold] what is installed here.
"""
# Verbs in the order of the help page; each is a function of a file of its own.
VERBS = {
    "list": "listing.list_methods",
    "show": "show.show",
    "run": "run.run",
    "plan": "plan.plan",
    "resume": "resume.resume",
    "evaluate": "evaluate.evaluate",
    "predict": "predict.predict",
    "sample": "sample.sample",
    "label": "label.label",
    "simulate": "simulate.simulate",
    "export": "export.export",
    "report": "report.report",
    "gallery": "gallery.gallery",
    "check": "check.check",
    "compare": "compare.compare",
    "runs": "runs.runs",
    "doctor": "doctor.doctor",
    "new-method": "new_method.new_method",
}


class Verbs(TyperGroup):
    """The verbs as the parser asks for them, each made when it is first looked up."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the verbs, without making them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One verb, or None where there is none of that name."""
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _made(cmd_name)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that was typed, or an error that suggests the nearest and lists the others."""
        if args and args[0] not in VERBS:
            ctx.fail(f"there is no verb {args[0]!r}; {nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)


def _made(name: str) -> Any:
    file, _, function = VERBS[name].partition(".")
    alone = typer.Typer(rich_markup_mode="rich", add_completion=False)
    alone.command(name)(getattr(importlib.import_module(f"limbeck.cli.{file}"), function))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="limbeck",
    cls=Verbs,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _told(wanted: bool) -> None:
    if wanted:
        print(f"limbeck {__version__}")
        raise typer.Exit()


@app.callback()
def board(
    version: Annotated[
        bool, typer.Option("--version", callback=_told, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Stand for all verbs: the parser takes none for an application without commands."""
