"""List-wise losses: what their weights mean, limits, ties."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.ranking import (
    label_first_ranking,
    list_mle_loss,
    list_net_loss,
    plackett_luce_loss,
)

numbers = st.floats(-50, 50, width=32)


@st.composite
def batches(draw):
    """Student and teacher logits and labels of a few rows."""
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    table = st.lists(numbers, min_size=rows * classes, max_size=rows * classes)
    student, teacher = (
        torch.tensor(draw(table), dtype=torch.float64).reshape(rows, classes) for _ in range(2)
    )
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return student, teacher, torch.tensor(labels)


@settings(deadline=None, max_examples=25)
@given(batches(), numbers, numbers)
def test_shifts_of_either_side_change_nothing(batch, student_shift, teacher_shift):
    student, teacher, target = batch
    # Whole steps keep equal teacher logits equal and distinct ones distinct.
    teacher = teacher.round()
    moved = plackett_luce_loss(student + student_shift, teacher + round(teacher_shift), target)
    torch.testing.assert_close(moved, plackett_luce_loss(student, teacher, target))


@settings(deadline=None, max_examples=25)
@given(batches(), st.randoms(use_true_random=False))
def test_classes_may_be_renamed(batch, random):
    student, _, target = batch
    classes = student.shape[1]
    order = torch.tensor(random.sample(range(classes), classes))
    teacher = torch.stack([torch.tensor(random.sample(range(classes), classes)) / 2] * len(student))
    renamed = student[:, order], teacher[:, order], order.argsort()[target]
    torch.testing.assert_close(
        plackett_luce_loss(*renamed), plackett_luce_loss(student, teacher, target)
    )


@settings(deadline=None, max_examples=25)
@given(batches())
def test_it_is_at_least_zero_and_convex(batch):
    student, teacher, target = batch
    other = student.flip(0).roll(1, 1)
    ends = [plackett_luce_loss(s, teacher, target) for s in (student, other)]
    middle = plackett_luce_loss((student + other) / 2, teacher, target)
    assert min(ends) >= 0
    assert middle <= sum(ends) / 2 + 1e-9


@settings(deadline=None, max_examples=25)
@given(batches())
def test_gradients_of_a_row_sum_to_zero(batch):
    student, teacher, target = batch
    leaf = student.requires_grad_()
    plackett_luce_loss(leaf, teacher, target).backward()
    torch.testing.assert_close(
        leaf.grad.sum(1), torch.zeros(len(leaf), dtype=torch.float64), rtol=0, atol=1e-9
    )


@settings(deadline=None, max_examples=25)
@given(batches())
def test_all_weight_on_the_label_is_cross_entropy(batch):
    student, teacher, target = batch
    expected = F.cross_entropy(student, target)
    first = torch.zeros(student.shape[1])
    first[0] = 1
    for options in ({"min_first_weight": 1.0}, {"weights": first}):
        value = plackett_luce_loss(student, teacher, target, **options)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)


def table(seed=0, rows=3, classes=5):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return student, teacher, torch.randint(classes, (rows,), generator=generator)


def test_a_high_temperature_tends_to_uniform_weights():
    student, teacher, target = table()
    uniform = plackett_luce_loss(student, teacher, target, weights="uniform")
    hot = plackett_luce_loss(student, teacher, target, temperature=1e9)
    torch.testing.assert_close(hot, uniform, rtol=1e-6, atol=0)
    ones = plackett_luce_loss(student, teacher, target, weights="ones")
    torch.testing.assert_close(uniform * 5, ones)


def test_position_weights_are_those_of_p_list_mle():
    student, teacher, target = table()
    ranks = 2.0 ** torch.arange(4, -1, -1, dtype=torch.float64) - 1
    value = plackett_luce_loss(student, teacher, target, weights="position")
    own = plackett_luce_loss(student, teacher, target, weights=ranks / ranks.sum())
    torch.testing.assert_close(value, own)
    many = torch.randn(2, 3000)
    assert plackett_luce_loss(many, many, torch.tensor([0, 1]), weights="position").isfinite()


def test_weights_may_differ_by_row():
    student, teacher, target = table()
    weights = torch.rand(3, 5, dtype=torch.float64)
    value = plackett_luce_loss(student, teacher, target, weights=weights, reduction="none")
    rows = [
        plackett_luce_loss(student[[i]], teacher[[i]], target[[i]], weights=weights[i])
        for i in range(3)
    ]
    torch.testing.assert_close(value, torch.stack(rows))


def test_min_first_weight_raises_the_first_and_keeps_the_sum():
    teacher = torch.tensor([[8.0, 0.0, 0.0]], dtype=torch.float64)
    student, target = torch.tensor([[0.3, -0.2, 0.9]], dtype=torch.float64), torch.tensor([1])
    p = teacher.softmax(1)[0]
    others = 0.6 * p[[0, 2]] / p[[0, 2]].sum()
    ranks = torch.tensor([0.4, others[0], others[1]], dtype=torch.float64)
    torch.testing.assert_close(
        plackett_luce_loss(student, teacher, target, min_first_weight=0.4),
        plackett_luce_loss(student, teacher, target, weights=ranks),
    )
    sure = torch.tensor([2])
    for least in (0.0, 0.2):  # a teacher that is right has more than enough
        value = plackett_luce_loss(student, teacher.flip(1), sure, min_first_weight=least)
        torch.testing.assert_close(value, plackett_luce_loss(student, teacher.flip(1), sure))


def test_two_classes_count_the_first_step_only():
    student, teacher = torch.tensor([[0.4, -1.0]]), torch.tensor([[1.0, 3.0]])
    value = plackett_luce_loss(student, teacher, torch.tensor([0]))
    expected = teacher.softmax(1)[0, 0] * F.cross_entropy(student, torch.tensor([0]))
    torch.testing.assert_close(value, expected)


def test_ties_rank_the_larger_class_higher():
    ties = torch.tensor([[1.0, 1.0, 2.0, 1.0, 2.0]])
    assert label_first_ranking(ties, torch.tensor([1])).tolist() == [[1, 4, 2, 3, 0]]


def test_options_are_checked():
    student, teacher, target = table()
    with pytest.raises(ArgumentError, match="min_first_weight is 2"):
        plackett_luce_loss(student, teacher, target, min_first_weight=2)
    with pytest.raises(ArgumentError, match="sum to 1"):
        plackett_luce_loss(student, teacher, target, weights="ones", min_first_weight=0.5)
    with pytest.raises(ArgumentError, match="weights is 'linear', expected one of 'teacher'"):
        plackett_luce_loss(student, teacher, target, weights="linear")
    with pytest.raises(ArgumentError, match=r"weights has shape \(4,\), expected \(5,\)"):
        plackett_luce_loss(student, teacher, target, weights=torch.ones(4))
    with pytest.raises(ArgumentError, match="at least 0"):
        plackett_luce_loss(student, teacher, target, weights=-torch.ones(5))
    with pytest.raises(ArgumentError, match="temperature is 0"):
        plackett_luce_loss(student, teacher, target, temperature=0)
    with pytest.raises(ArgumentError, match=r"mixed or one-hot.*argmax"):
        plackett_luce_loss(student, teacher, student.softmax(1))


def test_list_mle_is_plackett_luce_without_a_label():
    student, teacher, _ = table()
    best = teacher.argmax(1)
    for weights in ("ones", "uniform", "position", "teacher"):
        value = list_mle_loss(student, teacher, weights=weights, temperature=2.0)
        expected = plackett_luce_loss(student, teacher, best, weights=weights, temperature=2.0)
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("weights", ["ones", "uniform", "position", "teacher"])
def test_list_mle_weighs_a_padded_list_by_its_own_length(weights):
    student, teacher, _ = table()
    mask = torch.tensor([[True, True, False, False, True]]).expand(3, 5)
    kept = [0, 1, 4]
    value = list_mle_loss(student, teacher, weights=weights, mask=mask)
    torch.testing.assert_close(
        value, list_mle_loss(student[:, kept], teacher[:, kept], weights=weights)
    )


def test_list_net_is_soft_target_cross_entropy():
    student, teacher, _ = table()
    expected = soft_target_loss(
        student, teacher, divergence="cross_entropy", temperature=2.0, temperature_squared=False
    )
    torch.testing.assert_close(list_net_loss(student, teacher, temperature=2.0), expected)


def test_whole_numbers_are_no_logits():
    zeros, target = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ArgumentError, match=r"teacher_logits has dtype torch.int64.*s.float\(\)"):
        plackett_luce_loss(zeros, zeros.long(), target)
    with pytest.raises(ArgumentError, match="student_logits has dtype"):
        plackett_luce_loss(zeros.long(), zeros, target)
