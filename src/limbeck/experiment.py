"""Experiment: one method over one or several seeds, each a run of its own, and the mean table."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limbeck import cards, files
from limbeck.errors import LimbeckError, RunError
from limbeck.plain import to_plain, unworded, worded
from limbeck.run.folder import SETTINGS, claimed, how_to_go_on, read_identity
from limbeck.run.processes import rank, world

TABLE, DIAGNOSTICS = "table.json", "diagnostics.json"
# Options that decide the result to the bit, and so belong to what a run is.
RESULT = ("threads", "precision")


@dataclass(frozen=True)
class Request:
    """What a person asked for, in plain values: it is written down before any heavy import.

    Args:
        method: slug.
        settings: differences from the method's defaults.
        inputs: names of data and models.
        seeds: one run each.
        options: how to compute: fields of `limbeck.run.run.Options`.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    options: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """The request as tables of a settings file."""
        return {
            "method": self.method,
            "seeds": list(self.seeds),
            "settings": worded(self.settings),
            "inputs": worded(self.inputs),
            "options": {name: self.options[name] for name in RESULT if name in self.options},
        }

    @property
    def data(self) -> str:
        """The name of the data, with the options that settings of the method put behind it."""
        from limbeck.method import data_of

        method = cards.load_class(self.method)(**self.settings)
        return str(data_of(method, self.inputs["data"]))

    @classmethod
    def read(cls, folder: Path) -> Request:
        """Read the request that a run folder was begun with.

        Raises:
            RunError: the folder holds no run.
        """
        facts = read_identity(folder)
        if "method" not in facts:
            raise RunError(
                f"{folder} holds a comparison, and this needs the run of one method: those are "
                f"below {folder / 'entries'}"
            )
        return cls(
            method=facts["method"],
            settings=unworded(facts.get("settings", {})),
            inputs=unworded(facts.get("inputs", {})),
            seeds=tuple(facts.get("seeds", [facts.get("seed", 0)])),
            options=facts.get("options", {}),
        )


def perform(request: Request, folder: Path, *, quiet: bool = False) -> list[dict[str, Any]]:
    """Do what was asked, or what is left of it, and return the table.

    Args:
        request: what to do.
        folder: where; holds a run folder a seed, the table and the first seed's product.
        quiet: show no progress.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``, with ``"std"`` over several seeds.

    Raises:
        RunError: the folder holds something else.
        Interrupted: the user asked to stop.
    """
    with claimed(folder, request.identity(), in_full):
        from limbeck.evaluate.table import average
        from limbeck.run.run import Options, Run

        # Seeds side by side report as a whole; a single one shows its own steps.
        several = len(request.seeds) > 1
        run = Run(folder, options=Options(**request.options, quiet=quiet))
        jobs = [
            (request, folder.absolute() / "seeds" / str(seed), seed, quiet or several)
            for seed in request.seeds
        ]
        label = f"{request.method}, {len(jobs)} seeds" if several else request.method
        tables = run.executor.map(perform_seed, jobs, label)
        rows = average(tables)
        if rank():
            return rows
        files.write_json(folder / TABLE, rows)
        first = folder / "seeds" / str(request.seeds[0]) / "product"
        with files.new_folder(folder / "product") as part:
            unlisted = shutil.ignore_patterns(files.MANIFEST)
            shutil.copytree(
                first, part, ignore=unlisted, copy_function=files.link, dirs_exist_ok=True
            )
    return rows


def in_full(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity with the defaults of its method and of a run where it leaves something out.

    Example:
        >>> full = in_full({"method": "kd", "settings": {"weight": 0.5}})
        >>> full["settings"]["weight"], full["settings"]["temperature"], full["options"]["threads"]
        (0.5, 4.0, 1)
    """
    from limbeck.run.run import Options

    usual = {name: getattr(Options(), name) for name in RESULT}
    full = {**identity, "options": {**usual, **identity.get("options", {})}}
    with contextlib.suppress(LimbeckError):
        # Settings that the method does not know any more are compared as they stand.
        method = cards.load_class(full["method"])
        full["settings"] = to_plain(method(**unworded(full.get("settings", {}))))
    return full


def perform_seed(
    request: Request, folder: Path, seed: int, quiet: bool = True
) -> list[dict[str, Any]]:
    """Do one seed of a request and return its table; a finished one is read back.

    Where the product or the table of a finished one is damaged, both are made anew.

    Args:
        request: what to do.
        folder: the run folder of this seed.
        seed: of all draws.
        quiet: show no progress.

    Returns:
        Rows.
    """
    from limbeck.method import complete
    from limbeck.run.run import Options, Run

    run = Run(folder, seed=seed, options=Options(**request.options, quiet=quiet))
    found = _finished(folder)
    # Processes that do not find the same must not go different ways.
    missing = found is None if world() == 1 else run.engine.any(found is None)
    if found is not None and not missing:
        return found
    method = cards.load_class(request.method)(**request.settings)
    product, baselines, ready = complete(method, run, request.inputs)
    rows, drawn = product.compared(run, request.method, baselines, ready)
    if rank():
        return rows
    files.write_json(folder / DIAGNOSTICS, drawn)
    files.write_json(folder / TABLE, rows)
    return rows


def _finished(folder: Path) -> list[dict[str, Any]] | None:
    """The table of a seed, where it and the product are whole."""
    try:
        files.check_folder(folder / "product")
        rows: list[dict[str, Any]] = files.read_json(folder / TABLE)
    except RunError:
        return None
    return rows


def resume(folder: Path, options: Mapping[str, Any], *, quiet: bool = False) -> Any:
    """Go on with whatever was begun in a folder: an experiment, or a single run made in Python.

    Args:
        folder: of the run.
        options: how to compute now: those that do not change the result.
        quiet: show no progress.

    Returns:
        The request and the table.

    Raises:
        RunError: the folder holds no run, or one that was begun with Python objects.
    """
    facts = read_identity(folder)
    if "object:" in str(facts.get("inputs", {})):
        raise RunError(f"{folder} was begun with Python objects; {how_to_go_on(folder)}")
    request = Request.read(folder)
    request = replace(request, options={**options, **request.options})
    if "seeds" in facts:
        return request, perform(request, folder, quiet=quiet)
    return request, perform_seed(request, folder, facts["seed"], quiet)


def is_finished(folder: Path) -> bool:
    """Whether a run folder has its product and, unless it was made in Python, its table."""
    made_in_python = "seeds" not in read_identity(folder)
    has_table = made_in_python or (folder / TABLE).exists()
    return has_table and (folder / "product" / files.MANIFEST).exists()


def is_run(folder: Path) -> bool:
    """Whether a folder is a run of one method."""
    return (folder / SETTINGS).is_file() and "method" in read_identity(folder)


def is_comparison(folder: Path) -> bool:
    """Whether a folder was begun by a comparison."""
    return (folder / SETTINGS).is_file() and "comparison" in read_identity(folder)
