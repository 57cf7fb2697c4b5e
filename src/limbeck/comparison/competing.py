"""Compete: every entry on every seed, with teachers trained once a seed; what fails is shown."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.comparison.contests import INPUTS, Contest, Entry, method_of
from limbeck.errors import Interrupted, LimbeckError, RunError
from limbeck.evaluate.tournament import compared, standing
from limbeck.experiment import in_full
from limbeck.run.folder import claimed

ROW, COMMAND, WHERE = "row.json", "command.txt", "results.txt"
RESULTS = Path("results")


@dataclass(frozen=True)
class Outcome:
    """What a contest gave.

    Args:
        rows: ``{"entry", "seed", "quality", "cost"}``, one a finished entry and seed.
        failed: ``{"entry", "seed", "error"}``.
        teachers: mean rows of the teachers and their ensemble.
        command: what was typed when the contest began.
        results: folder for the figures.
    """

    rows: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    teachers: list[dict[str, Any]]
    command: str
    results: Path = RESULTS

    def facts(self, contest: Contest) -> dict[str, Any]:
        """Everything in plain values: what was compared, rows, means and tests.

        Args:
            contest: the one that was held.
        """
        names = [entry.name for entry in contest.entries]
        groups = ("quality", "cost")
        return {
            "command": self.command,
            **contest.identity(),
            "scale": "small",
            "rows": self.rows,
            "failed": self.failed,
            "teachers": self.teachers,
            "standing": {group: standing(self.rows, names, group) for group in groups},
            "tests": compared(self.rows, names) if self.rows else None,
        }


def compete(
    contest: Contest,
    folder: Path,
    *,
    command: str = "",
    results: Path | None = None,
    quiet: bool = False,
) -> Outcome:
    """Run every entry on every seed, or those that are left.

    Args:
        contest: what to do.
        folder: where; holds a run folder for the teachers of each seed and for each entry and
            seed. What is finished is reused, what failed is tried again.
        command: what was typed; kept with the folder and given back.
        results: folder for the figures; kept with the folder and given back where it is None.
        quiet: show no progress.

    Returns:
        What finished, what failed, and the teachers.

    Raises:
        RunError: the folder holds something else, or entries did not begin from the same.
        Interrupted: the user asked to stop.
    """
    with claimed(folder, contest.identity(), _in_full):
        from limbeck.evaluate.table import average
        from limbeck.run.run import Options, Run

        run = Run(folder, options=Options(**contest.options, quiet=quiet))
        seeds = [(contest, folder, seed) for seed in contest.seeds]
        taught = run.executor.map(_teach, seeds, "teachers")
        if not (folder / COMMAND).exists():
            files.write_text(folder / COMMAND, command + "\n")
        place = _results(folder, results)
        jobs = [
            (contest, entry, folder, seed) for seed in contest.seeds for entry in contest.entries
        ]
        attempts = run.executor.attempt(_guarded, jobs, f"{len(contest.entries)} entries")
        said = [
            _failed(folder, entry, seed, one) if isinstance(one, LimbeckError) else one
            for (_, entry, _, seed), one in zip(jobs, attempts, strict=True)
        ]
    rows = [one for one in said if "error" not in one]
    _check_same(rows)
    return Outcome(
        rows=[{name: row[name] for name in row if name != "began"} for row in rows],
        failed=[one for one in said if "error" in one],
        teachers=average(taught),
        command=(folder / COMMAND).read_text().strip(),
        results=place,
    )


def _in_full(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a folder was asked to do, with the defaults of methods and runs."""
    if "entries" not in identity:
        return dict(identity)
    entries = {
        name: in_full({**entry, "options": identity.get("options", {})})
        for name, entry in identity["entries"].items()
    }
    options = next(iter(entries.values()))["options"]
    kept = {name: {**one, "options": {}} for name, one in entries.items()}
    return {**identity, "options": options, "entries": kept}


def _results(folder: Path, given: Path | None) -> Path:
    """Where the figures go: what is given now, or was when the contest began."""
    path = folder / WHERE
    if given is None:
        return Path(path.read_text().strip()) if path.exists() else RESULTS
    files.write_text(path, f"{given.absolute()}\n")
    return given


