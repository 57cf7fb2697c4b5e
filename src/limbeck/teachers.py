"""Teachers: frozen sources of outputs. One, many, routed or stored, they look alike to a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, overload

import torch
from torch import Tensor, nn

from limbeck import outputs as reading
from limbeck.averaging import MeanOf as MeanOf
from limbeck.checks import check_weights
from limbeck.columns import column as column
from limbeck.columns import predicted as predicted
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Loader
from limbeck.data.space import InputSpace, convert
from limbeck.errors import ArgumentError, ModelError
from limbeck.fingerprint import fingerprint
from limbeck.functional.pools import mean_probabilities
from limbeck.networks.adapted import adapted
from limbeck.outputs import Outputs
from limbeck.routes import Route, check_route
from limbeck.routes import random_one as random_one

if TYPE_CHECKING:
    from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher

Combine = Callable[[Tensor, Tensor | None], Tensor]
# What a teacher gives instead of logits where only those of the most likely classes are known.
TOP = "top-k"


class Teacher(Protocol):
    """What a loss may ask of a teacher."""

    @property
    def fingerprint(self) -> str:
        """Short name of its content: stored outputs are kept under it."""

    @property
    def wants(self) -> tuple[str, ...]:
        """Columns of the batch that it reads."""

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Networks to be placed by the engine; never trained, saved or exported."""

    def __call__(self, batch: Batch) -> Outputs: ...


