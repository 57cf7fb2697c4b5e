"""Estimators of scikit-learn by name, with options, for a task."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from limbeck.errors import ArgumentError, ModelError, UnknownNameError, nearest
from limbeck.naming import split_name
from limbeck.networks.making import few

PREFIX = "sklearn"
KINDS = {"classification": "classifier", "regression": "regressor"}
# What random_state takes.
SEEDS = 2**32


def named_estimator(name: str, task: str, *, seed: int = 0) -> Any:
    """Make the estimator that a name stands for, not fitted.

    Args:
        name: such as ``sklearn:random-forest?n_estimators=50``: a class of scikit-learn as it
            stands or in words with hyphens, with or without ``classifier`` or ``regressor``, and
            arguments of its constructor. ``scale=true`` standardises the inputs before it.
        task: ``"classification"`` or ``"regression"``; decides between classes of one name.
        seed: of all its draws, where it makes any and ``random_state`` is not given.

    Returns:
        The estimator.

    Raises:
        UnknownNameError: there is no such class (the nearest are suggested).
        ModelError: the class is for another task, or tells no probabilities.
        ArgumentError: an option is unknown or has a value of the wrong kind.

    Example:
        >>> named_estimator("sklearn:ridge?alpha=0.1", "regression")
        Ridge(alpha=0.1, random_state=0)
        >>> named_estimator("sklearn:ridge?scale=true", "regression")[0]
        StandardScaler()
    """
    _, rest, options = split_name(name)
    scale = options.pop("scale", False)
    if not isinstance(scale, bool):
        raise ArgumentError(f"{name}: scale is {scale!r}, expected true or false")
    kind = _class_of(name, rest, task)
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if option not in known:
            raise ArgumentError(f"{name} has no option {option!r}; {nearest(option, known)}")
    if "random_state" in known:
        options.setdefault("random_state", seed % SEEDS)
    try:
        made = kind(**options)
    except TypeError as error:
        raise ArgumentError(
            f"{name} cannot be made from a name alone: {error}; make it in Python, fit it and give "
            "the object"
        ) from None
    _check(name, made, task)
    if not scale:
        return made
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), made)


def _class_of(name: str, rest: str, task: str) -> Any:
    if task not in KINDS:
        raise ModelError(
            f"{name} cannot learn {task}: estimators teach {' and '.join(KINDS)}; give networks"
        )
    found = {known: _classes(kind).get(_key(rest)) for known, kind in KINDS.items()}
    if found[task] is not None:
        return found[task]
    other = next((one for one in found.values() if one is not None), None)
    if other is not None:
        raise ModelError(
            f"{name} is {other.__name__}, which is not for {task}; {_others(rest, task)}"
        )
    raise UnknownNameError(f"scikit-learn has no {KINDS[task]} {rest!r}; {_others(rest, task)}")


def _others(rest: str, task: str) -> str:
    return few(rest, [_words(one.__name__) for one in set(_classes(KINDS[task]).values())])


@cache
def _classes(kind: str) -> dict[str, Any]:
    """Classes by their whole name and by what is left without their kind, letters alone."""
    from sklearn.utils import all_estimators

    whole = {_key(title): one for title, one in all_estimators(type_filter=kind)}
    # Ridge is the regressor of that name, and RidgeClassifier the classifier.
    return {title.removesuffix(kind): one for title, one in whole.items()} | whole


def _key(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _words(title: str) -> str:
    """The name of a class as names are written, without its kind."""
    title = re.sub("(Classifier|Regressor)$", "", title) or title
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", title).lower()


def _check(name: str, made: Any, task: str) -> None:
    """Find a wrong value of an option, or a classifier without probabilities, before the fit."""
    validate = getattr(made, "_validate_params", None)
    if validate is not None:
        try:
            validate()
        except ValueError as error:
            raise ArgumentError(f"{name}: {error}") from None
    if task == "classification" and not hasattr(made, "predict_proba"):
        raise ModelError(
            f"{name} has no predict_proba, and labels alone teach nothing about other classes; "
            "take one that has, such as sklearn:logistic-regression, or fit it inside a "
            "CalibratedClassifierCV and give the object"
        )
