"""Teach: teachers given by name become trained, frozen teachers in memoised stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from limbeck import keyed
from limbeck.cache import cached
from limbeck.data.data import Data
from limbeck.data.views import Views
from limbeck.errors import ArgumentError, ModelError
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.functional.soft_labels import Rest
from limbeck.labels.kept import Kind
from limbeck.loops.fit import check_source
from limbeck.loops.makers import EstimatorMaker, maker_of
from limbeck.loops.optim import Optim
from limbeck.run.run import Run
from limbeck.settings import settings
from limbeck.teachers import (
    EnsembleTeacher,
    Teacher,
    ensemble,
    for_data,
    is_estimator,
    teacher,
)


@settings
class Teaching:
    """How teachers given by name are trained on the data.

    An architecture is trained, and so are weights for another number of classes, with a new last
    layer; weights that know the classes are taken as they are.

    Args:
        steps: optimiser steps; 0 trains no teacher.
        batch_size: samples a step.
        optim: how they learn.
        views: random changes of images.
        store: what is kept on disk of the teachers' outputs on training samples, so that each is
            computed once: ``"nothing"``, ``"logits"``, or ``"top32"``, the 32 most likely classes
            (any number) with the remaining mass.
        store_dtype: of the kept numbers.
        store_rest: with ``"top32"``, what becomes of the other classes: the remaining mass evenly,
            or nothing.
    """

    steps: Annotated[int, Field(ge=0)] = 2000
    batch_size: Annotated[int, Field(ge=1)] = 128
    optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    views: Views = Views()
    store: Annotated[str, Field(pattern=r"^(nothing|logits|top[1-9][0-9]*)$")] = "nothing"
    store_dtype: Kind = "float16"
    store_rest: Rest = "uniform"

    def taught(
        self,
        run: Run,
        given: Any,
        data: Data,
        *,
        check: Callable[[nn.Module], object] | None = None,
    ) -> EnsembleTeacher:
        """`taught` with these settings."""
        return taught(run, given, data, self, check=check)


def taught(
    run: Run,
    given: Any,
    data: Data,
    teaching: Teaching,
    *,
    check: Callable[[nn.Module], object] | None = None,
) -> EnsembleTeacher:
    """Turn what the user gave into one teacher whose members are frozen and know the classes.

    Its outputs are kept in the run's cache, where the settings say so.

    Args:
        run: trained teachers are kept in its stages.
        given: a name, a module, a student, a fitted estimator, a teacher, or several of them in a
            list.
        data: what named teachers learn from: ``data.rest`` where there is one, else the training
            split.
        teaching: how.
        check: raises where a network is of no use to the method; asked before any is trained.

    Returns:
        An ensemble, of one where one was given.

    Raises:
        ArgumentError: nothing was given, or something that is no teacher.
        ModelError: a teacher cannot take the data or gives other classes (it is named).
    """
    given = as_teachers(given, data)
    if isinstance(given, EnsembleTeacher):
        given = given.for_data(data)
        check_source(given, data, given.name)
        return _kept(run, given, teaching)
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    several = [one for one in several if one is not None]
    if not several:
        raise ArgumentError(
            "there are zero teachers; give at least one, such as --teacher mlp?hidden=128x128"
        )
    if check is not None:
        for one in several:
            _checked(one, data, check)
    members = [
        for_data(_member(run, place, one, data, teaching), data)
        for place, one in enumerate(several)
    ]
    for member in members:
        check_source(member, data, f"the teacher {getattr(member, 'name', member)}")
    # Numbers, and labels that do not exclude each other, are no distribution over classes.
    combine = mean_probabilities if data.task == "classification" else mean_logits
    return _kept(run, ensemble(*members, combine=combine), teaching)


def as_teachers(given: Any, data: Data) -> Any:
    """What the user gave, with teachers in the place of fitted estimators and of students.

    Raises:
        ModelError: a student does another task, or knows other classes or in another order.
    """
    if isinstance(given, (list, tuple)):
        return [as_teachers(one, data) for one in given]
    if hasattr(given, "as_teacher"):
        return given.as_teacher(data)
    return teacher(given) if is_estimator(given) else given


def says_probabilities(given: Any) -> bool:
    """Whether a teacher, or whoever is made of a name, says logarithms of probabilities."""
    if isinstance(given, str):
        return isinstance(maker_of(given), EstimatorMaker)
    return bool(getattr(given, "classifies", False))


def teacher_count(given: Any) -> int:
    """How many teachers the user gave."""
    if isinstance(given, EnsembleTeacher):
        return len(given.members)
    if isinstance(given, Sequence) and not isinstance(given, str):
        return len(given)
    return 0 if given is None else 1


def _checked(given: Any, data: Data, check: Callable[[nn.Module], object]) -> None:
    """Ask about a network; of a name the structure is enough, and no weights are fetched for it."""
    network = maker_of(given).network(given, data) if isinstance(given, str) else given
    if isinstance(network, nn.Module):
        check(network)
    elif network is None or not getattr(network, "modules", True):
        raise ModelError(
            f"the method looks into the network of its teacher, and {given!r} has none; give a "
            "network or the name of one"
        )


def _kept(run: Run, teacher: EnsembleTeacher, teaching: Teaching) -> EnsembleTeacher:
    if teaching.store == "nothing":
        return teacher
    return cached(
        teacher,
        run,
        keep=teaching.store,
        dtype=teaching.store_dtype,
        rest=teaching.store_rest,
    )


def _member(run: Run, place: int, given: Any, data: Data, teaching: Teaching) -> Teacher:
    if isinstance(given, nn.Module):
        return teacher(given)
    if isinstance(given, str):
        stage, key = f"teacher-{place}", keyed.key(run.seed, "teacher", place)
        return maker_of(given).make(run, stage, key, given, data, teaching)
    if callable(given) and hasattr(given, "fingerprint"):
        return given
    raise ArgumentError(
        f"teacher {place} is a {type(given).__name__}, expected a name, a module, a student, a "
        "fitted estimator or a teacher"
    )
