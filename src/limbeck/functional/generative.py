"""How far generated samples are from real ones: distances between two sets of points.

All are computed in float64 without a gradient, on rows: points, or features of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.point_sets import CHUNK, chunks, distances, two_sets

# Of a set with itself: the smaller, the fewer kernels are computed in both orders.
OWN_CHUNK = 256
BANDWIDTHS = (0.05, 0.1, 0.2, 0.5, 1.0)


def frechet_distance(x: Tensor, y: Tensor) -> float:
    r"""Fréchet distance of the normal distributions that fit two sets.

    .. math:: \|\mu_x - \mu_y\|^2 + \mathrm{tr}\, C_x + \mathrm{tr}\, C_y
        - 2\, \mathrm{tr} (C_x C_y)^{1/2}

    Args:
        x: rows ``(N, D)``.
        y: rows ``(M, D)``.

    Returns:
        The distance, at least 0. It falls with the number of rows: compare equal numbers, and
        with what two real sets have.

    Raises:
        ArgumentError: a set has fewer than two rows, widths differ, or a value is not finite.

    Example:
        >>> x = torch.tensor([[0.0], [2.0]])
        >>> round(frechet_distance(x, x + 3), 6)
        9.0

    Source: Heusel et al., arXiv 1706.08500.
    """
    x, y = two_sets(x, y)
    roots, spread = [], 0.0
    for one in (x, y):
        centred = one - one.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / (len(one) - 1))
        values = values.clamp(min=0)
        spread += values.sum().item()
        roots.append(vectors * values.sqrt() @ vectors.T)
    # The trace of the root of the product, without a root of what rounding makes negative.
    shared = torch.linalg.svdvals(roots[0] @ roots[1]).sum().item()
    apart = (x.mean(0) - y.mean(0)).square().sum().item()
    return max(apart + spread - 2 * shared, 0.0)


def kernel_distance(
    x: Tensor,
    y: Tensor,
    *,
    degree: int = 3,
    gamma: float | None = None,
    coefficient: float = 1.0,
    chunk: int = CHUNK,
) -> float:
    r"""Squared discrepancy of two sets in a polynomial kernel, without bias (KID).

    The mean kernel of pairs of different rows within x and within y, minus twice that between
    them, with :math:`k(a, b) = (\gamma\, a^\top b + c)^p`.

    Args:
        x: rows ``(N, D)``.
        y: rows ``(M, D)``.
        degree: p.
        gamma: None takes 1/D.
        coefficient: c.
        chunk: rows whose kernels are held at a time.

    Returns:
        The discrepancy; about 0, of either sign, for two sets of one distribution.

    Raises:
        ArgumentError: as `frechet_distance`.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> kernel_distance(x, x + 1, degree=1)
        0.333...

    Source: Bińkowski et al., arXiv 1801.01401.
    """
    x, y = two_sets(x, y)
    factor = 1 / x.shape[1] if gamma is None else gamma

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (factor * (a @ b.T) + coefficient).pow(degree)

    return _discrepancy(x, y, kernel, chunk)


def gaussian_mmd(
    x: Tensor, y: Tensor, bandwidths: Sequence[float] = BANDWIDTHS, *, chunk: int = CHUNK
) -> float:
    r"""Squared discrepancy of two sets in a sum of Gaussian kernels, without bias.

    As `kernel_distance` with :math:`k(a, b) = \sum_h \exp(-\|a - b\|^2 / (2 h^2))`.

    Args:
        x: rows ``(N, D)``.
        y: rows ``(M, D)``.
        bandwidths: h, each above 0, in the unit of the data.
        chunk: rows whose kernels are held at a time.

    Returns:
        The discrepancy; about 0, of either sign, for two sets of one distribution.

    Raises:
        ArgumentError: as `frechet_distance`, or a bandwidth is not above 0.

    Example:
        >>> x = torch.tensor([[0.0], [1.0]])
        >>> round(gaussian_mmd(x, x + 100, [1.0]), 4)  # twice the kernel at a distance of 1
        1.2131

    Source: Gretton et al., JMLR 13, 2012, lemma 6.
    """
    if not bandwidths or not all(0 < one < math.inf for one in bandwidths):
        raise ArgumentError(f"bandwidths are {bandwidths}, expected finite numbers above 0")
    x, y = two_sets(x, y)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        square = distances(a, b).square()
        total = torch.zeros_like(square)
        for one in bandwidths:
            total += (square / (-2 * one**2)).exp_()
        return total

    return _discrepancy(x, y, kernel, chunk)


def sliced_wasserstein(x: Tensor, y: Tensor, projections: Tensor, *, power: float = 2) -> float:
    r"""Wasserstein distance of two sets along directions, averaged over these.

    .. math:: \Big( \frac1P \sum_d \frac1N \sum_i
        | \mathrm{sort}(x^\top d)_i - \mathrm{sort}(y^\top d)_i |^p \Big)^{1/p}

    Args:
        x: rows ``(N, D)``.
        y: as many rows ``(N, D)``.
        projections: directions of length 1, ``(D, P)``, such as `unit_projections`.
        power: p, at least 1.

    Returns:
        The distance, in the unit of the data. Two real sets are not at 0: report theirs beside it.

    Raises:
        ArgumentError: as `frechet_distance`, the numbers of rows differ, directions do not fit,
            or `power` is below 1.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 5.0]])
        >>> sliced_wasserstein(x, x + torch.tensor([3.0, 0.0]), torch.eye(2)[:, :1])
        3.0

    Source: Bonneel et al., Journal of Mathematical Imaging and Vision 51, 2015.
    """
    x, y = two_sets(x, y)
    if len(x) != len(y):
        raise ArgumentError(
            f"x has {len(x)} rows and y {len(y)}, expected as many; draw or cut one set to "
            f"{min(len(x), len(y))}"
        )
    if projections.ndim != 2 or projections.shape[0] != x.shape[1] or projections.shape[1] == 0:
        raise ArgumentError(
            f"projections has shape {tuple(projections.shape)}, expected ({x.shape[1]}, P): a "
            "column for each direction"
        )
    if not power >= 1:
        raise ArgumentError(f"power is {power}, expected at least 1")
    ways = projections.to(x)
    gap = (x @ ways).sort(0).values - (y @ ways).sort(0).values
    return float(gap.abs().pow(power).mean().item() ** (1 / power))


def unit_projections(dimensions: int, count: int, key: int) -> Tensor:
    """Directions at random, the same for one key on every machine.

    Args:
        dimensions: D, at least 1.
        count: P, at least 1.
        key: of `limbeck.keyed.key`.

    Returns:
        Columns of length 1, ``(D, P)`` in float64.

    Raises:
        ArgumentError: there is no dimension or no direction.

    Example:
        >>> unit_projections(2, 5, key=0).norm(dim=0).round(decimals=6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]

    Source: normalised normal vectors (Muller, Communications of the ACM 2, 1959).
    """
    if dimensions < 1 or count < 1:
        raise ArgumentError(
            f"dimensions is {dimensions} and count is {count}, expected at least 1 of each"
        )
    drawn = np.random.Generator(np.random.Philox(key=key)).standard_normal((count, dimensions))
    return torch.nn.functional.normalize(torch.from_numpy(drawn), dim=1).T


def _discrepancy(
    x: Tensor, y: Tensor, kernel: Callable[[Tensor, Tensor], Tensor], chunk: int
) -> float:
    """Squared maximum mean discrepancy without bias: no row is paired with itself."""
    own = [_own_sum(one, kernel, chunk) / (len(one) * (len(one) - 1)) for one in (x, y)]
    between = sum(kernel(part, y).sum().item() for _, part in chunks(x, chunk))
    return sum(own) - 2 * between / (len(x) * len(y))


def _own_sum(x: Tensor, kernel: Callable[[Tensor, Tensor], Tensor], chunk: int) -> float:
    """Kernels of all pairs of different rows; those in one order stand for both."""
    total = 0.0
    for start, part in chunks(x, min(chunk, OWN_CHUNK)):
        block = kernel(part, x[start:])
        block.diagonal().zero_()
        total += block[:, : len(part)].sum().item() + 2 * block[:, len(part) :].sum().item()
    return total
