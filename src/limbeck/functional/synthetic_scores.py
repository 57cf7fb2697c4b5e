"""Scores of synthetic training sets that leave out what labels and augmentation add by themselves.

All accuracies are fractions; single numbers or tensors of equal or broadcast shape.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.guards import traced

Accuracy = Tensor | float


def hard_label_recovery(real: Accuracy, synthetic: Accuracy) -> Tensor:
    """Accuracy that is lost with hard labels, ``real - synthetic``; 0 recovers all.

    Args:
        real: accuracy after training on the whole real set, ``()`` or any shape.
        synthetic: after training on the synthetic set with hard labels.

    Returns:
        The difference.

    Raises:
        ArgumentError: an accuracy lies outside 0 to 1.

    Example:
        >>> round(hard_label_recovery(0.85, 0.6).item(), 4)
        0.25

    Source: Li et al., arXiv 2505.13300 (DD-Ranking), section 3.
    """
    return _fraction(real, "real") - _fraction(synthetic, "synthetic")


def improvement_over_random(synthetic: Accuracy, random: Accuracy) -> Tensor:
    """Accuracy that is gained over a random subset of equal size under the same recipe.

    Args:
        synthetic: accuracy after training on the synthetic set, ``()`` or any shape.
        random: after training on random real samples, with the same labels and augmentation.

    Returns:
        The difference.

    Raises:
        ArgumentError: an accuracy lies outside 0 to 1.

    Example:
        >>> round(improvement_over_random(0.65, 0.4).item(), 4)
        0.25

    Source: Li et al., arXiv 2505.13300 (DD-Ranking), section 3.
    """
    return _fraction(synthetic, "synthetic") - _fraction(random, "random")


def label_robust_score(
    real_hard: Accuracy,
    synthetic_hard: Accuracy,
    synthetic_own: Accuracy,
    random_own: Accuracy,
    *,
    weight: float = 0.5,
) -> Tensor:
    r"""Label-robust score: how informative synthetic images are, apart from their labels.

    :math:`(e^\alpha - e^{-1}) / (e - e^{-1})` with
    :math:`\alpha = w\,(a_{own} - a_{random}) - (1 - w)\,(a_{real} - a_{hard})`.

    Args:
        real_hard: accuracy after training on the whole real set, ``()`` or any shape.
        synthetic_hard: after training on the synthetic set with hard labels.
        synthetic_own: on the synthetic set with its own labels and recipe.
        random_own: on a random subset of equal size with that recipe.
        weight: w of the gain over random, 0 to 1.

    Returns:
        The score, 0 to 1; equal accuracies give 0.269.

    Raises:
        ArgumentError: an accuracy or the weight lies outside 0 to 1.

    Example:
        >>> round(label_robust_score(0.848, 0.6, 0.66, 0.42).item(), 4)
        0.2672

    Source: Li et al., arXiv 2505.13300 (DD-Ranking), section 3.
    """
    share = _share(weight, "weight")
    gain = improvement_over_random(synthetic_own, random_own)
    return _score(share * gain - (1 - share) * hard_label_recovery(real_hard, synthetic_hard))


def augmentation_robust_score(
    synthetic_augmented: Accuracy,
    random_augmented: Accuracy,
    synthetic_plain: Accuracy,
    random_plain: Accuracy,
    *,
    weight: float = 0.5,
) -> Tensor:
    r"""Augmentation-robust score: what a set is worth apart from the augmentation it is used with.

    :math:`(e^\beta - e^{-1}) / (e - e^{-1})` with :math:`\beta` the gain over a random subset,
    :math:`\gamma` of it with augmentation and :math:`1 - \gamma` without.

    Args:
        synthetic_augmented: accuracy after training on the synthetic set with augmentation, ``()``
            or any shape.
        random_augmented: on a random subset of equal size with augmentation.
        synthetic_plain: on the synthetic set without.
        random_plain: on the random subset without.
        weight: :math:`\gamma`, 0 to 1.

    Returns:
        The score, 0 to 1; equal accuracies give 0.269.

    Raises:
        ArgumentError: an accuracy or the weight lies outside 0 to 1.

    Example:
        >>> round(augmentation_robust_score(0.66, 0.42, 0.5, 0.4).item(), 4)
        0.3478

    Source: Li et al., arXiv 2505.13300 (DD-Ranking), section 3.
    """
    share = _share(weight, "weight")
    augmented = improvement_over_random(synthetic_augmented, random_augmented)
    return _score(
        share * augmented + (1 - share) * improvement_over_random(synthetic_plain, random_plain)
    )


def _score(gain: Tensor) -> Tensor:
    return (gain.exp() - math.exp(-1)) / (math.e - math.exp(-1))


def _share(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name} is {value}, expected a share from 0 to 1")
    return value


def _fraction(value: Accuracy, name: str) -> Tensor:
    accuracy = torch.as_tensor(value, dtype=torch.float64)
    if not traced(accuracy) and not bool(((accuracy >= 0) & (accuracy <= 1)).all()):
        raise ArgumentError(
            f"accuracy {name} is {accuracy.tolist()}, expected fractions from 0 to 1; divide "
            "percent by 100"
        )
    return accuracy
