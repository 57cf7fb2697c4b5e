"""How sure a prediction is: one confidence a sample, higher is surer."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.columns import numbers
from limbeck.functional.divergences import Kind, entropy, log_probabilities
from limbeck.functional.guards import refuse_nan

Score = Literal["msp", "entropy", "max_logit", "energy"]
# Those that read the size of logits, which probabilities have lost.
SIZED: tuple[Score, ...] = ("max_logit", "energy")


def confidence_scores(
    value: Tensor | np.ndarray, score: Score = "msp", *, kind: Kind = "logits"
) -> Tensor:
    r"""Confidence of each prediction, in float64 and natural logarithms.

    - ``"msp"``: the largest probability :math:`\max_c p_c`
    - ``"entropy"``: minus the entropy, :math:`\sum_c p_c \log p_c`
    - ``"max_logit"``: the largest logit :math:`\max_c z_c`
    - ``"energy"``: minus the free energy, :math:`\log \sum_c e^{z_c}`

    Papers state the last three as uncertainties, which are these with the sign turned. Scores of
    float32 probabilities tie at 1, so logits are taken where there are any.

    Args:
        value: logits or probabilities, ``(N, C)`` or any shape with classes on the last axis; the
            mean over K of the scores of members ``(K, N, C)`` is the score of an ensemble.
        score: which one.
        kind: ``"logits"`` or ``"probabilities"``; the latter have no ``"max_logit"`` and no
            ``"energy"``.

    Returns:
        The shape of `value` without classes, ``(N,)``.

    Raises:
        ArgumentError: `score` or `kind` is unknown or they do not go together, there is no class,
            probabilities do not sum to one, or a prediction is NaN.

    Example:
        >>> confidence_scores(np.zeros((1, 4))).tolist()
        [0.25]
        >>> round(confidence_scores(np.zeros((1, 4)), "energy").item(), 4)
        1.3863

    Source: Hendrycks and Gimpel, arXiv 1610.02136 (msp); Liu et al., arXiv 2010.03759 (energy);
    Xia and Bouganis, arXiv 2303.08010, for the use in cascades.
    """
    check_choice(score, "score", ("msp", "entropy", "max_logit", "energy"))
    wide = numbers(value, "value")
    if wide.ndim == 0 or wide.shape[-1] == 0:
        raise ArgumentError(f"value has shape {tuple(wide.shape)}, expected (N, C), C at least 1")
    if kind != "logits" and score in SIZED:
        raise ArgumentError(
            f"score {score!r} needs logits, and kind is {kind!r}: probabilities have lost the size "
            "of the logits; use 'msp' or 'entropy', or pass logits"
        )
    found = _found(wide, score, kind)
    refuse_nan(found, "rows of value")
    return found


def _found(wide: Tensor, score: Score, kind: Kind) -> Tensor:
    if score == "msp":
        return log_probabilities(wide, kind, name="value").amax(-1).exp()
    if score == "entropy":
        return -entropy(wide, kind=kind, reduction="none")
    return wide.amax(-1) if score == "max_logit" else wide.logsumexp(-1)
