"""Siamese: one differentiable change a batch, replayed from its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator

from limbeck import keyed
from limbeck.errors import SettingsError, nearest
from limbeck.settings import settings

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

FULL = "color_crop_cutout_flip_scale_rotate"


def check_strategy(strategy: str) -> str:
    """Return a strategy string whose operations are all known, or raise `SettingsError`."""
    known = FULL.split("_")
    for name in strategy.split("_") if strategy else ():
        if name not in known:
            raise SettingsError(
                f"strategy {strategy!r} names an operation {name!r}; {nearest(name, known)}"
            )
    return strategy


@settings
class Siamese:
    """Differentiable siamese augmentation: one operation a batch, drawn from a strategy.

    Args:
        strategy: names of operations joined by underscores, each as likely as the next; empty
            changes nothing. `limbeck.functional.siamese_augment` says what they do.

    Raises:
        SettingsError: an operation is unknown.

    Example:
        >>> import torch
        >>> x = torch.rand(4, 1, 8, 8)
        >>> once, again = (Siamese().apply(x, keyed.key(0, "views", 7)) for _ in range(2))
        >>> torch.equal(once, again)
        True

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA).
    """

    strategy: Annotated[str, AfterValidator(check_strategy)] = FULL

    def operation(self, seed_key: int) -> str:
        """The operation that a key draws.

        Example:
            >>> Siamese("flip").operation(keyed.key(0))
            'flip'
        """
        names = self.strategy.split("_")
        # Rows count from 0: the draw of the batch itself has a number that no row has.
        draw = float(keyed.uniform(seed_key, np.array([-1]), 1)[0, 0])
        return names[int(draw * len(names))]

    def apply(
        self,
        x: Tensor,
        seed_key: int,
        *,
        siamese: bool = False,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Change images; the same key gives the same change.

        Args:
            x: normalised images ``(N, C, H, W)``.
            seed_key: of the batch.
            siamese: every image gets the change of row 0, so that two batches with one key, real
                and synthetic, are changed alike.
            rows: which rows of the whole batch these are ``(N,)``; None numbers them from 0.

        Returns:
            Images ``(N, C, H, W)``, differentiable in `x`.

        Raises:
            ArgumentError: `x` has another shape.
        """
        if not self.strategy:
            return x
        import torch

        from limbeck.functional.siamese import siamese_augment

        if siamese:
            rows = np.zeros(1, dtype=np.int64)
        elif rows is None:
            rows = np.arange(len(x), dtype=np.int64)
        draws = torch.from_numpy(keyed.uniform(seed_key, rows, 3)).to(x.device, x.dtype)
        return siamese_augment(x, self.operation(seed_key), draws)
