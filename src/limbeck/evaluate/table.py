"""The table of a run: product, baselines, teachers and their ensemble, quality beside cost."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Subset
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.evaluate.cost import cost
from limbeck.evaluate.quality import Source, collect, fidelity, main_figure, quality
from limbeck.naming import distinct

Row = dict[str, Any]
NEAR_CHANCE = 0.02
# Training samples on which teachers are looked at: enough for a third of a point.
LOOKED_AT = 10_000
# Figures of one model that two runs took in batches of their own differ by this share.
EQUAL = 1e-5
ROLES = ("product", "baseline", "ensemble", "teacher", "reference")


def student_rows(
    product: Any, baselines: Mapping[str, Any], teacher: Any, data: Data, name: str
) -> list[Row]:
    """Rows of a student, the same student alone, and those who taught it, on the test split.

    Beside the quality of those who taught stands how good they are on what the student learned
    from, ``train_accuracy`` or ``train_rmse``: there their errors are passed on.

    Args:
        product: a `Student`.
        baselines: other students by name; the first is the baseline, the others are references.
        teacher: an ensemble, of one or more.
        data: its test split is reported.
        name: of the product's row.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``.
    """
    told, target = collect(teacher, data, data.test)
    rows = [
        _student(label, ROLES[place] if place < 2 else "reference", one, told, target, data)
        for place, (label, one) in enumerate([(name, product), *baselines.items()])
    ]
    return rows + _taught(teacher, told, target, data)


def product_row(product: Any, teacher: Any, data: Data, name: str) -> Row:
    """The row of one student on the test split.

    Args:
        product: a `Student`.
        teacher: whose answers the student's are compared with.
        data: its test split is reported.
        name: of the row.

    Returns:
        ``{"name", "role", "quality", "cost"}``.
    """
    told, target = collect(teacher, data, data.test)
    return _student(name, "product", product, told, target, data)


def teacher_rows(teacher: Any, data: Data) -> list[Row]:
    """Rows of an ensemble, where it has several members, and of each member, on the test split.

    Args:
        teacher: an ensemble, of one or more.
        data: its test split is reported.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``.
    """
    return _taught(teacher, *collect(teacher, data, data.test), data)


def _student(name: str, role: str, one: Any, told: Tensor, target: Tensor, data: Data) -> Row:
    logits, _ = collect(one.outputs, data, data.test)
    figures = {**quality(logits, target, data.task), **fidelity(logits, told, data.task)}
    return _row(name, role, figures, one.cost(data))


def _taught(teacher: Any, told: Tensor, target: Tensor, data: Data) -> list[Row]:
    task, rows = data.task, []
    batch = next(sequential(data, data.test, 1))
    if len(teacher.members) > 1:
        figures = {**quality(told, target, task), **_on_training(teacher, data)}
        rows.append(_row("ensemble", "ensemble", figures, cost(teacher, teacher.modules, batch)))
    for member in teacher.members:
        figures = quality(*collect(member, data, data.test), task) | _on_training(member, data)
        rows.append(_row(member.name, "teacher", figures, cost(member, member.modules, batch)))
    return rows


def _on_training(source: Source, data: Data) -> dict[str, float]:
    """The main figure of a teacher on the student's training samples, evenly spread if many."""
    count = len(data.train)
    chosen = np.linspace(0, count - 1, num=min(count, LOOKED_AT)).astype(np.int64)
    figures = quality(*collect(source, data, Subset(data.train, chosen)), data.task)
    name, _ = main_figure(data.task)
    return {f"train_{name}": figures[name]}


def warn_of_weak_teachers(rows: Sequence[Row], data: Data) -> None:
    """Warn of teachers that know little more than chance, or less than the lone student.

    Args:
        rows: as `student_rows` gives them.
        data: whose test split they report.
    """
    alone = next(row["quality"] for row in rows if row["role"] == "baseline")
    for row in rows:
        if row["role"] != "teacher":
            continue
        said = _weakness(row["quality"], alone, data)
        if said:
            warnings.warn(
                f"teacher {row['name']} {said}: a student learns little good from it; train it "
                "for more --teacher-steps or choose another",
                UnusualUseWarning,
                stacklevel=2,
            )


