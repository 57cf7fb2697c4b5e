"""``limbeck resume``: go on where a run stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.results import report
from limbeck.cli.speaking import DataRoot, Json, Quiet, Verbose, say, use_data_root
from limbeck.errors import Interrupted, RunError
from limbeck.experiment import Request, is_finished, perform


def resume(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Go on with a run that was stopped or killed; it ends in the same bits."""
    use_data_root(data_root)
    request = Request.read(folder)
    objects = [name for name, value in request.inputs.items() if "object:" in str(value)]
    if objects:
        raise RunError(
            f"{folder} was begun in Python with objects for {', '.join(objects)}; call distill "
            "again there with the same arguments and this folder"
        )
    if is_finished(folder):
        say(f"{folder} is finished", json_wanted=json_wanted)
    try:
        rows = perform(request, folder, quiet=quiet)
    except (Interrupted, KeyboardInterrupt) as stop:
        words = str(stop) or "stopped"
        raise Interrupted(f"{words}; go on with: limbeck resume {folder}") from None
    report(folder, request, rows, json_wanted)
