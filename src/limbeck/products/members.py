"""Members: the frozen models of a product that has several, each in a folder of its own.

A kind of member tells what it is called in the facts and writes itself; a reader gets it back.
Networks are the kind that stands here; estimators and ready predictions are their own. Another
kind needs the names of `Member` and a line in `READERS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from limbeck.cache import CachedTeacher
from limbeck.columns import PredictedTeacher, predicted
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.space import InputSpace, convert
from limbeck.errors import ArgumentError, ModelError, RunError, nearest
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.loops.teach import as_teachers
from limbeck.naming import without_place
from limbeck.outputs import Outputs
from limbeck.products.network_files import read_network, spec_of, write_network
from limbeck.products.student import Student
from limbeck.teachers import ModelTeacher, Teacher, for_data, is_estimator, teacher


@runtime_checkable
class Member(Protocol):
    """A teacher that can be part of a product: it knows how to write itself."""

    kind: ClassVar[str]
    name: str

    @property
    def fingerprint(self) -> str: ...

    @property
    def modules(self) -> tuple[nn.Module, ...]: ...

    def __call__(self, batch: Batch) -> Outputs: ...

    def write(self, part: Path) -> dict[str, Any]:
        """Put its files into a folder of its own; return plain facts for its reader."""


@dataclass
class Shared:
    """What readers of members may need of the product.

    Args:
        space: of the product's inputs.
        outputs: how many numbers come out for a sample.
        networks: of the user's own classes, to fill in order.
        trusted: full names of classes of the user's own that estimators may hold.
    """

    space: InputSpace | None
    outputs: int
    networks: Iterator[nn.Module] = dataclasses.field(default_factory=lambda: iter(()))
    trusted: Sequence[str] = ()


Reader = Callable[[Path, Mapping[str, Any], Shared], Member]


class NetworkMember:
    """A frozen network with the space that it reads. Made by `member`.

    Args:
        network: returns logits.
        input_space: what it reads, or None for what the product reads.
        name: what to call it; the name it was built from by default, else its class.
    """

    kind: ClassVar[str] = "network"

    def __init__(
        self, network: nn.Module, input_space: InputSpace | None = None, name: str | None = None
    ) -> None:
        known = name or spec_of(network) or type(network).__name__
        self._teacher = teacher(network, input_space=input_space, name=without_place(known))
        self.network, self.input_space = network, input_space
        self.name = self._teacher.name

    @property
    def fingerprint(self) -> str:
        return self._teacher.fingerprint

    @property
    def wants(self) -> tuple[str, ...]:
        return self._teacher.wants

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.network,)

    def __call__(self, batch: Batch) -> Outputs:
        return self._teacher(batch)

    def inputs(self, batch: Batch) -> Tensor:
        """Inputs of a batch in the space, in the place and in the precision of the network."""
        x = convert(batch["x"], batch.space, self.input_space)
        weights = next((one for one in self.network.parameters()), None)
        return x if weights is None else x.to(weights.device, weights.dtype)

    def reading(self, space: InputSpace | None) -> nn.Module:
        """The network for inputs of a space, with the conversion before it where one is needed."""
        return self._teacher.network(space)

    def write(self, part: Path) -> dict[str, Any]:
        """Put the weights into a folder."""
        write_network(self.network, part)
        return {
            "spec": spec_of(self.network),
            "network": type(self.network).__name__,
            "input_space": self.input_space and dataclasses.asdict(self.input_space),
        }

    @classmethod
    def read(cls, folder: Path, facts: Mapping[str, Any], shared: Shared) -> NetworkMember:
        """Read what `write` wrote; a network without a name is the next of the user's."""
        own = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
        network = read_network(
            folder,
            facts,
            own or shared.space,
            shared.outputs,
            next(shared.networks, None) if facts["spec"] is None else None,
            who=f"{facts['name']} in {folder}",
            fix="pass networks to fill in the order of the members: load(..., network=[...])",
        )
        return cls(network, own, facts["name"])

    def __repr__(self) -> str:
        return f"member({self.name})"


def _read_estimator(folder: Path, facts: Mapping[str, Any], shared: Shared) -> Member:
    # Here, so that a product of networks loads no other library.
    from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher

    return EstimatorTeacher.read(folder, facts, shared.trusted)


def _read_predicted(folder: Path, facts: Mapping[str, Any], shared: Shared) -> Member:
    return predicted(facts["place"], facts["name"])


READERS: Mapping[str, Reader] = {
    NetworkMember.kind: NetworkMember.read,
    PredictedTeacher.kind: _read_predicted,
    "estimator": _read_estimator,
}


