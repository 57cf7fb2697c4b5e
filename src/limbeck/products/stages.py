"""Stages: models in order, asked one after another about fewer and fewer samples."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.errors import ModelError, NoEffectWarning, UnusualUseWarning
from limbeck.functional.guards import widened
from limbeck.networks.exits import exit_stages
from limbeck.products.members import Member, NetworkMember, members_for, members_of
from limbeck.teachers import Teacher

# What a stage leaves for the next: tensors with a row a sample, in tuples, lists or mappings.
State = Any


class Stages(Protocol):
    """What a cascade asks of its models.

    Attributes:
        members: that are saved.
        averaged: whether a stage says the mean of those so far.
        skips: whether a stage that is not reached is not computed.
        leaves: whether the next stage goes on from what one leaves.
    """

    members: tuple[Member | Teacher, ...]
    averaged: bool
    skips: bool
    leaves: bool

    def __len__(self) -> int: ...

    @property
    def modules(self) -> tuple[nn.Module, ...]: ...

    def ask(self, stage: int, batch: Batch, state: State) -> tuple[Tensor, State]:
        """What a stage by itself says, ``(N, C)``, and what it leaves for the next."""

    def upto(self, count: int) -> Stages:
        """The first of them alone."""


class MemberStages:
    """Members of an ensemble, each a stage.

    Args:
        members: in order.
    """

    averaged, skips, leaves = True, True, False

    def __init__(self, members: Sequence[Member | Teacher]) -> None:
        self.members = tuple(members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The networks of all members."""
        return tuple(module for one in self.members for module in one.modules)

    def ask(self, stage: int, batch: Batch, state: State) -> tuple[Tensor, State]:
        """What a member says; nothing is left for the next."""
        return self.members[stage](batch).read("logits"), None

    def upto(self, count: int) -> MemberStages:
        """The first members."""
        return MemberStages(self.members[:count])


class LazyExits:
    """Exits of one network whose modules ``exit_stages`` compute them one after another.

    What a stage leaves is tensors with a row a sample, see `limbeck.networks.exits.exit_stages`.

    Args:
        member: the network.
        count: of the exits; None takes all.
    """

    averaged, skips, leaves = False, True, True

    def __init__(self, member: NetworkMember, count: int | None = None) -> None:
        self.members: tuple[Member | Teacher, ...] = (member,)
        self._parts = exit_stages(member.network)[:count]

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The parts up to the last exit."""
        return tuple(self._parts)

    @torch.no_grad()
    def ask(self, stage: int, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Go on from what the stage before left."""
        returned = self._parts[stage](_inputs(self, batch) if stage == 0 else state)
        if isinstance(returned, Tensor) and stage == len(self) - 1:
            return returned, None
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise ModelError(
                f"stage {stage} of {self.members[0]!r} returns a {type(returned).__name__}, "
                "expected a pair: logits, and what the next stage goes on from"
            )
        return returned[0], returned[1]

    def upto(self, count: int) -> LazyExits:
        """The same network up to an earlier exit."""
        member = self.members[0]
        assert isinstance(member, NetworkMember)
        return LazyExits(member, count)


class WholeExits:
    """Exits of one network that computes all of them at once.

    Args:
        member: the network; returns logits in a tuple, a list or a mapping, in order.
        count: how many exits there are.
    """

    averaged, skips, leaves = False, False, True

    def __init__(self, member: NetworkMember, count: int) -> None:
        self.members: tuple[Member | Teacher, ...] = (member,)
        self._count = count

    def __len__(self) -> int:
        return self._count

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The whole network."""
        return self.members[0].modules

    @torch.no_grad()
    def ask(self, stage: int, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Compute all exits, or read the next."""
        exits = exits_of(self.modules[0](_inputs(self, batch))) if stage == 0 else state
        return exits[0], exits[1:]

    def upto(self, count: int) -> WholeExits:
        """The first exits; the network stays whole."""
        member = self.members[0]
        assert isinstance(member, NetworkMember)
        return WholeExits(member, count)


