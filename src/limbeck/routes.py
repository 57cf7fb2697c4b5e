"""Routes: which members of an ensemble are asked about a batch, and what each counts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.checks import check_weights
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError

Route = Callable[[Batch, int], Tensor]


def random_one(batch: Batch, members: int) -> Tensor:
    """Route every batch to one member drawn from the batch's key, so that it replays.

    Args:
        batch: its ``key`` decides.
        members: K.

    Returns:
        Weights ``(K,)``: a single 1.

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), teacher sampling.

    Example:
        >>> random_one(Batch({}, key=7), 3).sum().item()
        1.0
    """
    chosen = batch.key % members
    return torch.nn.functional.one_hot(torch.tensor(chosen), members).float()


def check_route(weights: Tensor, members: int, samples: int) -> None:
    """Raise `ArgumentError` unless a route gives a weight a member, or one a member and sample."""
    if tuple(weights.shape) not in ((members,), (members, samples)):
        raise ArgumentError(
            f"the route gives weights of shape {tuple(weights.shape)}, expected ({members},) or "
            f"({members}, {samples})"
        )
    check_weights(weights, "the weights of the route")
