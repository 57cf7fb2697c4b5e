"""What a report tells: read from a run folder, in plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck import cards, files
from limbeck.errors import RunError
from limbeck.experiment import DIAGNOSTICS, TABLE, Request
from limbeck.naming import spaced, without_place
from limbeck.run.exhibits import Drawing, Gallery, Sheet, read_exhibits
from limbeck.run.folder import ENVIRONMENT, INPUTS
from limbeck.run.run import METRICS
from limbeck.run.trackers import read_rows

POINTS = 300


@dataclass(frozen=True)
class Story:
    """One run, ready to be drawn.

    Args:
        name: of the folder.
        request: what was asked.
        content: fingerprint of the data of the first seed; None where the folder tells none.
        card: of the method.
        rows: the table.
        curves: by stage, by term, steps and values of the first seed.
        norms: the same of gradient norms.
        diagnostics: per-class accuracy and reliability of the first seed.
        environment: versions and kind of machine.
        charts: that the first seed brought along.
        sheets: tables that it brought along.
        galleries: pictures that it brought along.
    """

    name: str
    request: Request
    content: str | None
    card: cards.Card
    rows: list[dict[str, Any]]
    curves: Mapping[str, Mapping[str, tuple[list[int], list[float]]]]
    norms: Mapping[str, Mapping[str, tuple[list[int], list[float]]]]
    diagnostics: Mapping[str, Any]
    environment: Mapping[str, Any]
    charts: Sequence[Drawing] = ()
    sheets: Sequence[Sheet] = ()
    galleries: Sequence[Gallery] = ()


def read_story(folder: Path) -> Story:
    """Read a run folder.

    Args:
        folder: of a run made on the command line, finished.

    Returns:
        Its story.

    Raises:
        RunError: the folder holds no run, is not finished, or has no metrics.
    """
    request = Request.read(folder)
    request = replace(request, inputs={n: shown(one) for n, one in request.inputs.items()})
    if not (folder / TABLE).exists():
        raise RunError(
            f"{folder} has no table: it is not finished (limbeck resume {folder}) or was made in "
            "Python, where limbeck.experiment.perform makes one"
        )
    first = folder / "seeds" / str(request.seeds[0])
    charts, sheets, galleries = read_exhibits(first)
    # A method that trains nothing logs nothing, and may bring charts all the same.
    if not (first / METRICS).exists() and not charts:
        raise RunError(f"{first} has no {METRICS}: there is nothing to draw; run it again")
    curves, norms = _curves(first / METRICS) if (first / METRICS).exists() else ({}, {})
    return Story(
        name=folder.resolve().name,
        request=request,
        content=_json(first / INPUTS).get("data"),
        card=cards.card(request.method),
        rows=[
            {**row, "name": without_place(row["name"])} for row in files.read_json(folder / TABLE)
        ],
        curves=curves,
        norms=norms,
        diagnostics=_json(first / DIAGNOSTICS),
        environment=_json(first / ENVIRONMENT),
        charts=charts,
        sheets=sheets,
        galleries=galleries,
    )


def sentence(card: cards.Card, inputs: Mapping[str, Any]) -> str:
    """What was made of what, as the inputs of a request tell it.

    Args:
        card: of the method.
        inputs: names; several teachers are a list.

    Returns:
        A clause: teachers distilled into a student on data, or data into what the method gives.

    Example:
        >>> sentence(cards.card("kd"), {"teacher": ["a", "b"], "student": "c", "data": "digits"})
        'a, b distilled into c on digits'
    """
    named = {name: _listed(inputs[name]) for name in card.takes if inputs.get(name)}
    subject = "teacher" if "teacher" in named else "data"
    text = f"{named.pop(subject, '')} distilled into "
    text += named.pop("student", f"a {spaced(card.gives)}")
    text += f" on {named.pop('data')}" if "data" in named else ""
    others = " and ".join(f"{name} {value}" for name, value in named.items())
    return f"{text} with {others}" if others else text


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def shown(value: Any) -> Any:
    """Names without the places of their files: a page goes to other people."""
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return without_place(value) if isinstance(value, str) else value


def _curves(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    curves: dict[str, Any] = {}
    norms: dict[str, Any] = {}
    for row in read_rows(path):
        stage, step = row.pop("stage"), row.pop("step")
        for name, value in row.items():
            if name.endswith("seconds") or not math.isfinite(value):
                continue
            kind, _, term = name.partition(".")
            table, key = (norms, term) if kind == "gradient_norm" else (curves, name)
            steps, values = table.setdefault(stage, {}).setdefault(key, ([], []))
            steps.append(step)
            values.append(value)
    return _thinned(curves), _thinned(norms)


def _thinned(tables: dict[str, Any]) -> dict[str, Any]:
    """Keep evenly spread points: a page of a long run must stay small."""
    for terms in tables.values():
        for name, (steps, values) in terms.items():
            every = math.ceil(len(steps) / POINTS)
            terms[name] = (steps[::every], values[::every])
    return tables


def _json(path: Path) -> dict[str, Any]:
    return files.read_json(path) if path.exists() else {}
