"""``limbeck report``: one page to show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import completing
from limbeck.cli.speaking import Json, Verbose, emit, say


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs.", autocompletion=completing.runs),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file; report.html in the first folder by default.")
    ] = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Write one self-contained HTML page about finished runs: tables, curves, settings."""
    from limbeck.report import write_report

    path = write_report(folders, out)
    say(f"report: {path}", json_wanted=json_wanted)
    if json_wanted:
        emit({"report": str(path), "runs": [str(folder) for folder in folders]})
