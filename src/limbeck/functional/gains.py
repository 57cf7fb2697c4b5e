"""Gains: what a list's candidates are worth, as a share of the best order."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.functional.guards import check_finite

Gain = Literal["exponential", "linear"]


def relative_gains(relevance: Tensor, real: Tensor, gain: Gain, top: int | None) -> Tensor:
    """Gains ``(N, L)`` divided by the best DCG that the list allows; 0 if that is not above 0."""
    check_choice(gain, "gain", ("exponential", "linear"))
    gains = torch.exp2(relevance) - 1 if gain == "exponential" else relevance
    gains = torch.where(real, gains, 0.0)
    check_finite(gains, "2 to the power of target, minus 1,")
    best = gains.sort(dim=-1, descending=True).values[:, :top]
    places = torch.arange(1, best.shape[1] + 1, device=gains.device)
    ideal = (best / torch.log2(1 + places)).sum(-1, keepdim=True)
    return torch.where(ideal > 0, gains / torch.where(ideal > 0, ideal, 1.0), 0.0)
