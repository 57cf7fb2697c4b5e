"""Selections by name, for settings that say how samples are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from limbeck.errors import ArgumentError, nearest
from limbeck.selection import coresets
from limbeck.selection.coresets import Indices

Selection = Literal["random", "herding", "k-center", "k-means", "forgetting"]
SELECTIONS: tuple[str, ...] = get_args(Selection)
MADE_BY = {
    "features": "features=embeddings(network, data, data.train)",
    "counts": "counts=forgetting_counts(right_over_epochs(networks, data))",
}
_BY_FEATURES: dict[str, Callable[[Any, Any, int], Indices]] = {
    "herding": coresets.herding,
    "k-center": coresets.k_center,
    "k-means": coresets.k_means,
}


def needs(name: str) -> str:
    """What a selection reads beside the labels: ``"features"``, ``"counts"`` or nothing, ``""``.

    `embeddings` gives features; `right_over_epochs` says of the networks of successive epochs what
    `forgetting_counts` makes counts of.

    Args:
        name: one of `SELECTIONS`.

    Raises:
        ArgumentError: there is no selection of that name; the nearest is suggested.

    Example:
        >>> needs("k-means"), needs("random")
        ('features', '')
    """
    if name not in SELECTIONS:
        raise ArgumentError(f"there is no selection {name!r}; {nearest(name, SELECTIONS)}")
    if name in _BY_FEATURES:
        return "features"
    return "counts" if name == "forgetting" else ""


def selected(
    name: str,
    labels: Any,
    per_class: int,
    *,
    features: Any = None,
    counts: Any = None,
    seed_key: int = 0,
) -> Indices:
    """Choose samples of every class in the way that a name stands for.

    Args:
        name: ``"random"``, ``"herding"``, ``"k-center"``, ``"k-means"`` or ``"forgetting"``.
        labels: class indices ``(N,)``.
        per_class: M, how many of each class.
        features: ``(N, D)``, see `embeddings`; read by the three middle ones.
        counts: ``(N,)``, see `forgetting_counts` and `right_over_epochs`; read by the last.
        seed_key: of ``"random"``.

    Returns:
        Positions ``(K M,)`` in class-major order for K classes.

    Raises:
        ArgumentError: there is no selection of that name (the nearest is suggested), what it
            reads is missing, or as the functions of `limbeck.selection`.

    Example:
        >>> selected("k-center", [0, 1, 0, 1], 1, features=[[0.0], [1.0], [2.0], [3.0]]).tolist()
        [0, 1]
    """
    given = {"features": features, "counts": counts, "": labels}
    read = needs(name)
    if given[read] is None:
        raise ArgumentError(f"selection {name!r} reads {read} and got none; pass {MADE_BY[read]}")
    if read == "":
        return coresets.random_selection(labels, per_class, seed_key)
    if read == "counts":
        return coresets.forgetting(counts, labels, per_class)
    return _BY_FEATURES[name](features, labels, per_class)
