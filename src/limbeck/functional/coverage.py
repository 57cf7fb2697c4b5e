"""What generated samples cover: the manifold of real ones, their modes, each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import entropy
from limbeck.functional.point_sets import CHUNK, chunks, distances, rows, two_sets


def manifold_scores(
    real: Tensor, generated: Tensor, *, neighbours: int = 5, chunk: int = CHUNK
) -> dict[str, float]:
    """How much of each set lies where the other is: balls that reach a row's k-th neighbour.

    - precision: the share of generated rows inside a ball of the real rows
    - recall: the share of real rows inside a ball of the generated rows
    - density: in how many balls of real rows a generated row lies, over k; may exceed 1
    - coverage: the share of real rows with a generated row inside their own ball

    Args:
        real: rows ``(N, D)``.
        generated: rows ``(M, D)``.
        neighbours: k, at least 1; a row is no neighbour of itself.
        chunk: rows whose distances are held at a time.

    Returns:
        The four, by name.

    Raises:
        ArgumentError: a set has fewer than k + 1 rows, widths differ, a value is not finite, or k
            is below 1.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> manifold_scores(real, real[:2] + 0.5, neighbours=1)
        {'precision': 1.0, 'recall': 0.75, 'density': 2.0, 'coverage': 0.75}

    Source: Kynkäänniemi et al., arXiv 1904.06991; Naeem et al., arXiv 2002.09797 (density and
    coverage).
    """
    if neighbours < 1:
        raise ArgumentError(f"neighbours is {neighbours}, expected at least 1")
    real, generated = two_sets(real, generated, ("real", "generated"), least=neighbours + 1)
    reach, own_reach = (_reach(one, neighbours, chunk) for one in (real, generated))
    balls = torch.zeros(len(generated), dtype=torch.int64, device=real.device)
    recalled, covered = 0, 0
    for start, part in chunks(real, chunk):
        apart = distances(part, generated)
        radius = reach[start : start + chunk, None]
        balls += (apart < radius).sum(0)
        recalled += int((apart < own_reach).any(1).sum())
        covered += int((apart < radius).any(1).sum())
    return {
        "precision": (balls > 0).double().mean().item(),
        "recall": recalled / len(real),
        "density": balls.double().mean().item() / neighbours,
        "coverage": covered / len(real),
    }


def mean_pairwise_distance(x: Tensor, *, chunk: int = CHUNK) -> float:
    """Mean distance of two different rows: how much samples of one condition differ.

    Args:
        x: rows ``(N, D)``, at least two.
        chunk: rows whose distances are held at a time.

    Returns:
        The distance. Samples off the data raise it too, so read it beside precision.

    Raises:
        ArgumentError: there are fewer than two rows, or a value is not finite.

    Example:
        >>> mean_pairwise_distance(torch.tensor([[0.0], [1.0], [3.0]]))
        2.0
    """
    x = rows(x, "x", least=2)
    total = 0.0
    for start, part in chunks(x, chunk):
        apart = distances(part, x)
        apart.diagonal(start).zero_()
        total += apart.sum().item()
    return total / (len(x) * (len(x) - 1))


def nearest_distance(x: Tensor, reference: Tensor, *, chunk: int = CHUNK) -> float:
    """Mean distance of a row to the nearest of other rows: near 0 where these are learned by heart.

    Args:
        x: rows ``(N, D)``.
        reference: rows ``(M, D)``, such as the training data.
        chunk: rows whose distances are held at a time.

    Returns:
        The distance.

    Raises:
        ArgumentError: a set is empty, widths differ, or a value is not finite.

    Example:
        >>> nearest_distance(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [9.0]]))
        2.0
    """
    x, reference = two_sets(x, reference, ("x", "reference"), least=1)
    total = sum(distances(part, reference).amin(1).sum().item() for _, part in chunks(x, chunk))
    return total / len(x)


def mode_scores(
    x: Tensor, modes: Tensor, deviation: float, *, share: float = 0.02, reach: float = 4.0
) -> dict[str, float]:
    """Which modes of a known mixture samples are on.

    A row is on its nearest mode if it is at most `reach` standard deviations away.

    - modes: how many modes hold more than `share` of all rows
    - on_mode: the share of rows that are on a mode
    - entropy: of the shares of the modes among those rows, over log M; 1 where all modes are
      equally frequent, 0 where there is one only. A mixture of one mode has 1.

    Args:
        x: rows ``(N, D)``.
        modes: means of the mixture ``(M, D)``.
        deviation: the standard deviation that all modes have, above 0.
        share: from 0 to 1.
        reach: above 0.

    Returns:
        The three, by name.

    Raises:
        ArgumentError: a set is empty, widths differ, a value is not finite, or an option is
            outside its range.

    Example:
        >>> modes = torch.tensor([[0.0, 0.0], [5.0, 0.0]])
        >>> mode_scores(torch.tensor([[0.1, 0.0], [9.0, 9.0]]), modes, deviation=0.1)
        {'modes': 1.0, 'on_mode': 0.5, 'entropy': 0.0}
    """
    if not 0 < deviation < math.inf or not 0 < reach < math.inf or not 0 <= share < 1:
        raise ArgumentError(
            f"deviation is {deviation}, reach {reach} and share {share}, expected deviation and "
            "reach above 0 and share from 0 to 1"
        )
    x, modes = two_sets(x, modes, ("x", "modes"), least=1)
    apart, nearest = distances(x, modes).min(1)
    on = nearest[apart <= reach * deviation]
    held = torch.bincount(on, minlength=len(modes)).double()
    spread = 0.0
    if len(on) > 0:
        spread = 1.0
        if len(modes) > 1:
            found = entropy(held[None] / len(on), kind="probabilities").item()
            spread = abs(found) / math.log(len(modes))
    return {
        "modes": float((held > share * len(x)).sum()),
        "on_mode": len(on) / len(x),
        "entropy": spread,
    }


def _reach(x: Tensor, neighbours: int, chunk: int) -> Tensor:
    """Distance of each row to its k-th neighbour in the same set."""
    found = []
    for start, part in chunks(x, chunk):
        apart = distances(part, x)
        apart.diagonal(start).fill_(math.inf)
        found.append(apart.kthvalue(neighbours, dim=1).values)
    return torch.cat(found)
