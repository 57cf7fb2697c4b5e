"""One command in several processes that compute it together."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from limbeck.errors import SettingsError
from limbeck.run import processes
from limbeck.run.choices import check_choices
from limbeck.run.trackers import check_trackers


def together(devices: int, options: Mapping[str, Any], more: Sequence[str] = ()) -> None:
    """Run this very command in several processes and leave with their status.

    In each of them, also in those of ``torchrun``, it returns; only the first one speaks.

    Args:
        devices: how many processes.
        options: how the run computes; its device is what each process has one of.
        more: words that the others need to do the same, such as the folder.

    Raises:
        ArgumentError: there are fewer devices, or an option is unknown: said once, by this process.
        SettingsError: processes started by ``torchrun`` would each choose a folder.
    """
    check_choices(options)
    check_trackers(options.get("trackers", ()))
    if processes.world() > 1:
        if more:
            raise SettingsError("under torchrun --out must be given: all processes need the same")
        processes.join_launch()
        if processes.rank():
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return
    if devices == 1:
        return
    processes.check_devices(devices, options["device"])
    command = [sys.executable, "-m", "limbeck", *sys.argv[1:], *more]
    raise typer.Exit(processes.launch(command, devices))
