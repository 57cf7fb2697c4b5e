"""``limbeck resume``: go on where a run stopped."""

from __future__ import annotations

from limbeck import experiment
from limbeck.cli import requests
from limbeck.cli.compare import hold
from limbeck.cli.results import report
from limbeck.cli.speaking import (
    DataRoot,
    Json,
    Quiet,
    RunFolder,
    Verbose,
    interruptible,
    say,
    use_data_root,
)
from limbeck.cli.together import together
from limbeck.errors import SettingsError
from limbeck.experiment import is_comparison
from limbeck.run.processes import rank


def resume(
    folder: RunFolder,
    device: requests.Device = "cpu",
    workers: requests.Workers = 0,
    devices: requests.Devices = 1,
    strategy: requests.Strategy = "ddp",
    executor: requests.Executor = "local",
    tracker: requests.Tracker = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Go on with a run that was stopped or killed; it ends in the same bits."""
    use_data_root(data_root)
    options = {"device": device, "workers": workers, "strategy": strategy, "executor": executor}
    options |= {"trackers": tuple(tracker or ())}
    if devices > 1 and is_comparison(folder):
        raise SettingsError(f"{folder} holds a comparison, whose runs take one device each")
    together(devices, options)
    if is_comparison(folder):
        from limbeck.comparison import Contest

        hold(
            Contest.read(folder, options),
            folder,
            None,
            f"limbeck resume {folder}",
            quiet=quiet,
            json_wanted=json_wanted,
        )
        return
    if experiment.is_run(folder) and experiment.is_finished(folder):
        say(f"{folder} is finished", json_wanted=json_wanted)
    with interruptible(folder):
        request, rows = experiment.resume(folder, options, quiet=quiet)
    if rank():
        return
    report(folder, request, rows, json_wanted)
