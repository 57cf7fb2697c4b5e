"""Columns: outputs that were computed before and ride in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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


class PredictedTeacher:
    """A member whose predictions are the inputs. Made by `predicted`."""

    kind: ClassVar[str] = "predicted"
    # The model that predicted is not here: nobody can count it.
    uncounted_bytes = 0

    def __init__(self, place: int, name: str) -> None:
        self.place, self.name = place, name
        self.fingerprint = fingerprint("predicted", place, name)
        self.modules: tuple[nn.Module, ...] = ()

    @property
    def wants(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The teacher itself: one member."""
        return (self,)

    def __call__(self, batch: Batch) -> Outputs:
        x = batch["x"]
        if x.ndim not in (2, 3) or x.shape[1] <= self.place:
            raise ArgumentError(
                f"x has shape {tuple(x.shape)}, expected predictions (N, K) or (N, K, C) of more "
                f"than {self.place} members: {self.name} is at place {self.place}"
            )
        said = x[:, self.place]
        return Outputs(logits=said[:, None] if said.ndim == 1 else said)

    def write(self, part: Path) -> dict[str, Any]:
        """What a product needs to have it back: its place; the folder stays empty."""
        return {"place": self.place}

    def __repr__(self) -> str:
        return f"predicted({self.name!r})"


def predicted(place: int, name: str) -> PredictedTeacher:
    """Take what a member predicted, in data of predictions, for what a teacher says.

    Args:
        place: of the member in ``"x"``, ``(N, K)`` or ``(N, K, C)``.
        name: of the member.

    Returns:
        A teacher without a network.

    Raises:
        ArgumentError: the place is below 0; when run, ``"x"`` has not so many members.

    Example:
        >>> import torch
        >>> predicted(1, "ridge")(Batch({"x": torch.tensor([[1.0, 2.0]])})).logits.tolist()
        [[2.0]]
    """
    if place < 0:
        raise ArgumentError(f"place is {place}, expected 0 or more")
    return PredictedTeacher(place, name)
