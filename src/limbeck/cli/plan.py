"""``limbeck plan``: what a run would take, before it is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck import cards
from limbeck.cli import requests
from limbeck.cli.speaking import (
    DataRoot,
    Json,
    MethodName,
    Quiet,
    Verbose,
    emit,
    say,
    table,
    use_data_root,
)
from limbeck.plan import Plan, duration, size
from limbeck.plan import plan as make_plan
from limbeck.run.choices import check_choices
from limbeck.run.processes import check_devices

MODELS = ("STAGE", "MODEL", "PARAMETERS", "WEIGHTS", "GRADIENTS", "OPTIMISER")
STAGES = (
    "STAGE", "STEPS", "BATCH", "TEACHER CALLS", "MS A STEP", "TIME", "MEMORY", "CHECKPOINT",
)  # fmt: skip


def plan(
    method: MethodName = requests.MAIN_JOB,
    preset: requests.Preset = None,
    teacher: requests.Teacher = None,
    student: requests.Student = None,
    data: requests.Data = None,
    outside: requests.Outside = None,
    liquid: requests.Liquid = None,
    space: requests.Space = None,
    set_: requests.Set = None,
    seed: requests.Seed = None,
    seeds: requests.Seeds = None,
    steps: requests.Steps = None,
    epochs: requests.Epochs = None,
    batch_size: requests.BatchSize = None,
    teacher_steps: requests.TeacherSteps = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run to be: its disk is looked at, nothing is written."),
    ] = None,
    device: requests.Device = "cpu",
    threads: requests.Threads = 1,
    workers: requests.Workers = 0,
    devices: requests.Devices = 1,
    strategy: requests.Strategy = "ddp",
    precision: requests.Precision = "32-true",
    executor: requests.Executor = "local",
    tracker: requests.Tracker = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Tell what a run would take: models, memory, teacher calls, disk and minutes.

    The method is tried on the real models and data for a few steps a stage; nothing is kept. It
    takes the options of limbeck run and warns when memory or disk will not do. With --devices one
    device tries; memory is shared out over all of them, time is not.

    \b
    Examples:
      limbeck plan
      limbeck plan meal-v2 --teacher timm:resnet50 --student timm:resnet18 --data folder:./flowers
    """
    use_data_root(data_root)
    typed = requests.Typed(
        method=method,
        preset=preset,
        teacher=teacher,
        student=student,
        data=data,
        outside=outside,
        liquid=liquid,
        space=space,
        set_=set_,
        seed=seed,
        seeds=seeds,
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        teacher_steps=teacher_steps,
        device=device,
        threads=threads,
        workers=workers,
        strategy=strategy,
        precision=precision,
        executor=executor,
        tracker=tracker,
    )
    request = typed.request()
    check_choices(request.options)
    check_devices(devices, device)
    made = make_plan(request, out or Path("runs"), devices=devices, quiet=quiet)
    _show(made, json_wanted)
    if json_wanted:
        emit(made.facts())


def _show(made: Plan, json_wanted: bool) -> None:
    def line(text: str) -> None:
        say(text, json_wanted=json_wanted)

    seeds = len(made.request.seeds)
    line(f"{cards.card(made.request.method).title}: a plan, figures of one seed on {made.device}\n")
    table(MODELS, map(_model, made.networks), json_wanted=json_wanted)
    line("")
    stages = [_stage(one, made.seconds(one)) for one in made.stages]
    table(STAGES, stages, json_wanted=json_wanted)
    line("")
    many = f"{seeds} seeds, {made.at_once} at once" if seeds > 1 else "1 seed"
    many += f", {made.devices} devices each" if made.devices > 1 else ""
    line(f"{many}:")
    for name, words in _sums(made):
        line(f"  {name:14}{words}")
    for warning in made.warnings:
        line(f"Warning: {warning}")


def _sums(made: Plan) -> list[tuple[str, str]]:
    stored = ", ".join(f"{name} {size(count)}" for name, count in made.stored.items())
    minutes = made.minutes
    looks = " besides looks at validation" if any(one.looks for one in made.stages) else ""
    alone = " on one device" if made.devices > 1 else ""
    spent = (
        "unknown: not every stage could be tried"
        if minutes is None
        else f"{duration(minutes * 60)} expected{alone}{looks} from {made.tried} steps tried; each "
        f"seed {duration(made.preparing)} to prepare and {duration(made.testing)} for the table"
    )
    return [
        ("teacher calls", f"{made.teacher_calls:,} of a batch while training"),
        ("memory", f"{size(made.memory)} of {size(made.room)} free; activations are estimated"),
        ("disk", f"{size(made.disk)} of {size(made.free_disk)} free"),
        ("  stages kept", stored or "none"),
        ("  product", size(made.product)),
        ("  cache", f"{size(made.cache)} more if teacher outputs were stored (half precision)"),
        ("time", spent),
    ]


def _model(one: Any) -> tuple[str, ...]:
    sizes = (one.weights, one.gradients, one.optimiser)
    return (one.stage, one.name, f"{one.parameters:,}", *map(size, sizes))


def _stage(one: Any, seconds: float | None) -> tuple[str, ...]:
    timed = one.seconds is not None
    return (
        one.stage,
        f"{one.steps:,}" + (f" x {one.times}" if one.times > 1 else ""),
        str(one.batch_size or ""),
        f"{one.teacher_calls:,}",
        f"{one.seconds * 1000:.1f}" if timed else "not tried",
        "unknown" if seconds is None else duration(seconds),
        size(one.memory),
        size(one.checkpoint) + ("" if one.stays else ", not kept"),
    )
