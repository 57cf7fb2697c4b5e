"""All verbs on one board."""

from __future__ import annotations

import typer

from limbeck.cli import (
    check,
    compare,
    evaluate,
    export,
    gallery,
    label,
    listing,
    plan,
    predict,
    report,
    resume,
    run,
    runs,
    sample,
    show,
    simulate,
)

app = typer.Typer(
    name="limbeck",
    help="""Distil big models, ensembles and data into something small.

    Start with [bold]limbeck run[/bold]: three teachers become one small student on embedded data,
    in half a minute. [bold]limbeck list[/bold] names the methods, [bold]limbeck show NAME[/bold]
    tells one's settings and presets.""",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(listing.list_methods)
app.command("show")(show.show)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("resume")(resume.resume)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("sample")(sample.sample)
app.command("label")(label.label)
app.command("simulate")(simulate.simulate)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("gallery")(gallery.gallery)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("runs")(runs.runs)
