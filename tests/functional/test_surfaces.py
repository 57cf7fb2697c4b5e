"""A surface is the loss on a grid through the logits."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import cross_entropy, loss_surface, plackett_luce_loss

TEACHER = torch.tensor([0.3, 2.0, -1.0, 0.9], dtype=torch.float64)
LABEL = torch.tensor(3)


def pld(rows):
    told, label = TEACHER.expand_as(rows), LABEL.expand(len(rows))
    return plackett_luce_loss(rows, told, label, reduction="none")


def plane(seed=0):
    torch.manual_seed(seed)
    return torch.randn(4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)


def test_every_value_is_the_loss_at_its_place():
    middle, directions = plane()
    surface = loss_surface(pld, middle, directions, reach=2.0, points=5)
    assert surface.offsets.tolist() == [-2, -1, 0, 1, 2]
    u, v = (one / one.norm() for one in directions)
    for i, a in enumerate(surface.offsets):
        for j, b in enumerate(surface.offsets):
            here = pld((middle + a * u + b * v)[None])[0]
            torch.testing.assert_close(surface.values[i, j], here)


def test_the_surface_of_pld_is_convex_and_that_of_a_square_root_is_not():
    middle, directions = plane()

    def bends(loss):
        values = loss_surface(loss, middle, directions, reach=8.0).values
        across = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
        along = values[2:] - 2 * values[1:-1] + values[:-2]
        return min(float(across.min()), float(along.min()))

    assert bends(pld) > -1e-9
    assert bends(lambda rows: pld(rows).sqrt()) < -1e-6


def test_a_direction_that_moves_all_classes_alike_changes_nothing():
    middle, directions = plane()
    directions[1] = 1.0
    values = loss_surface(pld, middle, directions).values
    torch.testing.assert_close(values, values[:, :1].expand_as(values))


def test_half_precision_and_gradients_stay_out():
    middle, directions = plane()
    middle = middle.half().requires_grad_()
    surface = loss_surface(lambda rows: rows.sum(1), middle, directions, points=3)
    assert surface.values.dtype == torch.float32
    assert not surface.values.requires_grad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logits": torch.zeros(1, 4)}, r"logits has shape \(1, 4\)"),
        ({"logits": torch.tensor([0.0, 1.0, float("nan"), 0.0])}, "NaN"),
        ({"directions": torch.ones(2, 3)}, r"directions has shape \(2, 3\), expected \(2, 4\)"),
        ({"directions": torch.ones(2, 4)}, "both lie on one line"),
        ({"directions": torch.eye(4)[:2] * torch.tensor([[1.0], [0.0]])}, "span no plane"),
        ({"points": 1}, "points is 1 and reach 5"),
        ({"reach": 0.0}, "reach 0"),
        (
            {"loss": lambda rows: cross_entropy(rows, LABEL.expand(len(rows)))},
            r"loss gave shape \(\) for 1681 rows.*reduction",
        ),
    ],
)
def test_what_makes_no_surface_is_refused(change, words):
    given = {"loss": pld, "logits": torch.zeros(4), "directions": torch.eye(4)[:2], **change}
    with pytest.raises(ArgumentError, match=words):
        loss_surface(given.pop("loss"), given.pop("logits"), given.pop("directions"), **given)
