"""Averaging: outputs of several members by name, such as energies and forces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint
from limbeck.outputs import Outputs


class MeanOf:
    """Outputs of members averaged, each by its name.

    Args:
        names: as `Outputs.read` takes them.

    Example:
        >>> import torch
        >>> said = [Outputs(energy=torch.tensor([1.0])), Outputs(energy=torch.tensor([3.0]))]
        >>> mean = MeanOf("energy").outputs(said)
        >>> mean.energy, mean.extra["member_energy"].shape
        (tensor([2.]), torch.Size([2, 1]))
    """

    def __init__(self, *names: str) -> None:
        if not names:
            raise ArgumentError("no names are given; say what to average, such as 'energy'")
        self.names = names

    @property
    def fingerprint(self) -> str:
        """Short name of what is averaged."""
        return fingerprint("mean of", self.names)

    def outputs(self, said: Sequence[Outputs], weights: Tensor | None = None) -> Outputs:
        """The mean of what members said; what each said stands in ``extra.member_NAME``.

        Args:
            said: of K members.
            weights: of members ``(K,)``; None weighs all alike.

        Raises:
            ArgumentError: weights are of every sample, which atoms and edges are not.
            ModelError: a member does not give one of the names.
        """
        if weights is not None and weights.ndim > 1:
            raise ArgumentError(
                f"weights have the shape {tuple(weights.shape)}, expected ({len(said)},): outputs "
                "other than logits are averaged by member; give a route of one number a member"
            )
        known: dict[str, Any] = {}
        extra: dict[str, Tensor] = {}
        for path in self.names:
            every = torch.stack([one.read(path) for one in said])
            share = torch.full((len(said),), 1 / len(said)) if weights is None else weights
            share = (share / share.sum()).to(every)
            mean = torch.tensordot(share, every, dims=1)
            group, _, name = path.rpartition(".")
            (extra if group else known)[name] = mean
            extra[f"member_{name}"] = every
        return Outputs(**known, extra=extra)