def _run(contest: Contest, folder: Path, seed: int, shared: Path | None = None) -> Any:
    from limbeck.run.run import Options, Run

    return Run(folder, seed=seed, options=Options(**contest.options), shared=shared)


def _teach(contest: Contest, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Train the teachers of one seed, and return their rows."""
    from limbeck.evaluate.table import teacher_rows
    from limbeck.method import opened

    place = folder / "teachers" / str(seed)
    known: list[dict[str, Any]] | None = files.stored_json(place / ROW)
    if known is not None:
        return known
    method = method_of(contest.lead, contest.lead.settings)
    with opened(method, _run(contest, place, seed), contest.inputs) as (_, ready):
        rows = teacher_rows(ready["teacher"], ready["data"])
    files.write_json(place / ROW, rows)
    return rows


def _failed(folder: Path, entry: Entry, seed: int, error: LimbeckError) -> dict[str, Any]:
    """Note why an entry did not even come to say what went wrong in it."""
    files.write_text(folder / "failed" / f"{entry.place}-{seed}.txt", f"{error}\n")
    return {"entry": entry.name, "seed": seed, "error": str(error)}


def _guarded(contest: Contest, entry: Entry, folder: Path, seed: int) -> dict[str, Any]:
    """One entry on one seed; whatever goes wrong in it is its own."""
    notes = folder / "failed" / f"{entry.place}-{seed}.txt"
    try:
        row = _competed(contest, entry, folder, seed)
    except Interrupted:
        raise
    except Exception as error:
        files.write_text(notes, traceback.format_exc())
        words = (
            str(error) if isinstance(error, LimbeckError) else f"{type(error).__name__}: {error}"
        )
        return {"entry": entry.name, "seed": seed, "error": words}
    notes.unlink(missing_ok=True)
    return row


def _competed(contest: Contest, entry: Entry, folder: Path, seed: int) -> dict[str, Any]:
    from limbeck.evaluate.table import product_row
    from limbeck.fingerprint import fingerprint
    from limbeck.method import single

    place = folder / "entries" / entry.place / str(seed)
    known: dict[str, Any] | None = files.stored_json(place / ROW)
    if known is not None:
        return known
    run = _run(contest, place, seed, folder / "teachers" / str(seed))
    resumed = (place / "checkpoints").exists()
    method = method_of(entry, entry.settings)
    product, ready, seconds = single(method, run, contest.inputs, alone=entry.alone)
    row = product_row(product, ready["teacher"], ready["data"], entry.name)
    cost = {**row["cost"], "steps": _steps_done(run)}
    # Of a run that was stopped the first part's seconds are not known.
    cost |= {} if resumed else {"train_seconds": round(seconds, 3)}
    began = {name: fingerprint(ready[name]) for name in INPUTS}
    content = {"entry": entry.name, "seed": seed, "quality": row["quality"], "cost": cost}
    files.write_json(place / ROW, {**content, "began": began})
    return {**content, "began": began}


def _steps_done(run: Any) -> int:
    """Optimiser steps of the run's own loops; teachers have a run of their own."""
    from limbeck.run import checkpoints
    from limbeck.run.run import METRICS
    from limbeck.run.trackers import read_rows

    last = {row["stage"]: row["step"] for row in read_rows(run.dir / METRICS)}
    # A record that was damaged may lack the last row; what was saved tells the step too.
    for place in (run.dir / "checkpoints").glob("*"):
        last[place.name] = max(last.get(place.name, 0), checkpoints.newest(place))
    return sum(last.values())


def _check_same(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise unless the entries of each seed began from the same."""
    first: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        known = first.setdefault(row["seed"], row)
        other = [name for name in INPUTS if row["began"][name] != known["began"][name]]
        if other:
            raise RunError(
                f"{row['entry']} and {known['entry']} did not begin seed {row['seed']} with the "
                f"same {' and '.join(other)}, so they cannot be compared"
            )
