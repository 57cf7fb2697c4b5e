"""``limbeck resume``: go on where a run stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck import experiment
from limbeck.cli import requests
from limbeck.cli.results import report
from limbeck.cli.speaking import DataRoot, Json, Quiet, Verbose, interruptible, say, use_data_root


def resume(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    device: requests.Device = "cpu",
    workers: requests.Workers = 0,
    tracker: requests.Tracker = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Go on with a run that was stopped or killed; it ends in the same bits."""
    use_data_root(data_root)
    if experiment.is_run(folder) and experiment.is_finished(folder):
        say(f"{folder} is finished", json_wanted=json_wanted)
    options = {"device": device, "workers": workers, "trackers": tuple(tracker or ())}
    with interruptible(folder):
        request, rows = experiment.resume(folder, options, quiet=quiet)
    report(folder, request, rows, json_wanted)
