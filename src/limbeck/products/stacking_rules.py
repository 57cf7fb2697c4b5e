"""Rules: how what several members say of a sample becomes one answer, in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limbeck.checks import check_weights
from limbeck.errors import ArgumentError, RunError, nearest
from limbeck.functional.stack_columns import log_odds, with_statistics


class Rule(nn.Module):
    """From what K members say ``(K, N, C)`` to one answer ``(N, C)``.

    All numbers are buffers in float64; there is nothing to train.
    """

    kind: ClassVar[str]

    def forward(self, said: Tensor) -> Tensor:
        """Return the answer."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Plain values that `rule_of` needs besides the buffers."""
        return {"kind": self.kind}

    def check(self, members: int, width: int) -> None:
        """Raise `ArgumentError` unless the rule is about so many members and numbers a sample."""
        raise NotImplementedError


class AverageRule(Rule):
    r"""The weighted mean of the members: of probabilities, or of the numbers of a regression.

    Args:
        weights: at least 0, divided by their sum, ``(K,)``.
        of: ``"probabilities"`` or ``"numbers"``.

    Example:
        >>> AverageRule([1.0, 3.0], of="numbers")(torch.tensor([[[0.0]], [[4.0]]])).item()
        3.0
    """

    kind = "average"
    weights: Tensor

    def __init__(self, weights: Sequence[float] | Tensor, *, of: str) -> None:
        super().__init__()
        if of not in ("probabilities", "numbers"):
            raise ArgumentError(f"of is {of!r}, expected probabilities or numbers")
        self.of = of
        given = torch.as_tensor(weights, dtype=torch.float64)
        check_weights(given)
        self.register_buffer("weights", given)

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind, "of": self.of}

    def check(self, members: int, width: int) -> None:
        _check_shape("weights", self.weights, (members,))

    def forward(self, said: Tensor) -> Tensor:
        """Return the mean ``(N, C)``, as logits where probabilities are averaged."""
        shares = (self.weights / self.weights.sum())[:, None, None]
        if self.of == "numbers":
            return (said.double() * shares).sum(0)
        return torch.logsumexp(said.double().log_softmax(-1) + shares.log(), 0)


class LinearRule(Rule):
    r"""One affine map of the members' numbers and of statistics of each row.

    Columns are the K predictions, then mean, population deviation, median and range where
    `statistics` is on, then mean and range times deviation where `interactions` is.

    Args:
        coef: of the columns, ``(D,)``.
        intercept: the constant.
        statistics: whether there are the four.
        interactions: whether there are the two products.

    Example:
        >>> rule = LinearRule([0.5, 0.5], 1.0, statistics=False, interactions=False)
        >>> rule(torch.tensor([[[2.0]], [[4.0]]])).item()
        4.0

    Source: arXiv 2602.12469, meta-features and inverse-RMSE blend, folded into one map.
    """

    kind = "linear"
    coef: Tensor
    intercept: Tensor

    def __init__(
        self,
        coef: Any,
        intercept: Any,
        *,
        statistics: bool = True,
        interactions: bool = True,
    ) -> None:
        super().__init__()
        self.statistics, self.interactions = statistics, interactions
        self.register_buffer("coef", torch.as_tensor(coef, dtype=torch.float64))
        self.register_buffer("intercept", torch.as_tensor(intercept, dtype=torch.float64))

    def facts(self) -> dict[str, Any]:
        options = {"statistics": self.statistics, "interactions": self.interactions}
        return {"kind": self.kind, **options}

    def check(self, members: int, width: int) -> None:
        extra = 4 * self.statistics + 2 * self.interactions
        _check_shape("coef", self.coef, (members + extra,))
        if width != 1:
            raise ArgumentError(f"a linear rule gives one number a sample, not {width}")

    def forward(self, said: Tensor) -> Tensor:
        """Return the numbers ``(N, 1)``."""
        return (self.columns(said) @ self.coef + self.intercept)[:, None]

    def columns(self, said: Tensor) -> Tensor:
        """Predictions ``(K, N, 1)`` with the statistics of each row, ``(N, D)``."""
        table = said.double().reshape(said.shape[0], -1).T
        return with_statistics(table, statistics=self.statistics, interactions=self.interactions)


class LogisticRule(Rule):
    r"""A softmax of affine maps of the members' log-odds.

    Of two classes a member's column is :math:`\log p_1 - \log p_0`, of more there is one a class,
    :math:`\log p_c` less its mean over classes.

    Args:
        coef: ``(C, D)`` with D = K for two classes, else K C.
        intercept: ``(C,)``.

    Example:
        >>> rule = LogisticRule([[0.0], [1.0]], [0.0, 0.0])
        >>> rule(torch.tensor([[[0.0, 2.0]]])).softmax(-1)[0, 1].sigmoid() > 0.5
        tensor(True)
    """

    kind = "logistic"
    coef: Tensor
    intercept: Tensor

    def __init__(self, coef: Any, intercept: Any) -> None:
        super().__init__()
        self.register_buffer("coef", torch.as_tensor(coef, dtype=torch.float64))
        self.register_buffer("intercept", torch.as_tensor(intercept, dtype=torch.float64))

    def check(self, members: int, width: int) -> None:
        _check_shape("coef", self.coef, (width, members * (1 if width == 2 else width)))
        _check_shape("intercept", self.intercept, (width,))

    def forward(self, said: Tensor) -> Tensor:
        """Return the logits ``(N, C)``."""
        return self.columns(said) @ self.coef.T + self.intercept

    def columns(self, said: Tensor) -> Tensor:
        """Log-odds of what members say ``(K, N, C)``, ``(N, D)``."""
        return log_odds(said.double().softmax(-1).permute(1, 0, 2))


RULES: Mapping[str, type[Rule]] = {one.kind: one for one in (AverageRule, LinearRule, LogisticRule)}


def rule_of(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Rule:
    """The rule that facts and buffers describe.

    Args:
        facts: as `Rule.facts` gave them.
        tensors: its buffers by name.

    Returns:
        The rule.

    Raises:
        RunError: the kind is not known.

    Example:
        >>> rule = AverageRule([1.0, 1.0], of="numbers")
        >>> rule_of(rule.facts(), rule.state_dict()).weights.tolist()
        [1.0, 1.0]
    """
    options = {name: value for name, value in facts.items() if name != "kind"}
    if facts["kind"] not in RULES:
        raise RunError(
            f"the rule of a stack is of the kind {facts['kind']!r}, which this version of limbeck "
            f"does not know; {nearest(facts['kind'], RULES)}"
        )
    return RULES[facts["kind"]](**tensors, **options)


def _check_shape(name: str, value: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(value.shape) != expected:
        raise ArgumentError(
            f"{name} of the rule has shape {tuple(value.shape)}, expected {expected} for the "
            "members that it is given"
        )
