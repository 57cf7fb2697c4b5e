"""Trackers: the rows of a run as CSV, and for TensorBoard, MLflow and Weights & Biases if asked.

``metrics.jsonl`` is the one record; everything here is made from it, so that what a resumed run
shows is cut back and goes on as that record is. Nothing asks for a key.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from limbeck import files
from limbeck.errors import ArgumentError, nearest

CSV = "metrics.csv"
NAMES = ("tensorboard", "mlflow", "wandb")
PROJECT = "limbeck"
FIRST = ("stage", "step")


class Tracker(Protocol):
    """Where rows are shown."""

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        """Show the numbers of one row."""

    def close(self) -> None:
        """Write out what is left."""


def check_trackers(names: Iterable[str]) -> None:
    """Raise `ArgumentError` unless every tracker is known and its package installed."""
    for name in names:
        if name not in NAMES:
            raise ArgumentError(f"there is no tracker {name!r}; {nearest(name, NAMES)}")
        if importlib.util.find_spec(name) is None:
            raise ArgumentError(
                f"tracker {name} needs its package; pip install 'limbeck[trackers]', or leave "
                f"--tracker {name} out: {CSV} is written anyway"
            )


class Trackers:
    """The trackers of one run, opened when the first row comes.

    Args:
        names: of `NAMES`.
        folder: of the run.
    """

    def __init__(self, names: Iterable[str], folder: Path) -> None:
        check_trackers(names)
        self._names, self._folder = tuple(names), folder
        self._open: list[Tracker] | None = None

    def log(self, record: Path, row: Mapping[str, Any]) -> None:
        """Show one more row.

        Args:
            record: where rows were written before, this one last.
            row: the new one.
        """
        if not self._names:
            return
        if self._open is None:
            # A run that goes on is shown whole: its earlier rows once more, as far as they stand.
            self._open = [MAKERS[name](self._folder) for name in self._names]
            for earlier in read_rows(record):
                self._show(earlier)
        else:
            self._show(row)

    def close(self) -> None:
        """Write out what is left; the next row opens all again."""
        for one in self._open or ():
            one.close()
        self._open = None

    def _show(self, row: Mapping[str, Any]) -> None:
        numbers = {
            name: float(value)
            for name, value in row.items()
            if name not in FIRST and isinstance(value, (int, float))
        }
        for one in self._open or ():
            one.log(str(row.get("stage", "run")), int(row.get("step", 0)), numbers)


def read_rows(record: Path) -> list[dict[str, Any]]:
    """The whole rows of a record; a line that was cut short by a kill is passed over."""
    rows = []
    for line in record.read_text().splitlines() if record.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def write_csv(record: Path) -> None:
    """Write the rows of a record beside it as ``metrics.csv``, one column a name.

    Args:
        record: a file of JSON rows; where there is none, nothing is written.
    """
    rows = read_rows(record)
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [*FIRST, *(name for name in names if name not in FIRST)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(record.with_name(CSV), text.getvalue())


class _TensorBoard:
    """One set of curves a stage, below ``tensorboard`` in the run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"
        self._loggers: dict[str, Any] = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        from lightning_fabric.loggers import TensorBoardLogger

        if stage not in self._loggers:
            self._loggers[stage] = TensorBoardLogger(self._folder, name=stage, version="")
        self._loggers[stage].log_metrics(numbers, step)

    def close(self) -> None:
        for one in self._loggers.values():
            one.finalize("success")


class _MLflow:
    """A run of MLflow: at ``MLFLOW_TRACKING_URI``, or in files below the run folder."""

    def __init__(self, folder: Path) -> None:
        import mlflow

        place = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlruns").absolute().as_uri()
        self._client = mlflow.MlflowClient(tracking_uri=place)
        found = self._client.get_experiment_by_name(PROJECT)
        number = found.experiment_id if found else self._client.create_experiment(PROJECT)
        self._run = self._client.create_run(number, run_name=_title(folder)).info.run_id

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, f"{stage}/{name}", value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _WandB:
    """A run of Weights & Biases: in files below the run folder unless a key is set."""

    def __init__(self, folder: Path) -> None:
        import wandb

        keyed = "WANDB_API_KEY" in os.environ
        mode = os.environ.get("WANDB_MODE") or ("online" if keyed else "offline")
        self._run = wandb.init(
            project=PROJECT, name=_title(folder), dir=str(folder), mode=mode, reinit=True
        )
        self._stages: set[str] = set()

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        if stage not in self._stages:
            # Stages count steps of their own, and the service knows only one counter.
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        row = {f"{stage}/{name}": value for name, value in numbers.items()}
        self._run.log({**row, f"{stage}/step": step})

    def close(self) -> None:
        self._run.finish()


MAKERS: dict[str, Any] = {"tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _WandB}


def _title(folder: Path) -> str:
    """What to call a run elsewhere; a seed is named after the run that it belongs to.

    Example:
        >>> _title(Path("runs/first/seeds/3")), _title(Path("runs/first"))
        ('first seed 3', 'first')
        >>> _title(Path("runs/compare/entries/kd/3")), _title(Path("runs/compare/teachers/3"))
        ('compare kd seed 3', 'compare teachers seed 3')
    """
    above = folder.parent
    if folder.name.isdigit() and above.parent.name == "entries":
        return f"{above.parent.parent.name} {above.name} seed {folder.name}"
    if folder.name.isdigit() and above.name == "teachers":
        return f"{above.parent.name} teachers seed {folder.name}"
    if folder.parent.name == "seeds":
        return f"{folder.parent.parent.name} seed {folder.name}"
    return folder.name