def member(given: Any) -> Member | Teacher:
    """Make what a user holds a member.

    Args:
        given: a module, a `Student`, a fitted estimator, a teacher of a network or a stored one,
            a `Member`, or any other teacher, which takes part in predictions and cannot be saved.

    Returns:
        The member.

    Raises:
        ArgumentError: it is none of these.

    Example:
        >>> member(nn.Linear(2, 3))
        member(Linear)
    """
    if isinstance(given, CachedTeacher):
        # What it keeps is about training samples; others are asked about here.
        given = given.teacher
    if isinstance(given, nn.Module):
        return NetworkMember(given)
    if is_estimator(given):
        return teacher(given)
    if isinstance(given, Student):
        return NetworkMember(given.network, given.input_space, given.spec)
    if isinstance(given, ModelTeacher):
        (network,) = given.modules
        return NetworkMember(network, given.input_space, spec_of(network) or given.name)
    if callable(given) and hasattr(given, "fingerprint"):
        return given
    raise ArgumentError(
        f"a member is a {type(given).__name__}, expected a module, a student, a fitted "
        "estimator or a teacher; of names make networks first, or give them to a method's distill"
    )


def members_of(given: Any) -> tuple[Member | Teacher, ...]:
    """The members of a list or of an ensemble that weighs all alike, in order.

    Raises:
        ArgumentError: there is none, one is no member, or an ensemble has weights or a route.
    """
    if getattr(given, "weights", None) is not None or getattr(given, "route", None) is not None:
        raise ArgumentError(
            f"{given!r} has weights or a route, which a product of several members does not keep; "
            "give its members themselves"
        )
    single = isinstance(given, nn.Module) or is_estimator(given) or not hasattr(given, "members")
    several = given if isinstance(given, Sequence) else [given] if single else given.members
    if not several:
        raise ArgumentError("there are no members; give at least one model")
    return tuple(member(one) for one in several)


def members_for(given: Any, data: Data) -> tuple[Member | Teacher, ...]:
    """The members of a product for some data, each with its classes in the data's order.

    Args:
        given: as `members_of` takes it.
        data: tells the classes.

    Raises:
        ArgumentError: as `members_of`, or an ensemble averages otherwise than the product would.
        ModelError: a student or an estimator has other classes, or a student another order.
    """
    given = as_teachers(given, data)
    usual = mean_probabilities if data.task == "classification" else mean_logits
    rule = getattr(given, "combine", usual)
    if rule is not usual and len(given.members) > 1:
        raise ArgumentError(
            f"{given!r} combines by {getattr(rule, '__name__', rule)}, and the product would by "
            f"{usual.__name__}; give its members themselves"
        )
    found: Any = members_of(given)
    return tuple(for_data(one, data) for one in found)


def write_members(members: Sequence[Member | Teacher], part: Path) -> list[dict[str, Any]]:
    """Put members into folders of their own.

    Args:
        members: in order.
        part: the product's folder, which `limbeck.files.new_folder` makes whole.

    Returns:
        Facts of each, plain values for `read_members`.

    Raises:
        ModelError: a member is of a kind that cannot be saved.
    """
    facts = []
    for place, one in enumerate(members):
        if not isinstance(one, Member):
            raise ModelError(
                f"member {place}, {one!r}, cannot be saved: it is a teacher without a kind and a "
                "method write(folder); give the network itself"
            )
        _folder(part, place).mkdir()
        # A product goes to other people: no place of a file stands in it.
        called = {"kind": one.kind, "name": without_place(one.name)}
        facts.append({**called, **one.write(_folder(part, place))})
    return facts


def read_members(
    folder: Path,
    facts: Sequence[Mapping[str, Any]],
    shared: Shared,
    readers: Mapping[str, Reader] = READERS,
) -> tuple[Member, ...]:
    """Read what `write_members` wrote.

    Args:
        folder: of the product.
        facts: as `write_members` returned them.
        shared: what the readers may need.
        readers: of the kinds, by name.

    Returns:
        The members, in order.

    Raises:
        RunError: a kind is not known.
        ModelError: a network is needed, one too many came, or one does not fit its weights.
    """
    found = []
    for place, one in enumerate(facts):
        if one["kind"] not in readers:
            raise RunError(
                f"member {place} in {folder} is of the kind {one['kind']!r}, which this version "
                f"of limbeck does not know; {nearest(one['kind'], readers)}"
            )
        found.append(readers[one["kind"]](_folder(folder, place), one, shared))
    if next(shared.networks, None) is not None:
        raise ModelError(
            f"more networks came than {folder} has members of your own classes; give one for each "
            "of those, in order"
        )
    return tuple(found)


def _folder(part: Path, place: int) -> Path:
    return part / f"member-{place}"
