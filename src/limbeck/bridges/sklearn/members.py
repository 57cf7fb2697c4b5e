"""Members of an ensemble: named, fitted fold by fold, asked for what they say of a row."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from limbeck.bridges.sklearn.folds import Folds
from limbeck.errors import ArgumentError, NotFiniteError, UnusualUseWarning

Member = tuple[str, Any]


def named_members(members: Any) -> list[Member]:
    """Members as pairs of name and estimator; those without a name are called by their class.

    Args:
        members: estimators, or pairs of name and estimator.

    Returns:
        The pairs, names all different.

    Raises:
        ArgumentError: there is no member, two have one name, or one cannot predict.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> [name for name, _ in named_members([Ridge(), Ridge(alpha=2)])]
        ['ridge-0', 'ridge-1']
    """
    given = list(members)
    if not given:
        raise ArgumentError("members is empty, expected at least one estimator")
    pairs = []
    for place, one in enumerate(given):
        pair = isinstance(one, tuple | list) and len(one) == 2 and isinstance(one[0], str)
        name, estimator = one if pair else (f"{type(one).__name__.lower()}-{place}", one)
        if not hasattr(estimator, "predict") and not hasattr(estimator, "predict_proba"):
            raise ArgumentError(
                f"members[{place}] is a {type(estimator).__name__} without predict, expected an "
                "estimator or a pair of a name and an estimator"
            )
        pairs.append((name, estimator))
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"members has the name {twice[0]!r} more than once, rename one")
    return pairs


def oof_predictions(
    members: list[Member],
    X: Any,
    y: np.ndarray,
    folds: Folds,
    *,
    weights: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> tuple[np.ndarray, list[list[Any]]]:
    """What members say of rows that they did not see.

    Args:
        members: K names and estimators, which are cloned.
        X: rows, in any form that the members read.
        y: target ``(N,)``.
        folds: what is held out together.
        weights: of the rows ``(N,)``, given to members that take ``sample_weight``.
        classes: C labels, for probabilities; None for ``predict``.

    Returns:
        ``(N, K)`` or ``(N, K, C)``, NaN for rows that are never held out; and for each member
        the estimators that were fitted, one a fold.

    Example:
        >>> from sklearn.linear_model import LinearRegression
        >>> from limbeck.bridges.sklearn.folds import make_folds
        >>> X, y = np.arange(6.0)[:, None], np.arange(6.0)
        >>> table, _ = oof_predictions([("line", LinearRegression())], X, y, make_folds(3, X, y))
        >>> table[:, 0].round(6).tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    shape = (len(y), len(members), *(() if classes is None else (len(classes),)))
    table = np.full(shape, np.nan)
    fitted: list[list[Any]] = [[] for _ in members]
    for train, test in folds.splits:
        seen, held = _safe_indexing(X, train), _safe_indexing(X, test)
        shares = None if weights is None else weights[train]
        for place, member in enumerate(members):
            one = fit_member(member, seen, y[train], shares)
            table[test, place] = says(member[0], one, held, classes)
            fitted[place].append(one)
    return table, fitted


def fit_member(member: Member, X: Any, y: np.ndarray, weights: np.ndarray | None) -> Any:
    """A fitted clone of a member, with weights if it takes them."""
    one = clone(member[1])
    if weights is not None and has_fit_parameter(one, "sample_weight"):
        return one.fit(X, y, sample_weight=weights)
    return one.fit(X, y)


def warn_unweighted(members: list[Member]) -> None:
    """Say which members cannot use the weights of rows."""
    deaf = [name for name, one in members if not has_fit_parameter(one, "sample_weight")]
    if deaf:
        warnings.warn(
            f"members {', '.join(deaf)} take no sample_weight: they are fitted without it, the "
            "weights count in what is stacked on them",
            UnusualUseWarning,
            stacklevel=4,
        )


def warn_unmet(names: list[str], fitted: list[list[Any]], classes: np.ndarray) -> None:
    """Say which members have not met a class, and so give it probability 0.

    Args:
        names: of K members.
        fitted: the estimators of each, one a fold.
        classes: C labels.
    """
    said = []
    for name, fits in zip(names, fitted, strict=True):
        lacking = [np.setdiff1d(classes, getattr(one, "classes_", classes)) for one in fits]
        if unmet := np.unique(np.concatenate(lacking)).tolist():
            count = sum(len(one) > 0 for one in lacking)
            said.append(f"{name} class {_listed(unmet)} in {count} of {len(fits)} fits")
    if said:
        warnings.warn(
            f"members did not meet every class ({'; '.join(said)}) and give it probability 0, "
            "which the stack reads as a millionth; fit them on rows of every class, with fewer "
            "folds or folds that keep the shares of classes, or leave them out",
            UnusualUseWarning,
            stacklevel=4,
        )


def says(name: str, estimator: Any, X: Any, classes: np.ndarray | None) -> np.ndarray:
    """What a fitted member says of rows: numbers ``(N,)``, or probabilities ``(N, C)``.

    A class that a member has not met has probability 0; `warn_unmet` says so once.

    Raises:
        ArgumentError: the member has no ``predict_proba``, knows classes that the target has not,
            or gives a table of another shape.
        NotFiniteError: it predicts NaN or infinity.
    """
    if classes is None:
        found = np.asarray(estimator.predict(X), dtype=np.float64)
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise ArgumentError(
                f"member {name} predicts a table {found.shape}, expected one number a row"
            )
    else:
        found = _probabilities(name, estimator, X, classes)
    check_predictions(name, found)
    return found


def check_predictions(name: str, found: np.ndarray) -> None:
    """Raise `NotFiniteError` where a member predicts NaN or infinity, ``(N,)`` or ``(N, C)``."""
    bad = ~np.isfinite(found).reshape(len(found), -1).all(1)
    if bad.any():
        raise NotFiniteError(
            f"member {name} predicts NaN or infinity for {bad.sum()} of {len(found)} rows; scale "
            "its inputs, or leave it out of members"
        )


def _probabilities(name: str, estimator: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    if not hasattr(estimator, "predict_proba"):
        raise ArgumentError(
            f"member {name} ({type(estimator).__name__}) has no predict_proba; wrap it in "
            "CalibratedClassifierCV, or leave it out of members"
        )
    own = np.asarray(getattr(estimator, "classes_", classes))
    found = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    foreign = np.setdiff1d(own, classes)
    if len(foreign) and not len(np.setdiff1d(classes, own)):
        raise ArgumentError(
            f"y of the rows to stack on has no row of class {_listed(foreign)}, which member "
            f"{name} knows; give rows of every class"
        )
    if len(foreign) or found.shape[1:] != own.shape:
        raise ArgumentError(
            f"member {name} knows the classes {own.tolist()} and predicts a table {found.shape}, "
            f"the target has the classes {classes.tolist()}; fit it on the same classes"
        )
    table = np.zeros((len(found), len(classes)))
    table[:, np.searchsorted(classes, own)] = found
    return table


def _listed(classes: Any) -> str:
    return ", ".join(str(one) for one in classes)
