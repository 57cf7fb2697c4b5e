"""Operators on distributions that carry their parameters and a name, and compose to a teacher.

Each is a frozen dataclass that is called like the function behind it: `soften`, `power_pool` and
`anchored_teacher`. `MetaTeacher` is the three in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from limbeck.checks import check_choice, check_temperature, check_weights
from limbeck.errors import ArgumentError
from limbeck.functional.guards import proper
from limbeck.functional.recursion import (
    Family,
    Mixture,
    anchored_teacher,
    check_anchor,
    clip_probabilities,
    power_pool,
    soften,
)

EXPONENTS = {"linear": 1.0, "geometric": 0.0}


@dataclass(frozen=True)
class Softening:
    """`soften` at a temperature.

    Args:
        temperature: T above 0.
        family: ``"power"`` or ``"uniform"``.

    Example:
        >>> Softening(2.0).name
        'power softening, T=2'
        >>> [round(x, 4) for x in Softening(2.0)(torch.tensor([0.9, 0.1])).tolist()]
        [0.75, 0.25]
    """

    kind: ClassVar[str] = "softening"
    temperature: float = 1.0
    family: Family = "power"

    def __post_init__(self) -> None:
        check_choice(self.family, "family", ("power", "uniform"))
        check_temperature(self.temperature)

    @property
    def least_temperature(self) -> float:
        """The lowest T that the family is defined for."""
        return 1.0 if self.family == "uniform" else 0.0

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.family} softening, T={self.temperature:g}"

    def __call__(self, probabilities: Tensor, temperature: float | None = None) -> Tensor:
        """Soften ``(..., C)``; another temperature may be given, as the axiom checker does."""
        chosen = self.temperature if temperature is None else temperature
        return soften(probabilities, temperature=chosen, family=self.family)


@dataclass(frozen=True)
class Pooling:
    """`power_pool` with its exponent and weights.

    Args:
        exponent: q, -1 to 1; 1 is the linear pool and 0 the geometric one.
        weights: one a member, at least 0; None weighs all alike.

    Example:
        >>> Pooling(0.0).name
        'geometric pool'
        >>> members = torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]])
        >>> [round(x, 4) for x in Pooling(1.0, weights=(3.0, 1.0))(members)[0].tolist()]
        [0.7, 0.3]
    """

    kind: ClassVar[str] = "pool"
    exponent: float = 1.0
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.exponent <= 1:
            raise ArgumentError(f"exponent is {self.exponent}, expected from -1 to 1")
        if self.weights is not None:
            check_weights(torch.tensor(self.weights, dtype=torch.float64))

    @property
    def name(self) -> str:
        """What a report calls it."""
        named = {value: word for word, value in EXPONENTS.items()}
        word = named.get(self.exponent, f"power q={self.exponent:g}")
        weighed = "" if self.weights is None else f", weights {', '.join(map(str, self.weights))}"
        return f"{word} pool{weighed}"

    def __call__(self, members: Tensor, weights: Tensor | None = None) -> Tensor:
        """Pool ``(K, ..., C)``; other weights may be given, as the axiom checker does."""
        if weights is None and self.weights is not None:
            weights = torch.tensor(self.weights, dtype=torch.float64, device=members.device)
        return power_pool(members, weights, exponent=self.exponent)


@dataclass(frozen=True)
class Anchoring:
    r"""`anchored_teacher` with its anchor and family.

    Args:
        anchor: :math:`\alpha`, 0 to 1.
        mixture: ``"linear"`` or ``"geometric"``.

    Example:
        >>> Anchoring(0.5).name
        'linear anchoring, alpha=0.5'
        >>> Anchoring(0.5)(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])).tolist()
        [0.625, 0.375]
    """

    kind: ClassVar[str] = "anchoring"
    anchor: float = 0.3
    mixture: Mixture = "linear"

    def __post_init__(self) -> None:
        check_choice(self.mixture, "mixture", ("linear", "geometric"))
        check_anchor(self.anchor)

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.mixture} anchoring, alpha={self.anchor:g}"

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mix two distributions ``(..., C)``."""
        return anchored_teacher(student, teacher, anchor=self.anchor, mixture=self.mixture)