class ModelTeacher:
    """A frozen network. Made by `teacher`."""

    def __init__(
        self, model: nn.Module, features: Sequence[str], space: InputSpace | None, name: str
    ) -> None:
        self._model, self._features, self._space = model, tuple(features), space
        self.name, self.input_space = name, space

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self._model, self._features, self._space)

    @property
    def wants(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self._model,)

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The teacher itself: one member."""
        return (self,)

    def placed(self, place: Callable[[nn.Module], nn.Module]) -> ModelTeacher:
        """The same teacher with its network placed."""
        return ModelTeacher(place(self._model), self._features, self._space, self.name)

    def network(self, space: InputSpace | None) -> nn.Module:
        """The frozen network for images of a space, with a gradient to what it is given."""
        if space is None or self._space is None:
            return self._model
        return adapted(self._model, space, self._space).eval()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        if "x" in batch:
            x = convert(batch["x"], batch.space, self._space)
            batch = batch if x is batch["x"] else batch.with_columns(x=x)
        return reading.of(self._model, batch, self._features)

    def __repr__(self) -> str:
        return f"teacher({self.name})"


@overload
def teacher(
    model: nn.Module,
    *,
    features: Sequence[str] = (),
    input_space: InputSpace | None = None,
    name: str | None = None,
) -> ModelTeacher: ...
@overload
def teacher(
    model: Any, *, input_space: InputSpace | None = None, name: str | None = None
) -> EstimatorTeacher: ...
def teacher(
    model: Any,
    *,
    features: Sequence[str] = (),
    input_space: InputSpace | None = None,
    name: str | None = None,
) -> Any:
    """Freeze a network or a fitted estimator and make it a teacher.

    A network's weights stop requiring grad and it stays in evaluation mode; nothing is copied.

    Args:
        model: a network that returns logits in any of the forms that `limbeck.outputs.of` reads,
            or a fitted estimator of scikit-learn's kind with ``predict_proba`` or ``predict``.
        features: module paths of a network whose outputs losses will read as ``features.PATH``.
        input_space: what the model expects; batches in another space are converted. None gives a
            network batches as they come, and an estimator the data before normalisation, images
            of bytes as 0 to 1.
        name: what to call it; the class name by default.

    Returns:
        A teacher.

    Raises:
        ModelError: a feature path matches no module, or an estimator tells classes without their
            probabilities or cannot be stored.

    Example:
        >>> big = teacher(nn.Linear(2, 3))
        >>> big(Batch({"x": torch.zeros(1, 2)})).logits.requires_grad
        False
    """
    if is_estimator(model):
        return _estimator_teacher(model, features, input_space, name)
    from limbeck.features import expand

    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"model is a {type(model).__name__}, expected a torch module or a fitted estimator "
            "with predict_proba or predict; names such as timm:resnet18 are resolved by distill"
        )
    model.eval().requires_grad_(False)
    paths = expand(model, features) if features else []
    return ModelTeacher(model, paths, input_space, name or type(model).__name__)


def is_estimator(model: object) -> bool:
    """Whether an object learns and predicts as estimators of scikit-learn do."""
    predicts = hasattr(model, "predict") or hasattr(model, "predict_proba")
    return predicts and hasattr(model, "fit") and not isinstance(model, nn.Module | type)


def _estimator_teacher(
    model: Any, features: Sequence[str], space: InputSpace | None, name: str | None
) -> EstimatorTeacher:
    from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher

    if features:
        raise ArgumentError(
            f"features is {list(features)} and a {type(model).__name__} has no modules; give a "
            "network, or leave features out"
        )
    return EstimatorTeacher(model, name=name, input_space=space)


class EnsembleTeacher:
    """Several teachers that speak as one. Made by `ensemble`."""

    def __init__(
        self,
        members: tuple[Teacher, ...],
        weights: Tensor | None,
        combine: Combine | MeanOf,
        route: Route | None,
    ) -> None:
        self.members = members
        self.weights, self.route, self.combine = weights, route, combine
        self.name = f"ensemble of {len(members)}"

    @cached_property
    def fingerprint(self) -> str:
        parts = [member.fingerprint for member in self.members]
        return fingerprint(parts, self.weights, self.combine, self.route)

    @property
    def wants(self) -> tuple[str, ...]:
        return tuple(sorted({name for member in self.members for name in member.wants}))

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return tuple(module for member in self.members for module in member.modules)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        weights = self.weights
        asked = list(range(len(self.members)))
        if self.route is not None:
            weights = self.route(batch, len(asked))
            check_route(weights, len(asked), batch.size)
            asked = [number for number in asked if bool((weights[number] > 0).any())]
            weights = weights[asked]
        said = [self.members[number](batch) for number in asked]
        if isinstance(self.combine, MeanOf):
            return self.combine.outputs(said, weights)
        member_logits = _stack(
            [outputs.read("logits") for outputs in said], [self.members[n] for n in asked]
        )
        if self.combine is mean_probabilities and len(asked) > 1 and member_logits.shape[-1] == 1:
            raise ModelError(
                "members give one number a sample, whose softmax is 1 whatever the number; "
                "average the numbers themselves: ensemble(..., combine=mean_logits)"
            )
        logits = self.combine(member_logits, weights)
        features = {
            f"{number}.{name}": value
            for number, outputs in zip(asked, said, strict=True)
            for name, value in outputs.features.items()
        }
        extra = {"member_logits": member_logits, "members": torch.tensor(asked)}
        if len(self.members) == 1:
            features |= said[0].features
        return Outputs(logits=logits, features=features, extra=extra)

    def of(self, members: Sequence[Teacher]) -> EnsembleTeacher:
        """The same weights, rule and route over other members."""
        return EnsembleTeacher(tuple(members), self.weights, self.combine, self.route)

    def placed(self, place: Callable[[nn.Module], nn.Module]) -> EnsembleTeacher:
        """The ensemble with its networks placed."""
        return self.of([placed(member, place) for member in self.members])

    def bind(self, loader: Loader) -> EnsembleTeacher:
        """The ensemble whose cached members read the store of a loader's samples."""
        return self.of([bound(member, loader) for member in self.members])

    def for_data(self, data: Data) -> EnsembleTeacher:
        """The ensemble whose members have their classes in the order of the data's."""
        suited = [for_data(member, data) for member in self.members]
        kept = all(new is old for new, old in zip(suited, self.members, strict=True))
        return self if kept else self.of(suited)

    @property
    def uncounted_bytes(self) -> int | None:
        """Size of members that are no networks; None where all are."""
        sizes = [size for one in self.members if (size := uncounted_bytes(one)) is not None]
        return sum(sizes) if sizes else None

    @property
    def gives(self) -> tuple[str, ...] | None:
        """What all members give, where some give only part of what they are asked for."""
        limits = [set(gives) for one in self.members if (gives := getattr(one, "gives", None))]
        if not limits:
            return None
        # Some whole logits among others that are not whole make no whole ones.
        both = {TOP} if any(TOP in one for one in limits) else set.intersection(*limits)
        return (*sorted(both), "extra.member_logits", "extra.members")

    def __repr__(self) -> str:
        return f"ensemble({', '.join(map(repr, self.members))})"


