"""Columns that a stack is fitted on: predictions with statistics of each row, or log-odds.

Estimators learn from these columns and rules answer with them, so both are made here alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from limbeck.functional.arrays import Array, matrix

# Forests say 0 where they mean that it did not happen in training. A probability counts as at
# least this much, so that its logarithm lies between -13.8 and 0.
LEAST_PROBABILITY = 1e-6


def row_statistics(
    predictions: Array, *, statistics: bool = True, interactions: bool = True
) -> np.ndarray:
    r"""Predictions with what the members say of each row together.

    Columns behind the predictions: mean :math:`\mu`, population deviation :math:`\sigma`, median,
    range :math:`r`, then :math:`\mu\sigma` and :math:`r\sigma`.

    Args:
        predictions: ``(N, K)``.
        statistics: append the four.
        interactions: append the two products.

    Returns:
        ``(N, K + 6)``, or fewer columns if one option is off.

    Raises:
        ArgumentError: a value is not finite.

    Example:
        >>> row_statistics([[1.0, 3.0]]).tolist()
        [[1.0, 3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 2.0]]

    Source: arXiv 2602.12469, meta-features.
    """
    table = torch.tensor(matrix(predictions, "predictions"))
    return with_statistics(table, statistics=statistics, interactions=interactions).numpy()


def with_statistics(table: Tensor, *, statistics: bool, interactions: bool) -> Tensor:
    """`row_statistics` of a checked table, as a graph can hold it.

    Args:
        table: predictions, ``(N, K)``.
        statistics: append the four.
        interactions: append the two products.

    Returns:
        ``(N, K + 6)``, or fewer columns if one option is off.

    Example:
        >>> with_statistics(torch.tensor([[1.0, 3.0]]), statistics=True, interactions=False)
        tensor([[1., 3., 2., 1., 2., 2.]])
    """
    parts = [table]
    if statistics or interactions:
        mean, deviation = table.mean(1), table.std(1, correction=0)
        ordered = table.sort(1).values
        spread = ordered[:, -1] - ordered[:, 0]
        if statistics:
            # Of an even number of members torch's own median is the lower one of two.
            half = table.shape[1] // 2
            median = (ordered[:, half] + ordered[:, (table.shape[1] - 1) // 2]) / 2
            parts.append(torch.stack([mean, deviation, median, spread], 1))
        if interactions:
            parts.append(torch.stack([mean * deviation, spread * deviation], 1))
    return torch.cat(parts, 1)


def log_odds(probabilities: Tensor) -> Tensor:
    r"""Log-odds of members: one column each for two classes, else one a class.

    Of two classes a member's column is :math:`\log p_1 - \log p_0`, of more there is one a class,
    :math:`\log p_c` less its mean over classes.

    Args:
        probabilities: ``(N, K, C)``; those below a millionth count as this.

    Returns:
        ``(N, K)`` for two classes, else ``(N, K C)``.

    Example:
        >>> log_odds(torch.tensor([[[0.5, 0.5]]])).tolist()
        [[0.0]]
    """
    logs = probabilities.clamp(min=LEAST_PROBABILITY).log()
    if logs.shape[2] == 2:
        return logs[:, :, 1] - logs[:, :, 0]
    return (logs - logs.mean(2, keepdim=True)).reshape(logs.shape[0], -1)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities of any shape; those below a millionth count as this.

    Example:
        >>> log_probabilities(np.array([0.0, 1.0])).round(1).tolist()
        [-13.8, 0.0]
    """
    return np.log(np.clip(probabilities, LEAST_PROBABILITY, None))


def class_rows(probabilities: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column a member, and a row a sample and class, so that all classes count alike.

    Args:
        probabilities: ``(N, K, C)``.
        target: class indices ``(N,)``.

    Returns:
        ``(N C, K)``, and 1 for rows of the sample's own class, else 0, ``(N C,)``.

    Example:
        >>> rows, hot = class_rows(np.array([[[0.2, 0.8], [0.5, 0.5]]]), np.array([1]))
        >>> rows.tolist(), hot.tolist()
        ([[0.2, 0.5], [0.8, 0.5]], [0.0, 1.0])
    """
    hot = np.eye(probabilities.shape[2])[target]
    return np.moveaxis(probabilities, 1, 2).reshape(-1, probabilities.shape[1]), hot.ravel()
