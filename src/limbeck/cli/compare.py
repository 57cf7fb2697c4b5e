"""``limbeck compare``: entries side by side, fairly."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck import files
from limbeck.cli import completing, requests
from limbeck.cli.speaking import (
    DataRoot,
    Json,
    Quiet,
    Verbose,
    emit,
    interruptible,
    say,
    table,
    use_data_root,
)
from limbeck.errors import RunError, SettingsError
from limbeck.plain import merge, parse_assignments
from limbeck.run.choices import check_choices
from limbeck.run.trackers import check_trackers

if TYPE_CHECKING:
    from limbeck.comparison import Contest

FACTS, PAGE = "comparison.json", "report.html"


def compare(
    entries: Annotated[
        str,
        typer.Argument(
            metavar="A,B,...",
            help="Methods, none (the student alone), or kd:LOSS with a name of limbeck list "
            "--losses.",
            autocompletion=completing.entries,
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(help="Ready-made settings of each method; demo, unless --data is given."),
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="A teacher by name; repeat for several.")
    ] = None,
    student: Annotated[str | None, typer.Option(help="The student by name.")] = None,
    data: Annotated[str | None, typer.Option(help="Data by name.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting of all entries that have it, NAME=VALUE, or of one, ENTRY.NAME=VALUE.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed; alone, the only one.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds to run.")] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Optimiser steps of every student, all phases together."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples a step.")] = None,
    teacher_steps: Annotated[
        int | None, typer.Option(min=0, help="Steps that a named teacher is trained for.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the comparison; its entries by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; runs/compare-NAME by default.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of compare-NAME.json.")] = Path("results"),
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads a job uses; part of what same bits means.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data ahead.")] = 0,
    precision: requests.Precision = "32-true",
    executor: requests.Executor = "local",
    tracker: requests.Tracker = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Compare entries on the same splits, teachers, first weights, steps and seeds.

    Teachers are trained once a seed. The first method's preset sets teachers, student, data,
    batch size, steps and seeds for all. An entry that fails is shown as failed. The same command
    again goes on where it stopped and reuses what is finished.

    \b
    Examples:
      limbeck compare none,kd,meal-v2 --seeds 3
      limbeck compare none,kd,kd:dkd,kd:dist --seeds 5 --set kd:dkd.temperature=2
    """
    use_data_root(data_root)
    from limbeck.comparison import contest

    chosen = preset or ("demo" if data is None else None)
    given = {"teacher": list(teacher or []) or None, "student": student, "data": data}
    frame = {"batch_size": batch_size, "teaching": {"steps": teacher_steps}}
    if teacher_steps is None:
        del frame["teaching"]
    short = {key: value for key, value in frame.items() if value is not None}
    names = [one.strip() for one in entries.split(",") if one.strip()]
    first = seed or 0
    wanted = None if seeds is None and seed is None else range(first, first + (seeds or 1))
    if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise SettingsError(f"--name {name!r}: expected letters, digits, dashes and dots")
    options: dict[str, Any] = {"threads": threads, "device": device, "workers": workers}
    options |= {"executor": executor, "trackers": tuple(tracker or ())}
    if precision != requests.PLAIN:
        options["precision"] = precision
    check_choices(options)
    check_trackers(options["trackers"])
    called = name or "-".join(one.replace(":", "_") for one in names)
    planned = contest(
        names,
        name=called,
        preset=chosen,
        inputs={key: value for key, value in given.items() if value is not None},
        changes=merge(short, parse_assignments(set_ or [])),
        steps=steps,
        seeds=wanted,
        options=options,
    )
    typed = {"preset": preset, "student": student, "data": data, "steps": steps, "seed": seed}
    typed |= {"batch-size": batch_size, "teacher-steps": teacher_steps, "seeds": seeds}
    # What decides the figures to the bit is written down where it is not the usual.
    typed |= {"threads": threads if threads > 1 else None, "precision": options.get("precision")}
    pairs = [(key, value) for key, value in {**typed, "name": name}.items() if value is not None]
    pairs += [("teacher", one) for one in teacher or []] + [("set", one) for one in set_ or []]
    command = shlex.join(["limbeck", "compare", ",".join(names)])
    command += "".join(f" --{key} {shlex.quote(str(value))}" for key, value in pairs)
    folder = out or Path("runs") / f"compare-{called}"
    hold(planned, folder, results, command, quiet=quiet, json_wanted=json_wanted)


def hold(
    planned: Contest,
    folder: Path,
    results: Path | None,
    command: str,
    *,
    quiet: bool,
    json_wanted: bool,
) -> None:
    """Hold a contest, or what is left of it, and show what it gave.

    Args:
        planned: what to compare.
        folder: of the runs.
        results: where the figures go; None is where they went before.
        command: what was typed.
        quiet: show no progress.
        json_wanted: print one line for programs.

    Raises:
        RunError: no entry finished.
    """
    from limbeck.comparison import compete
    from limbeck.evaluate.words import paired_cells, tournament_cells, tournament_verdict
    from limbeck.report import write_comparison
    from limbeck.run.environment import provenance

    names = ", ".join(entry.name for entry in planned.entries)
    say(f"comparing {names}: {folder}", json_wanted=json_wanted)
    with interruptible(folder):
        outcome = compete(planned, folder, command=command, results=results, quiet=quiet)
    facts = {**outcome.facts(planned), **provenance()}
    for one in outcome.failed:
        words = f"failed: {one['entry']}, seed {one['seed']}: {one['error']}"
        say(words, json_wanted=json_wanted)
    if not outcome.rows:
        raise RunError(f"no entry finished; what went wrong is noted in {folder / 'failed'}")
    content = json.dumps(facts, indent=1) + "\n"
    path = outcome.results / f"compare-{planned.name}.json"
    files.write_text(folder / FACTS, content)
    files.write_text(path, content)
    write_comparison(facts, folder / PAGE, f"Comparison {planned.name}")
    table(*tournament_cells(facts), json_wanted=json_wanted)
    say(json_wanted=json_wanted)
    table(*paired_cells(facts), json_wanted=json_wanted)
    say(f"\n{tournament_verdict(facts)}", json_wanted=json_wanted)
    say(f"page: {folder / PAGE}\nfigures: {path}", json_wanted=json_wanted)
    if json_wanted:
        emit(
            {
                "compare": str(folder),
                "rows": outcome.rows,
                "failed": outcome.failed,
                "tests": facts["tests"],
            }
        )
