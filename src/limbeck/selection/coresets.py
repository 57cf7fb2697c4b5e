"""Coresets: a fixed number of samples of every class, chosen by chance, by features or by history.

Each function returns positions in class-major order: those of class 0 first, then those of class
1, and so on; within a class in the order in which they were chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck import keyed
from limbeck.errors import ArgumentError

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
CLUSTER_SEED, CLUSTER_STARTS = 0, 4


def random_selection(labels: Any, per_class: int, seed_key: int) -> Indices:
    """Choose samples of every class by chance, without replacement.

    Args:
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.
        seed_key: from `limbeck.keyed.key`; the same key chooses the same samples.

    Returns:
        Positions ``(K M,)`` for K classes.

    Raises:
        ArgumentError: a class has fewer samples.

    Example:
        >>> chosen = random_selection([0, 1, 0, 1, 0], 2, keyed.key(0))
        >>> len(chosen), sorted(chosen[2:].tolist())
        (4, [1, 3])
    """
    groups = _groups(labels, per_class)
    orders = (
        keyed.permutation(keyed.key(seed_key, number), len(group))
        for number, group in enumerate(groups)
    )
    return _joined([group[order[:per_class]] for group, order in zip(groups, orders, strict=True)])


def herding(features: Any, labels: Any, per_class: int) -> Indices:
    r"""Choose samples whose mean stays near the mean of their class.

    With features :math:`\phi` and class mean :math:`\mu`, the sample chosen after t others is
    :math:`\arg\min_x \lVert \mu - (\sum_{i \le t} \phi(x_i) + \phi(x)) / (t + 1) \rVert`.

    Args:
        features: ``(N, D)``.
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.

    Returns:
        Positions ``(K M,)`` for K classes.

    Raises:
        ArgumentError: shapes do not fit, features are NaN or infinite, or a class has fewer
            samples.

    Example:
        >>> herding([[0.0], [4.0], [1.0], [7.0]], [0, 0, 0, 0], 2).tolist()
        [1, 2]

    Source: Welling, ICML 2009; per class as in Rebuffi et al., arXiv 1611.07725, algorithm 4.
    """
    return _per_class(_herded, features, labels, per_class)


def k_center(features: Any, labels: Any, per_class: int) -> Indices:
    """Choose samples so that no sample of a class is far from a chosen one.

    The first is the sample nearest the class mean; each next is the sample that is farthest, in
    Euclidean distance, from those chosen before.

    Args:
        features: ``(N, D)``.
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.

    Returns:
        Positions ``(K M,)`` for K classes.

    Raises:
        ArgumentError: as `herding`.

    Example:
        >>> k_center([[0.0], [4.0], [3.5], [9.0]], [0, 0, 0, 0], 3).tolist()
        [1, 3, 0]

    Source: Gonzalez, Theoretical Computer Science 38, 1985; Sener and Savarese, arXiv 1708.00489.
    """
    return _per_class(_spread, features, labels, per_class)


def k_means(features: Any, labels: Any, per_class: int) -> Indices:
    """Choose, for every class, the samples nearest the centres of its clusters.

    Each class has as many clusters as samples are wanted. No sample is chosen twice: a centre
    whose nearest sample is taken gets the next nearest.

    Args:
        features: ``(N, D)``.
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.

    Returns:
        Positions ``(K M,)`` for K classes, the largest cluster of a class first.

    Raises:
        ArgumentError: as `herding`.

    Example:
        >>> k_means([[0.0], [0.1], [0.2], [5.0]], [0, 0, 0, 0], 2).tolist()
        [1, 3]

    Source: the selection that Cui et al., arXiv 2207.09639 (DC-BENCH), call kmeans-emb.
    """
    return _per_class(_clustered, features, labels, per_class)


def forgetting(counts: Any, labels: Any, per_class: int) -> Indices:
    """Choose the samples of every class that were forgotten most often while a network learned.

    Args:
        counts: how often each sample was forgotten ``(N,)``, see `forgetting_counts`.
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.

    Returns:
        Positions ``(K M,)`` for K classes, the most forgotten first; of equals the earlier.

    Raises:
        ArgumentError: shapes differ, or a class has fewer samples.

    Example:
        >>> forgetting([0, 3, 1, 2], [0, 0, 1, 1], 1).tolist()
        [1, 3]

    Source: Toneva et al., arXiv 1812.05159.
    """
    groups = _groups(labels, per_class)
    found = np.asarray(counts)
    _check_length(found, "counts", "(N,)", 1, groups)
    return _joined(
        [group[np.argsort(-found[group], kind="stable")[:per_class]] for group in groups]
    )


def forgetting_counts(right: Any) -> Indices:
    """Count how often each sample was right in one epoch and wrong in the next.

    Args:
        right: whether each sample was classified rightly in each epoch, ``(E, N)`` of bool, see
            `limbeck.selection.right_over_epochs`.

    Returns:
        Counts ``(N,)``. A sample that was never right counts as E, more than any other can have:
        the paper takes it for the least known of all.

    Raises:
        ArgumentError: it is no table of truth values.

    Example:
        >>> forgetting_counts([[True, True, False], [False, True, False], [True, True, False]])
        array([1, 0, 3])

    Source: Toneva et al., arXiv 1812.05159.
    """
    table = np.asarray(right)
    if table.ndim != 2 or table.dtype != np.bool_:
        raise ArgumentError(
            f"right has shape {table.shape} and dtype {table.dtype}, expected (E, N) of bool"
        )
    counts = (table[:-1] & ~table[1:]).sum(0, dtype=np.int64)
    return np.where(table.any(0), counts, len(table))


def _per_class(
    choose: Callable[[Floats, int], Indices], features: Any, labels: Any, per_class: int
) -> Indices:
    """Choose within every class; what is chosen depends on the class's own samples alone."""
    groups = _groups(labels, per_class)
    table = np.asarray(features, dtype=np.float64)
    _check_length(table, "features", "(N, D)", 2, groups)
    bad = ~np.isfinite(table).all(1)
    if bad.any():
        raise ArgumentError(
            f"features of {int(bad.sum())} samples are NaN or infinite, the first at position "
            f"{int(bad.argmax())}; look at its input, or at the network that gave them"
        )
    return _joined([group[choose(table[group], per_class)] for group in groups])


