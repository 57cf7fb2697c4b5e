"""What members say of rows that they did not see, in one table, with the members themselves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import files
from limbeck.bridges.sklearn import Folds
from limbeck.data import Data, Split
from limbeck.data.oof import FOLD, ID
from limbeck.errors import ArgumentError
from limbeck.functional.stack_columns import class_rows
from limbeck.functional.stacking import member_errors
from limbeck.naming import distinct
from limbeck.products.members import members_of

TABLE, TARGET = "out-of-fold.parquet", "target"
Group = tuple[Any, ...]


@dataclass(frozen=True)
class MemberTable:
    """Members with their predictions of the rows to stack on.

    Args:
        names: of the members, all different.
        groups: for each member the models that are asked about new rows; their mean counts.
        table: predictions of rows that no member saw: numbers ``(N, K)``, or probabilities
            ``(N, K, C)``.
        target: numbers or class indices, ``(N,)``.
        ids: of the rows, ``(N,)``.
        folds: in which of them a row was held out.
        origin: where the rows come from: ``"folds"``, ``"validation"`` or ``"predictions"``.
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    table: np.ndarray
    target: np.ndarray
    ids: np.ndarray
    folds: Folds
    origin: str

    @property
    def members(self) -> tuple[Any, ...]:
        """The first model of each member."""
        return tuple(group[0] for group in self.groups)

    @property
    def classifies(self) -> bool:
        """Whether members give probabilities of classes."""
        return self.table.ndim == 3

    @property
    def errors(self) -> np.ndarray:
        """Root mean squared error of each member, of its probabilities for classes, ``(K,)``."""
        long, truth = self.flat
        return member_errors(long, truth)

    @cached_property
    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """A column a member and a number a row: classes are rows of their own."""
        if not self.classifies:
            return self.table, self.target
        return class_rows(self.table, self.target)


class Column:
    """A member whose predictions stand in a table already."""

    def __init__(self, place: int) -> None:
        self.place = place

    def predict(self, table: np.ndarray) -> np.ndarray:
        """The member's numbers ``(N,)`` of a table ``(N, K)``."""
        return table[:, self.place]

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        """The member's probabilities ``(N, C)`` of a table ``(N, K, C)``."""
        return table[:, self.place]


def targets_of(data: Data, split: Split) -> np.ndarray:
    """Numbers or class indices of a split, ``(N,)``.

    Raises:
        ArgumentError: there are several numbers a sample.
    """
    y = split.y
    assert y is not None
    if data.task == "regression" and data.outputs != 1:
        raise ArgumentError(
            f"{data.name} has {data.outputs} numbers a sample and a stack predicts one; name one "
            "target, such as --set target=price, and stack once for each"
        )
    values = y.reshape(-1).numpy()
    return values.astype(np.int64 if data.task == "classification" else np.float64)


def grouped(members: Sequence[Any]) -> tuple[Group, ...]:
    """Each member as the models that it is made of, made members of a product once."""
    return tuple(members_of(one) for one in members)


def write_table(path: Path, found: MemberTable, data: Data) -> None:
    """Write the table as ``oof:`` data are laid out, so that it can be stacked again.

    Members called as the other columns get a number behind their name.

    Args:
        path: the file.
        found: the table.
        data: names the classes.
    """
    import pandas as pd

    columns: dict[str, Any] = {ID: found.ids, FOLD: found.folds.number}
    taken = (ID, FOLD, TARGET)
    names = found.names if found.classifies else distinct([*taken, *found.names])[len(taken) :]
    for place, name in enumerate(names):
        if found.classifies:
            for number, word in enumerate(data.classes):
                columns[f"{name}:{word}"] = found.table[:, place, number]
        else:
            columns[name] = found.table[:, place]
    words = np.array(data.classes)[found.target] if found.classifies else found.target
    content = io.BytesIO()
    pd.DataFrame({**columns, TARGET: words}).to_parquet(content, index=False)
    files.write_bytes(path, content.getbuffer())
