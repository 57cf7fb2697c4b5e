"""The distances that students are chosen by, as terms that a student is trained with."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.features import find_last_layer
from limbeck.functional.class_gradients import semantic_loss
from limbeck.functional.relations import similarity_preserving_loss
from limbeck.objectives.objective import Objective
from limbeck.objectives.term import Term


def diswot_terms(
    student: nn.Module,
    teacher: nn.Module,
    x: Tensor,
    outputs: int,
    *,
    semantic_weight: float = 1.0,
    relation_weight: float = 1.0,
) -> Objective:
    """Semantic and relation distance of a student from its teacher, with the places in both found.

    They stand beside other terms, ``KD().objective(task) + terms``, and the teacher has to give
    what they read: ``limbeck.teacher(network, features=sorted(terms.teacher_features))``.

    Args:
        student: a classifier that ends in a linear layer, of the teacher's width there.
        teacher: another.
        x: two inputs or more; both networks are called with them once.
        outputs: how many classes there are.
        semantic_weight: of `limbeck.functional.semantic_loss`.
        relation_weight: of `limbeck.functional.similarity_preserving_loss`, before pooling.

    Returns:
        The terms ``"semantic"`` and ``"relation"``.

    Raises:
        ModelError: a network does not end in a linear layer for these classes, or no module gives
            what that reads.

    Example:
        >>> import torch
        >>> from limbeck.data import InputSpace
        >>> from limbeck.networks.names import build
        >>> one, other = (build("resnet?blocks=1x1", InputSpace((8, 8), 1), 3) for _ in range(2))
        >>> sorted(diswot_terms(one, other, torch.zeros(2, 1, 8, 8), 3).student_features)
        ['features', 'features.4']

    Source: Dong, Li and Wei, arXiv 2303.15678, its distances as losses.
    """
    places = {
        name: _places(network, x, outputs, name)
        for name, network in (("student", student), ("teacher", teacher))
    }
    (own, own_map), (told, told_map) = places["student"], places["teacher"]
    semantic = Term(
        "semantic",
        semantic_loss,
        student=("logits", f"features.{own}"),
        teacher=("logits", f"features.{told}"),
        target="y",
    )
    relation = Term(
        "relation",
        similarity_preserving_loss,
        student=f"features.{own_map}",
        teacher=f"features.{told_map}",
    )
    return semantic_weight * semantic + relation_weight * relation


def _places(network: nn.Module, x: Tensor, outputs: int, name: str) -> tuple[str, str]:
    """Paths of what the last layer reads, and of the map before it."""
    last = find_last_layer(network, x, outputs)
    if not last.reads:
        raise ModelError(
            f"no module of the {name} gives what its last linear layer {last.head} reads, so that "
            "it cannot be caught; put an nn.Flatten or nn.Identity before that layer"
        )
    return last.reads, last.before_pooling or last.reads
