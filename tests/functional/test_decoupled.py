"""Decoupled distillation: the identity that it generalises, extremes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.functional.decoupled import decoupled_loss
from limbeck.functional.divergences import soft_target_loss


def table(seed, rows=4, classes=5):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return student, teacher, torch.randint(classes, (rows,), generator=generator)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 7), st.floats(0.5, 8))
def test_it_is_ordinary_distillation_with_the_teachers_doubt_as_weight(seed, classes, temperature):
    student, teacher, target = table(seed, classes=classes)
    doubt = 1 - (teacher / temperature).softmax(1).gather(1, target[:, None])[:, 0]
    options = {"temperature": temperature, "reduction": "none"}
    binary = decoupled_loss(student, teacher, target, non_target_weight=0.0, **options)
    others = decoupled_loss(
        student, teacher, target, target_weight=0.0, non_target_weight=1.0, **options
    )
    torch.testing.assert_close(
        binary + doubt * others, soft_target_loss(student, teacher, **options)
    )


def test_two_classes_have_no_others_to_compare():
    student, teacher, target = table(0, classes=2)
    value = decoupled_loss(student, teacher, target, target_weight=0.0)
    assert value == 0


def test_any_shape_with_classes_last():
    student, teacher, target = table(0)
    value = decoupled_loss(student, teacher, target, reduction="none")
    shaped = decoupled_loss(
        student.reshape(2, 2, 5), teacher.reshape(2, 2, 5), target.reshape(2, 2), reduction="none"
    )
    torch.testing.assert_close(shaped.reshape(-1), value)


def test_temperature_squared_is_a_factor():
    student, teacher, target = table(0)
    plain = decoupled_loss(student, teacher, target, temperature=3.0, temperature_squared=False)
    torch.testing.assert_close(decoupled_loss(student, teacher, target, temperature=3.0), 9 * plain)