def _herded(phi: Floats, count: int) -> Indices:
    mean, squares = phi.mean(0), (phi**2).sum(1)
    total = np.zeros_like(mean)
    chosen: list[int] = []
    for taken in range(count):
        # The distance squared and times (t + 1)^2, less what all samples share.
        scores = squares - 2 * phi @ ((taken + 1) * mean - total)
        scores[chosen] = np.inf
        chosen.append(int(scores.argmin()))
        total += phi[chosen[-1]]
    return np.array(chosen, dtype=np.int64)


def _spread(phi: Floats, count: int) -> Indices:
    squares = (phi**2).sum(1)

    def distances(point: Floats) -> Floats:
        return squares - 2 * phi @ point + point @ point

    chosen = [int(distances(phi.mean(0)).argmin())]
    nearest = distances(phi[chosen[0]])
    for _ in range(count - 1):
        nearest[chosen] = -np.inf
        chosen.append(int(nearest.argmax()))
        np.minimum(nearest, distances(phi[chosen[-1]]), out=nearest)
    return np.array(chosen, dtype=np.int64)


def _clustered(phi: Floats, count: int) -> Indices:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer points than clusters: copies of a sample are told apart by their position.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=CLUSTER_STARTS, random_state=CLUSTER_SEED).fit(phi)
    sizes = np.bincount(found.labels_, minlength=count)
    distances = found.transform(phi).T
    chosen: list[int] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        row = distances[cluster]
        row[chosen] = np.inf
        chosen.append(int(row.argmin()))
    return np.array(chosen, dtype=np.int64)


def _groups(labels: Any, per_class: int) -> list[Indices]:
    """Positions of each class in order, or an error that names the class with too few."""
    found = np.asarray(labels)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found) or found.min() < 0:
        raise ArgumentError(
            f"labels has shape {found.shape} and dtype {found.dtype}, expected class indices (N,) "
            "from 0 on"
        )
    if per_class < 1:
        raise ArgumentError(f"per_class is {per_class}, expected at least 1")
    counts = np.bincount(found)
    poorest = int(counts.argmin())
    if counts[poorest] < per_class:
        raise ArgumentError(
            f"class {poorest} has {counts[poorest]} samples and per_class is {per_class}; lower "
            "per_class, or give the class more samples"
        )
    order = np.argsort(found, kind="stable").astype(np.int64)
    return np.split(order, np.cumsum(counts)[:-1])


def _check_length(
    table: npt.NDArray[Any], name: str, letters: str, axes: int, groups: list[Indices]
) -> None:
    samples = sum(map(len, groups))
    if table.ndim != axes or len(table) != samples:
        raise ArgumentError(
            f"{name} has shape {table.shape} and there are {samples} labels, expected {letters} "
            "with a row for every label"
        )


def _joined(chosen: list[Indices]) -> Indices:
    return np.concatenate(chosen).astype(np.int64)