def _weakness(figures: Mapping[str, float], alone: Mapping[str, float], data: Data) -> str:
    if "accuracy" in figures and data.test.y is not None:
        chance = _chance(data.test.y)
        found, rival = figures["accuracy"], alone["accuracy"]
        if found <= chance + min(NEAR_CHANCE, (1 - chance) / 2):
            return f"is right in {found:.1%} of the test split, where chance gives {chance:.1%}"
        if found < rival:
            return f"is right in {found:.1%} of the test split and the lone student in {rival:.1%}"
    if "rmse" in figures and figures["rmse"] > alone["rmse"]:
        return f"has an rmse of {figures['rmse']:.4g} and the lone student {alone['rmse']:.4g}"
    return ""


def _chance(y: Tensor) -> float:
    """How often the same answer for every sample is right: per sample, or per label."""
    if y.ndim == 1:
        return float(y.long().bincount().max()) / len(y)
    shares = y.float().mean(0)
    return float(torch.maximum(shares, 1 - shares).mean())


def average(tables: Sequence[Sequence[Row]]) -> list[Row]:
    """Average tables of several seeds row by row.

    Args:
        tables: the same rows in the same order, one table a seed.

    Returns:
        Rows whose figures are means; with two seeds or more ``"std"`` holds the standard
        deviations of quality (n - 1), with one what stands there, as over networks.

    Raises:
        ArgumentError: the tables have different rows.

    Example:
        >>> row = {"name": "a", "role": "product", "cost": {}}
        >>> tables = [[{**row, "quality": {"accuracy": value}}] for value in (0.5, 0.7)]
        >>> average(tables)[0]["quality"]["accuracy"]
        0.6
    """
    averaged = []
    for same in zip(*tables, strict=True):
        for other in same:
            if (other["name"], other["role"]) != (same[0]["name"], same[0]["role"]):
                raise ArgumentError(
                    f"rows {same[0]['name']} and {other['name']} stand at the same place; only "
                    "tables of the same rows have a mean"
                )
        row = {"name": same[0]["name"], "role": same[0]["role"]}
        for group in ("quality", "cost"):
            # A row may stand for a network on one seed and for an estimator on another.
            names = [name for name in same[0][group] if all(name in one[group] for one in same)]
            row[group] = {n: statistics.fmean(one[group][n] for one in same) for n in names}
        if len(same) > 1:
            row["std"] = {
                n: statistics.stdev(one["quality"][n] for one in same) for n in row["quality"]
            }
        elif "std" in same[0]:
            row["std"] = dict(same[0]["std"])
        averaged.append(row)
    return averaged


def joint_rows(tables: Sequence[tuple[str, Sequence[Row]]]) -> list[Row]:
    """The products of several tables, and of their other rows each that says something new.

    A row is known already where one of its name has the same figures: that is the same model.

    Args:
        tables: a name and its rows for each run.

    Returns:
        One product a table, by its name; then baselines, ensembles and teachers, those that stand
        in several tables once, with a number behind names that several models have.

    Example:
        >>> row = {"quality": {"accuracy": 0.5}, "cost": {}}
        >>> roles = {"kd": "product", "a": "teacher"}
        >>> rows = [{**row, "name": name, "role": role} for name, role in roles.items()]
        >>> [one["name"] for one in joint_rows([("first", rows), ("second", rows)])]
        ['first', 'second', 'a']
    """
    found = [
        {**row, "name": name} for name, rows in tables for row in rows if row["role"] == "product"
    ]
    others = [row for _, rows in tables for row in rows if row["role"] != "product"]
    for row in sorted(others, key=lambda row: ROLES.index(row["role"])):
        if not any(_same(row, known) for known in found):
            found.append(row)
    names = distinct([row["name"] for row in found])
    return [{**row, "name": name} for row, name in zip(found, names, strict=True)]


def _same(first: Row, second: Row) -> bool:
    """Whether two rows that are no products are of one model: its name and figures, not its cost.

    Latency differs from one measurement to the next.
    """
    if "product" in (first["role"], second["role"]) or first["name"] != second["name"]:
        return False
    both = first["quality"].keys() & second["quality"].keys()
    pairs = [(first["quality"][name], second["quality"][name]) for name in both]
    return bool(pairs) and all(math.isclose(*pair, rel_tol=EQUAL) for pair in pairs)


def _row(name: str, role: str, figures: Mapping[str, float], costs: Mapping[str, float]) -> Row:
    return {"name": name, "role": role, "quality": dict(figures), "cost": dict(costs)}
