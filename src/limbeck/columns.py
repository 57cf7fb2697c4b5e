"""Columns: outputs that were computed before and ride in the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint
from limbeck.outputs import Outputs

if TYPE_CHECKING:
    from limbeck.teachers import Teacher


class ColumnTeacher:
    """Outputs that were computed before and ride in the batch. Made by `column`."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self._kind = name, kind
        self.fingerprint = fingerprint("column", name, kind)
        self.modules: tuple[nn.Module, ...] = ()

    @property
    def wants(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The column itself: one member."""
        return (self,)

    def __call__(self, batch: Batch) -> Outputs:
        said: dict[str, Any] = {self._kind: batch[self.name]}
        return Outputs(**said)

    def __repr__(self) -> str:
        return f"column({self.name!r})"


def column(name: str, *, kind: str = "logits") -> ColumnTeacher:
    """Take a column of the batch for what a teacher said.

    Args:
        name: of the column.
        kind: what it holds: ``"logits"``, ``"scores"``, ``"energy"`` or ``"forces"``.

    Returns:
        A teacher without a network.

    Raises:
        ArgumentError: the kind is unknown.

    Example:
        >>> import torch
        >>> column("teacher_logits")(Batch({"teacher_logits": torch.ones(1, 2)})).logits.tolist()
        [[1.0, 1.0]]
    """
    if kind not in reading.KNOWN:
        raise ArgumentError(f"kind is {kind!r}, expected one of {', '.join(reading.KNOWN)}")
    return ColumnTeacher(name, kind)
