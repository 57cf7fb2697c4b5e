"""Fronts: which of several choices no other one beats in quality and cost at once."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(
    costs: Sequence[float], values: Sequence[float], *, higher_is_better: bool = True
) -> list[int]:
    """Choices for which no other is as cheap and as good and better in one of the two.

    Args:
        costs: of N choices, low is good.
        values: their quality ``(N,)``.
        higher_is_better: whether a high value is good.

    Returns:
        Positions from the cheapest to the dearest, each better than the one before; of equal
        choices the first.

    Example:
        >>> pareto_front([1, 2, 3, 3], [0.5, 0.4, 0.9, 0.9])
        [0, 2]
    """
    sign = 1 if higher_is_better else -1
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda n: (costs[n], -sign * values[n])):
        if not front or sign * values[place] > sign * values[front[-1]]:
            front.append(place)
    return front
