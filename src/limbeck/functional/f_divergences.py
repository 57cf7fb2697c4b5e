"""f-divergences: what samples count when another divergence than reverse KL is minimised."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.guards import traced, widened

FDivergence = Literal[
    "reverse_kl",
    "softened_reverse_kl",
    "kl",
    "js",
    "jeffreys",
    "neyman",
    "squared_hellinger",
]


def f_divergence_weight(ratio: Tensor, divergence: FDivergence) -> Tensor:
    r"""What each sample's direction counts when another divergence than reverse KL is minimised.

    With the ratio r of the density of the data to that of the generator: ``"reverse_kl"`` 1,
    ``"softened_reverse_kl"`` :math:`1/(1+r)`, ``"kl"`` r, ``"js"`` :math:`r/(1+r)`,
    ``"jeffreys"`` :math:`1+r`, ``"neyman"`` :math:`1/r`, ``"squared_hellinger"``
    :math:`\sqrt r`.

    Args:
        ratio: r at each sample ``(N,)``, above 0.
        divergence: by name.

    Returns:
        Weights ``(N,)``, in float32 or wider.

    Raises:
        ArgumentError: the divergence is unknown, or a ratio is not above 0.

    Example:
        >>> f_divergence_weight(torch.tensor([0.25, 4.0]), "squared_hellinger").tolist()
        [0.5, 2.0]

    Source: Xu et al., arXiv 2502.15681 (f-distill).
    """
    check_choice(divergence, "divergence", get_args(FDivergence))
    r = widened(ratio)
    if not traced(r) and not bool((r > 0).all()):
        raise ArgumentError(
            f"ratio holds {r.min().item():.4g}, expected numbers above 0; exp of a discriminator's "
            "logits is such a ratio"
        )
    if divergence == "reverse_kl":
        return torch.ones_like(r)
    if divergence == "softened_reverse_kl":
        return 1 / (1 + r)
    if divergence == "js":
        return r / (1 + r)
    if divergence == "jeffreys":
        return 1 + r
    if divergence == "neyman":
        return 1 / r
    return r if divergence == "kl" else r.sqrt()
