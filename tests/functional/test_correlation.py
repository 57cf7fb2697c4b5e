"""Correlation and standardised logits: NumPy's values, invariances, constant rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.correlation import (
    correlation_loss,
    pearson_correlation,
    standardise_logits,
    standardised_divergence_loss,
)
from limbeck.functional.divergences import soft_target_loss


def logits(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def test_correlation_is_numpys_along_either_axis():
    x, y = logits(4, 6), logits(4, 6, seed=1)
    rows = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(pearson_correlation(x, y), rows, rtol=1e-6)
    columns = [np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)]
    np.testing.assert_allclose(pearson_correlation(x, y, axis=0), columns, rtol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-10, 10))
def test_shift_and_scale_change_nothing(seed, scale, shift):
    x, y = logits(3, 5, seed=seed), logits(3, 5, seed=seed + 1)
    moved = pearson_correlation(scale * x + shift, y)
    torch.testing.assert_close(moved, pearson_correlation(x, y), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        standardise_logits(scale * x + shift), standardise_logits(x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_rows_give_zero_without_gradient(value, dtype):
    row = torch.full((2, 1000), value, dtype=dtype).requires_grad_()
    for result in (
        pearson_correlation(row, logits(2, 1000, dtype=dtype)),
        standardise_logits(row),
    ):
        assert (result == 0).all()
        assert (torch.autograd.grad(result.sum(), row)[0] == 0).all()


def test_a_student_that_starts_at_zero_has_no_wild_gradient():
    student = torch.zeros(8, 10, requires_grad=True)
    correlation_loss(student, logits(8, 10, dtype=torch.float32)).backward()
    assert student.grad.abs().max() < 1


def test_following_the_teacher_up_to_shift_and_scale_of_probabilities_costs_nothing():
    teacher = logits(6, 4)
    assert abs(float(correlation_loss(teacher + 3, teacher))) < 1e-6
    p = teacher.softmax(1)
    follower = (0.5 * p + 0.125).log()  # half the teacher's contrast, still a distribution
    assert abs(float(correlation_loss(follower, teacher))) < 1e-6


def test_weights_and_temperature_scale_the_terms():
    student, teacher = logits(5, 4), logits(5, 4, seed=1)
    inter = correlation_loss(student, teacher, intra_weight=0.0)
    intra = correlation_loss(student, teacher, inter_weight=0.0)
    both = correlation_loss(student, teacher, inter_weight=2.0, intra_weight=0.5)
    torch.testing.assert_close(both, 2 * inter + 0.5 * intra)
    plain = correlation_loss(student, teacher, temperature=3.0, temperature_squared=False)
    torch.testing.assert_close(correlation_loss(student, teacher, temperature=3.0), 9 * plain)


def test_one_sample_leaves_the_classes_term_constant():
    student = logits(1, 4).requires_grad_()
    value = correlation_loss(student, logits(1, 4, seed=1), inter_weight=0.0)
    value.backward()
    assert value == 1
    assert (student.grad == 0).all()


def test_standard_logits_have_mean_zero_and_deviation_one():
    z = standardise_logits(logits(3, 7))
    torch.testing.assert_close(z.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.std(1), torch.ones(3).double(), rtol=1e-6, atol=0)
    population = standardise_logits(logits(7, 3), axis=0, correction=0)
    torch.testing.assert_close(
        population.std(0, correction=0), torch.ones(3).double(), rtol=1e-6, atol=0
    )


def test_standard_logits_have_gradients_and_go_with_any_divergence():
    student = logits(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(standardise_logits, student)
    teacher = 10 * student.detach() - 4
    value = soft_target_loss(standardise_logits(student.detach()), standardise_logits(teacher))
    assert float(value) == pytest.approx(0, abs=1e-12)


def test_shapes_are_checked():
    with pytest.raises(ArgumentError, match="first has shape"):
        pearson_correlation(logits(2, 3), logits(3, 2))
    with pytest.raises(ArgumentError, match=r"expected \(N, C\)"):
        correlation_loss(logits(2, 3, 4), logits(2, 3, 4))


def test_standardised_divergence_ignores_shift_and_scale_and_follows_shape():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    value = standardised_divergence_loss(student, teacher)
    moved = standardised_divergence_loss(9 * student - 4, teacher / 7)
    torch.testing.assert_close(moved, value, rtol=1e-5, atol=0)
    expected = 4 * torch.nn.functional.kl_div(
        (standardise_logits(student) / 2).log_softmax(1),
        (standardise_logits(teacher) / 2).softmax(1),
        reduction="batchmean",
    )
    torch.testing.assert_close(value, expected)
    rows = standardised_divergence_loss(student, teacher, reduction="none")
    assert rows.shape == (6,)
    assert float(value) > 1e-3


def test_standardised_divergence_refuses_other_shapes_and_learning_teachers():
    with pytest.raises(ArgumentError, match="student_logits"):
        standardised_divergence_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ArgumentError, match="teacher_logits"):
        standardised_divergence_loss(torch.zeros(2, 3), torch.zeros(2, 3, requires_grad=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_no_constant(bad):
    x, y = logits(4, 5), logits(4, 5, seed=1)
    wrong = x.clone()
    wrong[0, 0] = bad
    for call in (
        lambda: pearson_correlation(wrong, y),
        lambda: pearson_correlation(y, wrong),
        lambda: standardise_logits(wrong),
        lambda: standardised_divergence_loss(wrong, y),
        lambda: standardised_divergence_loss(y, wrong),
    ):
        with pytest.raises(ArgumentError, match=r"NaN or infinity at 1 of 20 .*index \(0, 0\)"):
            call()
    # In a graph nothing can be looked at: what is no number must stay none.
    mapped = torch.func.vmap(standardise_logits)(wrong)
    assert mapped[0].isnan().all()
    assert mapped[1:].isfinite().all()


def test_an_axis_that_is_not_there_is_named():
    x = logits(4, 5)
    with pytest.raises(ArgumentError, match=r"axis is 2 and first has shape \(4, 5\)"):
        pearson_correlation(x, x, axis=2)
    with pytest.raises(ArgumentError, match="axis is -3 and logits"):
        standardise_logits(x, axis=-3)