@dataclass(frozen=True)
class MetaTeacher:
    r"""Soften, pool, anchor: the teacher of one generation, :math:`\Phi(S, A(G_T(T_1), \dots))`.

    Args:
        softening: of every base teacher and of the last student.
        pooling: of the softened base teachers; a `Pooling`, or a function of members
            ``(K, ..., C)`` and, if they are given, weights ``(K,)``.
        anchoring: of the last student to the pool.
        least: every class gets this probability, so that divergences are finite.
        keep: how many classes of the base teachers are known; None knows all.

    Example:
        >>> members = torch.tensor([[[0.9, 0.1]], [[0.8, 0.2]]])
        >>> rule = MetaTeacher(pooling=Pooling(1.0), anchoring=Anchoring(0.5))
        >>> [round(x, 3) for x in rule(torch.tensor([[0.5, 0.5]]), members)[0].tolist()]
        [0.675, 0.325]
        >>> rule.name
        'power softening, T=1; linear pool; linear anchoring, alpha=0.5'
    """

    softening: Softening = field(default_factory=Softening)
    pooling: Pooling | Callable[..., Tensor] = field(default_factory=Pooling)
    anchoring: Anchoring = field(default_factory=Anchoring)
    least: float = 1e-8
    keep: int | None = None

    @property
    def name(self) -> str:
        """What a report calls it."""
        kept = "" if self.keep is None else f"largest {self.keep}; "
        pooling = getattr(self.pooling, "name", None) or getattr(self.pooling, "__name__", "pool")
        return f"{kept}{self.softening.name}; {pooling}; {self.anchoring.name}"

    def soft(self, probabilities: Tensor) -> Tensor:
        """Soften and clip ``(..., C)``: the student as the recursion sees it."""
        return clip_probabilities(self.softening(probabilities), least=self.least)[0]

    def clipped(self, probabilities: Tensor) -> float:
        """Mean mass that clipping adds to a row ``(..., C)`` after softening."""
        softened = self.softening(probabilities)
        return float(clip_probabilities(softened, least=self.least)[1].mean())

    def base(self, members: Tensor) -> Tensor:
        """The pool B ``(N, C)`` of softened base teachers ``(K, N, C)``."""
        known = members if self.keep is None else keep_largest(members, self.keep)
        return clip_probabilities(self.pooling(self.soft(known)), least=self.least)[0]

    def __call__(self, student: Tensor, members: Tensor) -> Tensor:
        """The teacher of the next generation.

        Args:
            student: probabilities of the last student at temperature 1, ``(N, C)``.
            members: probabilities of the base teachers at temperature 1, ``(K, N, C)``.

        Returns:
            Probabilities ``(N, C)`` at the operator's temperature.
        """
        return self.anchoring(self.soft(student), self.base(members))


def keep_largest(probabilities: Tensor, count: int) -> Tensor:
    """Keep the largest classes and spread the mass of the others evenly over them.

    It is what a teacher says of whom only the first `count` classes are known.

    Args:
        probabilities: ``(N, C)``, or any shape with classes on the last axis.
        count: classes to keep, at least 1; C and more change nothing.

    Returns:
        Probabilities of the same shape in float32 or wider.

    Raises:
        ArgumentError: rows do not sum to one, or `count` is below 1.

    Example:
        >>> [round(x, 3) for x in keep_largest(torch.tensor([0.7, 0.2, 0.1]), 1).tolist()]
        [0.7, 0.15, 0.15]

    Source: arXiv 2601.03195, top-k truncated teachers (reconstructed).
    """
    if count < 1:
        raise ArgumentError(f"count is {count}, expected at least 1")
    probabilities = proper(probabilities, "probabilities")
    classes = probabilities.shape[-1]
    if count >= classes:
        return probabilities
    largest = probabilities.topk(count, dim=-1)
    rest = (1 - largest.values.sum(-1, keepdim=True)).clamp(min=0) / (classes - count)
    return rest.expand_as(probabilities).scatter(-1, largest.indices, largest.values)
