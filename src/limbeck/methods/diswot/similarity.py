"""How alike an untrained candidate and an untrained teacher behave on one batch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.errors import LimbeckError, ModelError, NotFiniteError
from limbeck.features import LastLayer, find_last_layer, tapped
from limbeck.functional.class_gradients import class_gradient, semantic_distance
from limbeck.functional.relations import similarity_preserving_loss
from limbeck.loops.proxies import proxy_scores
from limbeck.loops.search import Rejected
from limbeck.networks.fresh import fresh
from limbeck.networks.initialised import initialised

Begin = Literal["normal", "kaiming", "built"]
Compare = Literal["channels", "classes"]
Images = Literal["data", "noise"]
SEMANTIC, RELATION = "semantic", "relation"
NOTHING = {SEMANTIC: -float("inf"), RELATION: -float("inf")}


@dataclass(frozen=True)
class Look:
    """What one network did with the batch: its classes' gradients, and its last map."""

    gradient: Tensor
    before_pooling: Tensor


class Similarity:
    """Scores of candidates beside a teacher whose looks are taken once.

    Args:
        teacher: an architecture; its weights are drawn anew, in place.
        x: inputs ``(N, ...)``, two or more.
        y: class indices ``(N,)``.
        outputs: how many classes there are.
        space: of the inputs, for networks that are built anew.
        begin: how weights are drawn: ``"normal"``, ``"kaiming"``, or as networks were ``"built"``.
        times: how often; scores are means.
        compare: what gradients are compared by: ``"channels"`` of each class, or ``"classes"``.
        others: names of further scores, of `limbeck.loops.proxies.PROXIES`.
        seed: of all draws.

    Raises:
        ModelError: the teacher does not end in a linear layer for these classes, or overflows.
    """

    def __init__(
        self,
        teacher: nn.Module,
        x: Tensor,
        y: Tensor,
        outputs: int,
        space: Any = None,
        *,
        begin: Begin = "normal",
        times: int = 2,
        compare: Compare = "channels",
        others: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.x, self.y, self.outputs, self.space = x, y, outputs, space
        self.begin, self.times, self.compare = begin, times, compare
        self.others, self.seed = tuple(others), seed
        last = find_last_layer(teacher, x[:2], outputs)
        networks = (
            self._begun(teacher, keyed.key(seed, "teacher", number)) for number in range(times)
        )
        try:
            self._teacher = [
                looked_at(one, last, x, y, keyed.key(seed, "look", number))
                for number, one in enumerate(networks)
            ]
        except NotFiniteError:
            raise ModelError(f"the teacher gives NaN or infinity {overflowing(begin)}") from None

    def scores(self, network: nn.Module, name: str) -> dict[str, float]:
        """Minus the distances of a candidate from the teacher, and other scores.

        Args:
            network: the candidate; its weights are drawn anew.
            name: decides the draws.

        Returns:
            ``"semantic"`` and ``"relation"``, more being more alike, minus infinity where the
            candidate gives NaN or infinity; and those of the proxies.

        Raises:
            Rejected: it cannot be compared with the teacher.
        """
        try:
            with taking_inputs():
                last = find_last_layer(network, self.x[:2], self.outputs)
        except ModelError as error:
            raise Rejected("last layer", str(error)) from None
        found: list[dict[str, float]] = []
        for number in range(self.times):
            key = keyed.key(self.seed, "candidate", name, number)
            try:
                one = self._begun(network, key)
            except ModelError as error:
                raise Rejected("built", str(error)) from None
            row = self._beside(self._teacher[number], one, last, key)
            found.append(row | proxy_scores(self.others, one, last, self.x, self.y, key))
        return {label: float(np.mean([one[label] for one in found])) for label in found[0]}

    def _beside(
        self, teacher: Look, network: nn.Module, last: LastLayer, key: int
    ) -> dict[str, float]:
        try:
            with taking_inputs():
                own = looked_at(network, last, self.x, self.y, key)
            relation = similarity_preserving_loss(own.before_pooling, teacher.before_pooling)
            return {
                SEMANTIC: -self._semantic(own.gradient, teacher.gradient),
                RELATION: -float(relation),
            }
        except NotFiniteError:
            return dict(NOTHING)

    def _semantic(self, own: Tensor, teacher: Tensor) -> float:
        if self.compare == "classes":
            # Classes by classes, (C, C): the widths of both last layers do not matter.
            return float(similarity_preserving_loss(own, teacher))
        if own.shape != teacher.shape:
            raise Rejected(
                "width",
                f"its last layer reads {own.shape[1]} numbers and that of the teacher "
                f"{teacher.shape[1]}, so that channels cannot be compared; set compare to classes, "
                "or choose a teacher of that width",
            )
        return float(semantic_distance(own, teacher))

    def _begun(self, network: nn.Module, key: int) -> nn.Module:
        """A network with weights of its own; a candidate is changed in place where it can be."""
        if self.begin == "built":
            return fresh(network, self.space, self.outputs, key).to(self.x.device)
        return initialised(network, self.begin, key)


def overflowing(begin: Begin) -> str:
    """How weights were drawn that made numbers overflow, and what does not."""
    return (
        f"where initialisation is {begin}, as networks without norms do that are many layers deep; "
        "set initialisation to kaiming or built, or take networks with norms"
    )


@contextlib.contextmanager
def taking_inputs() -> Iterator[None]:
    """Reject a candidate that cannot take the inputs inside the block.

    Raises:
        Rejected: with what it raised; errors of limbeck pass.
    """
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:  # the network may be anyone's
        told = str(error) or type(error).__name__
        raise Rejected("inputs", f"it cannot take the inputs: {told}") from None


@torch.no_grad()
def looked_at(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor, key: int) -> Look:
    """Show a batch to a network in training mode, and keep what its classes pull it towards.

    Args:
        network: initialised.
        last: where it ends.
        x: inputs.
        y: class indices.
        key: of what it draws, such as dropout.
    """
    map_of = [last.before_pooling] if last.before_pooling else []
    with contextlib.ExitStack() as stack:
        stack.enter_context(keyed.torch_seeded(key))
        read = stack.enter_context(tapped(network, [last.head], inputs=True))
        maps = stack.enter_context(tapped(network, map_of))
        logits = reading.of(network.train(), Batch({"x": x})).read("logits")
    features = read[last.head].flatten(1)
    return Look(class_gradient(features, logits, y), maps.get(last.before_pooling, features))


def one_batch(data: Data, size: int, images: Images, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels that all networks are shown.

    Args:
        data: its training samples are drawn from.
        size: how many.
        images: ``"data"``, or ``"noise"`` of N(0, 1) with labels drawn by chance.
        seed: of the draw.

    Returns:
        Inputs as networks read them, and class indices.
    """
    key = keyed.key(seed, "batch")
    if images == "noise":
        assert data.input_space is not None
        generator = torch.Generator().manual_seed(key & (1 << 63) - 1)
        x = torch.randn(size, *data.input_space.shape, generator=generator)
        return x, torch.randint(data.outputs, (size,), generator=generator)
    places = keyed.permutation(key, len(data.train))[:size]
    columns = data.normalise(data.columns(data.train, places))
    return columns["x"], columns["y"]


def architecture(given: Any, data: Data, seed: int) -> nn.Module:
    """A copy of the teacher that the user gave, whose weights do not matter.

    Args:
        given: a network, a product with one, a name, or a list of just one of these.
        data: whose inputs it takes.
        seed: of what is built.

    Raises:
        ModelError: there is not just one.
    """
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(several) != 1:
        raise ModelError(
            f"there are {len(several)} teachers, and candidates are compared with one; give one "
            "network or name, such as --teacher resnet?blocks=9x9x9"
        )
    one = getattr(several[0], "network", several[0])
    if isinstance(one, nn.Module):
        return copy.deepcopy(one).requires_grad_(False)
    if not isinstance(one, str):
        raise ModelError(
            f"the teacher is a {type(one).__name__}, expected a torch module or the name of a "
            "network: its architecture is looked at, no outputs"
        )
    key = keyed.key(seed, "teacher")
    return fresh(one, data.input_space, data.outputs, key).requires_grad_(False)
