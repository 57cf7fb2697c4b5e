"""``limbeck run``: do it."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck import cards
from limbeck.cli.results import record, report
from limbeck.cli.speaking import DataRoot, Json, Quiet, Verbose, interruptible, say, use_data_root
from limbeck.errors import SettingsError
from limbeck.experiment import Request, perform
from limbeck.plain import merge, parse_assignments

MAIN_JOB = "meal-v2"


def run(
    method: Annotated[str, typer.Argument(help="Name of the method; see limbeck list.")] = MAIN_JOB,
    preset: Annotated[
        str | None,
        typer.Option(help="Ready-made settings; demo, on embedded data, unless --data is given."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="A teacher by name; repeat for several: timm:resnet18, file:W?network=N."
        ),
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="The student by name, such as mlp?hidden=32.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data by name: digits, folder:, csv:, jsonl:, parquet:, npz:, or of the data root."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting: NAME=VALUE; repeat for several."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; alone, the only one.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds to run.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; short for --set steps=N.")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training samples, instead of --steps.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples a step; short for --set batch_size=N.")
    ] = None,
    teacher_steps: Annotated[
        int | None, typer.Option(min=0, help="Steps that a named teacher is trained for.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/METHOD-TIME by default.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write the table, the request and the environment here.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads a job uses; part of what same bits means.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data ahead.")] = 0,
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Run a method and print its table: quality beside cost, baselines included.

    Without a name it does the main job on embedded data: three teachers taught on many digits
    become one small student that sees 200 labels, over five seeds.

    \b
    Examples:
      limbeck run
      limbeck run kd --data fashion-mnist?labels=1000 --teacher cnn?width=16 --student cnn?width=4
      limbeck run kd --set temperature=2 --seeds 5
    """
    use_data_root(data_root)
    card = cards.card(method)
    chosen = preset or ("demo" if data is None else None)
    base: Mapping[str, Any] = cards.preset(method, chosen) if chosen else {}
    inputs = dict(base.get("inputs", {}))
    given = {"teacher": list(teacher or []) or None, "student": student, "data": data}
    inputs |= {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in inputs if name not in card.takes]
    if unknown:
        raise SettingsError(f"{method} takes {', '.join(card.takes)}, not {', '.join(unknown)}")
    missing = [name for name in card.takes if name not in inputs]
    if missing:
        words = " ".join(f"--{name} NAME" for name in missing)
        raise SettingsError(f"{method} needs {', '.join(card.takes)}; add {words}")
    short = {"steps": steps, "batch_size": batch_size}
    changes = merge(
        {name: value for name, value in short.items() if value is not None},
        {} if teacher_steps is None else {"teaching": {"steps": teacher_steps}},
    )
    changes = merge(changes, parse_assignments(set_ or []))
    settings = merge(base.get("settings", {}), changes)
    if epochs is not None:
        if "steps" in changes:
            raise SettingsError("--epochs and --steps are both given; choose one")
        settings = _with_epochs(method, settings, inputs, epochs)
    first = seed or 0
    count = seeds or (1 if seed is not None else base.get("seeds", 1))
    request = Request(
        method=method,
        settings=settings,
        inputs=inputs,
        seeds=tuple(range(first, first + count)),
        options={"threads": threads, "device": device, "workers": workers},
    )
    folder = out or _new_folder(method)
    say(f"{card.title}: {folder}", json_wanted=json_wanted)
    with interruptible(folder):
        rows = perform(request, folder, quiet=quiet)
    if results is not None:
        typed = ["limbeck run", method, *([f"--preset {chosen}"] if chosen else [])]
        typed += [
            f"--{name} {shlex.quote(one)}"
            for name, value in given.items()
            for one in _several(value)
        ]
        numbers = {**short, "teacher-steps": teacher_steps, "epochs": epochs, "seeds": seeds}
        typed += [
            f"--{name.replace('_', '-')} {value}"
            for name, value in numbers.items()
            if value is not None
        ]
        typed += [f"--set {one}" for one in set_ or []]
        record(results, request, rows, " ".join(typed))
    report(folder, request, rows, json_wanted)


def _several(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def _with_epochs(
    method: str, settings: Mapping[str, Any], inputs: Mapping[str, Any], epochs: float
) -> dict[str, Any]:
    import math

    from limbeck.data.names import resolve

    if not 0 < epochs < math.inf:
        raise SettingsError(f"--epochs is {epochs}, expected a finite number above 0")
    made, samples = cards.load_class(method)(**settings), len(resolve(inputs["data"]).train)
    # A loader never takes more samples a step than there are.
    return {**settings, "steps": math.ceil(epochs * samples / min(made.batch_size, samples))}


def _new_folder(method: str) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{method}-{stamp}"
    number = 2
    while folder.exists():
        folder = Path("runs") / f"{method}-{stamp}-{number}"
        number += 1
    return folder