def stages(given: Any, exits: int | None = None) -> Stages:
    """Make what a user holds the stages of a cascade.

    Args:
        given: models in order, an ensemble, or one network with several exits: a module with a
            list ``exit_stages`` (see `LazyExits`), or one that returns several logits.
        exits: how many logits a single network returns, where it computes all at once.

    Returns:
        The stages.

    Raises:
        ArgumentError: something is no member.

    Example:
        >>> len(stages([nn.Linear(2, 3), nn.Linear(2, 3)]))
        2
    """
    members = members_of(given)
    (first, *others) = members
    if others or not isinstance(first, NetworkMember):
        return MemberStages(members)
    if exit_stages(first.network):
        return LazyExits(first)
    if exits is None or exits < 2:
        return MemberStages(members)
    return WholeExits(first, exits)


def stages_for(given: Any, data: Data) -> Stages:
    """The stages of a cascade for some data, whose classes they say in its order.

    Args:
        given: as `stages` takes it.
        data: of whose training samples one or two are shown to a single network.

    Raises:
        ArgumentError: something is no member, or an ensemble is no plain mean.
        ModelError: a model has other classes.
    """
    members = members_for(given, data)
    sample = next(sequential(data, data.train, min(2, len(data.train))))
    made = stages(members, number_of_exits(members, sample))
    if len(made) == 1:
        warnings.warn(
            "there is one model with one exit, so that nothing can be handed on: the cascade "
            "says what it says; give two models or more, in order",
            NoEffectWarning,
            stacklevel=3,
        )
    if not made.skips:
        warnings.warn(
            "the network computes its exits at once, so that no work is skipped; each sample is "
            "still given what its exit says. Offer exits one by one in exit_stages",
            UnusualUseWarning,
            stacklevel=3,
        )
    return made


@torch.no_grad()
def number_of_exits(given: Any, batch: Batch) -> int | None:
    """How many logits a single network that computes all exits at once returns.

    Args:
        given: as `stages` takes it.
        batch: a sample or more.

    Returns:
        None for several models, and for a network that offers its exits one by one.
    """
    members = members_of(given)
    (first, *others) = members
    if others or not isinstance(first, NetworkMember) or "x" not in batch:
        return None
    if exit_stages(first.network):
        return None
    return len(exits_of(first.network(first.inputs(batch))))


@torch.no_grad()
def asked(models: Stages, batch: Batch) -> Tensor:
    """What each stage by itself says about all samples, ``(S, N, C)``."""
    state, told = None, []
    for stage in range(len(models)):
        said, state = models.ask(stage, batch, state)
        told.append(widened(said))
    shapes = {tuple(one.shape) for one in told}
    if len(shapes) > 1:
        raise ModelError(
            f"the stages give logits of shapes {sorted(shapes)}; all must know the same classes"
        )
    return torch.stack(told)


def exits_of(returned: Any) -> list[Tensor]:
    """The logits of a network with several exits, in order.

    Args:
        returned: a tuple, list or mapping of tensors.

    Returns:
        One tensor ``(N, C)`` or more.

    Raises:
        ModelError: it holds no tensor, or tensors of different shapes.

    Example:
        >>> len(exits_of({"early": torch.zeros(2, 3), "late": torch.zeros(2, 3)}))
        2
    """
    if isinstance(returned, Tensor):
        return [returned]
    values = returned.values() if isinstance(returned, Mapping) else returned
    tensors = [one for one in values if isinstance(one, Tensor)]
    if not tensors:
        raise ModelError(
            f"the network returns a {type(returned).__name__} without tensors, expected the logits "
            "of its exits in a tuple, list or mapping"
        )
    shapes = [tuple(one.shape) for one in tensors]
    if len(set(shapes)) > 1:
        raise ModelError(
            f"the network returns tensors of shapes {', '.join(map(str, shapes))}, expected the "
            "logits of its exits alone, all for the same classes"
        )
    return tensors


def _inputs(models: Stages, batch: Batch) -> Tensor:
    (member,) = models.members
    assert isinstance(member, NetworkMember)
    return member.inputs(batch)
