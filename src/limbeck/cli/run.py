"""``limbeck run``: do it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from limbeck import cards
from limbeck.cli import requests
from limbeck.cli.results import record, report
from limbeck.cli.speaking import (
    DataRoot,
    Json,
    MethodName,
    Quiet,
    Verbose,
    interruptible,
    say,
    use_data_root,
)
from limbeck.cli.together import together
from limbeck.experiment import perform
from limbeck.run.processes import rank


def run(
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
        Path | None, typer.Option(help="Folder of the run; runs/METHOD-TIME by default.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write the table, the request and the environment here.")
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
    """Run a method and print its table: quality beside cost, baselines included.

    Without a name it is meal-v2 on embedded data: three teachers taught on many digits
    become one small student that sees 200 labels, over five seeds.

    \b
    Examples:
      limbeck run
      limbeck run kd --data 'fashion-mnist?labels=1000' --teacher cnn --student 'mlp?hidden=64'
      limbeck run kd --set temperature=2 --seeds 5
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
    folder = out or _new_folder(method)
    together(devices, request.options, () if out else ("--out", str(folder)))
    say(f"{cards.card(method).title}: {folder}", json_wanted=json_wanted)
    with interruptible(folder):
        rows = perform(request, folder, quiet=quiet)
    if rank():
        return
    if results is not None:
        record(results, request, rows, typed.command())
    report(folder, request, rows, json_wanted)


def _new_folder(method: str) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{method}-{stamp}"
    number = 2
    while folder.exists():
        folder = Path("runs") / f"{method}-{stamp}-{number}"
        number += 1
    return folder
