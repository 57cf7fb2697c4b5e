import itertools
import random

from limbeck.evaluate.fronts import pareto_front


def beaten(one, other, sign):
    """Whether the other is as good in both and better in one."""
    as_good = other[0] <= one[0] and sign * other[1] >= sign * one[1]
    return as_good and other != one


def test_the_front_is_what_nothing_beats():
    draw = random.Random(0)
    for sign in (1, -1):
        points = [(draw.randrange(8), draw.randrange(8)) for _ in range(60)]
        costs, values = zip(*points, strict=True)
        front = pareto_front(costs, values, higher_is_better=sign > 0)
        expected = {one for one in points if not any(beaten(one, two, sign) for two in points)}
        assert [points[place] for place in front] == sorted(expected)


def test_along_the_front_quality_rises_with_cost():
    front = pareto_front([3, 1, 2], [0.3, 0.1, 0.2])
    assert front == [1, 2, 0]
    assert all(a != b for a, b in itertools.pairwise(front))


def test_nothing_has_no_front():
    assert pareto_front([], []) == []