def ensemble(
    *teachers: Teacher,
    weights: Sequence[float] | Tensor | None = None,
    combine: Combine | MeanOf = mean_probabilities,
    route: Route | None = None,
) -> EnsembleTeacher:
    """Make several teachers one.

    Args:
        teachers: at least one; all must give the same classes.
        weights: one number a member, at least 0; None weighs all alike.
        combine: from member logits ``(K, N, C)`` and weights to logits ``(N, C)``:
            `mean_probabilities` or `mean_logits` of `limbeck.functional`, or your own; or
            ``MeanOf("energy", "forces")`` for members that give other things than logits.
        route: from the batch and K to weights ``(K,)`` or ``(K, N)``, anew for each batch; a
            member whose weights are all 0 is not run. Instead of `weights`.

    Returns:
        A teacher. What each member said stands in ``extra.member_logits`` ``(K, N, C)``, members'
        features in ``features.NUMBER.PATH``. One member gives exactly that member's logits.

    Raises:
        ArgumentError: no teacher, or weights (when run: of the route) that do not fit.
        ModelError: when run, members that give different numbers of classes, or single numbers
            whose probabilities shall be averaged.

    Example:
        >>> pair = ensemble(teacher(nn.Linear(2, 3)), teacher(nn.Linear(2, 3)))
        >>> said = pair(Batch({"x": torch.zeros(1, 2)}))
        >>> said.logits.shape, said.extra["member_logits"].shape
        (torch.Size([1, 3]), torch.Size([2, 1, 3]))
    """
    if not teachers:
        raise ArgumentError("an ensemble of zero teachers teaches nothing; give at least one")
    if weights is not None and route is not None:
        raise ArgumentError("both weights and route are given; route decides the weights: drop one")
    fixed = None if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    if fixed is not None and fixed.shape != (len(teachers),):
        raise ArgumentError(
            f"weights has shape {tuple(fixed.shape)}, expected ({len(teachers)},): one a teacher"
        )
    if fixed is not None:
        check_weights(fixed)
    return EnsembleTeacher(tuple(teachers), fixed, combine, route)


def bound(teacher: Teacher, loader: Loader) -> Teacher:
    """The teacher as a loop asks it: a cached one reads the store of the loop's loader."""
    bind = getattr(teacher, "bind", None)
    return teacher if bind is None else bind(loader)


def for_data(teacher: Teacher, data: Data) -> Teacher:
    """The teacher with its classes in the order of the data's, where it has an order of its own."""
    order = getattr(teacher, "for_data", None)
    return teacher if order is None else order(data)


def uncounted_bytes(teacher: object) -> int | None:
    """Size of what answers beside networks, whose parameters and multiply-adds nobody can count.

    Args:
        teacher: or anything else that is asked for outputs.

    Returns:
        Bytes; None where networks are all there is.
    """
    return getattr(teacher, "uncounted_bytes", None)


def placed(teacher: Teacher, place: Callable[[nn.Module], nn.Module]) -> Teacher:
    """The teacher with its networks where a loop computes: `place` moves or cuts one.

    Raises:
        ModelError: a teacher of a kind of its own would have to be cut over processes.
    """
    move = getattr(teacher, "placed", None)
    if move is not None:
        told: Teacher = move(place)
        return told
    if any(place(module) is not module for module in getattr(teacher, "modules", ())):
        raise ModelError(
            f"{teacher!r} cannot be cut over processes; use --strategy ddp, or give its networks "
            "to limbeck.teacher(...)"
        )
    return teacher


def networks_of(teacher: Teacher, space: InputSpace | None) -> list[nn.Module]:
    """The frozen network of each member of a teacher, which may be asked for gradients.

    Args:
        teacher: one or an ensemble.
        space: of the images that the networks will be given.

    Raises:
        ModelError: a member has no network of its own.

    Example:
        >>> networks_of(ensemble(teacher(nn.Linear(2, 3))), None)
        [Linear(in_features=2, out_features=3, bias=True)]
    """
    found = []
    for member in getattr(teacher, "members", (teacher,)):
        if not hasattr(member, "network"):
            raise ModelError(
                f"{member!r} has no network to ask for gradients; give a network or its name "
                "instead of stored outputs"
            )
        found.append(member.network(space))
    return found


def _stack(member_logits: list[Tensor], members: Sequence[Teacher]) -> Tensor:
    # One number a sample may come as (N,) or as (N, 1): the same numbers.
    member_logits = [one[:, None] if one.ndim == 1 else one for one in member_logits]
    shapes = [tuple(logits.shape) for logits in member_logits]
    if len(set(shapes)) > 1:
        said = ", ".join(
            f"{member!r} {shape}" for member, shape in zip(members, shapes, strict=True)
        )
        raise ModelError(
            f"members of the ensemble give logits of different shapes: {said}; all teachers must "
            "know the same classes"
        )
    return torch.stack(member_logits)
