"""Kept: what is written of a teacher's logits, all of them or the most likely, and read back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError, ModelError
from limbeck.functional.soft_labels import Rest

Kind = Literal["float16", "float32"]
# A class that holds nothing of the remaining mass: exp of it is 0 and 0 times it is 0.
NOTHING = -1e4


@dataclass(frozen=True)
class Kept:
    """How logits are stored.

    Args:
        keep: ``"logits"`` for all, or ``"top32"`` for the 32 most likely classes (any number) with
            the remaining mass.
        dtype: of the kept numbers.
        rest: what becomes of the other classes: the remaining mass evenly, or nothing.

    Raises:
        ArgumentError: a choice is unknown.

    Example:
        >>> rows = Kept("top1").write(torch.tensor([[0.0, 9.0, 0.0]]))
        >>> sorted(rows), Kept("top1").read(rows, 3).argmax().item()
        (['classes', 'left', 'shares'], 1)
    """

    keep: str = "logits"
    dtype: Kind = "float16"
    rest: Rest = "uniform"

    def __post_init__(self) -> None:
        check_choice(self.dtype, "dtype", get_args(Kind))
        check_choice(self.rest, "rest", get_args(Rest))
        if self.keep != "logits" and not re.fullmatch(r"top[1-9]\d*", self.keep):
            raise ArgumentError(
                f"keep is {self.keep!r}, expected logits, or top and a number such as top32"
            )

    def write(self, logits: Tensor, name: str = "the teacher") -> dict[str, Tensor]:
        """What is written of logits ``(M, C)``: named tensors with M rows.

        Raises:
            ModelError: float16 cannot hold a logit, or there are no more classes than are kept.
        """
        kind = getattr(torch, self.dtype)
        if self.keep == "logits":
            return {"logits": self._narrow(logits, kind, name)}
        count = int(self.keep.removeprefix("top"))
        if logits.ndim != 2 or not count < logits.shape[1]:
            raise ModelError(
                f"keep is {self.keep} and {name} gives {tuple(logits.shape[1:])} "
                "numbers a sample; keep logits, or fewer classes than there are"
            )
        shares = logits.float().log_softmax(1)
        top = shares.topk(count)
        left = (1 - top.values.double().exp().sum(1, keepdim=True)).clamp(min=0).log()
        ids = torch.uint16 if logits.shape[1] <= 1 << 16 else torch.int32
        return {
            "classes": top.indices.to(ids),
            "shares": top.values.clamp(min=NOTHING).to(kind),
            "left": left.clamp(min=NOTHING).to(kind),
        }

    def read(self, rows: dict[str, Tensor], classes: int) -> Tensor:
        """Logits ``(M, C)`` of what was written, float32."""
        if "logits" in rows:
            return rows["logits"].float()
        kept, shares = rows["classes"].long(), rows["shares"].float()
        if self.rest == "uniform":
            left = rows["left"].float() - math.log(classes - kept.shape[1])
        else:
            left = torch.full_like(rows["left"], NOTHING, dtype=torch.float32)
        return left.repeat(1, classes).scatter(1, kept, shares)

    def _narrow(self, logits: Tensor, kind: torch.dtype, name: str) -> Tensor:
        narrow = logits.to(kind)
        if not bool(torch.isfinite(narrow).all()):
            largest = float(logits.abs().max())
            raise ModelError(
                f"{name} gives logits up to {largest:.4g}, which {self.dtype} cannot "
                "hold; keep float32, or look at the teacher if they are not finite"
            )
        return narrow
