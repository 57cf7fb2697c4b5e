"""Scores of predicted class distributions against scikit-learn and plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss, top_k_accuracy_score

from limbeck.errors import ArgumentError
from limbeck.functional.classification import (
    agreement,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    top_k_accuracy,
)

SCORES = (top_k_accuracy, negative_log_likelihood, brier_score, expected_calibration_error)
LOSSES = (negative_log_likelihood, brier_score)
INF, NAN = math.inf, math.nan


def predictions(samples=40, classes=5, seed=0, dtype=torch.float64):
    """Logits that favour the label, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (samples,), generator=generator)
    logits = 2 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(samples), target] += 1
    return logits.to(dtype), target


def calibration_error_by_loop(probabilities, target, bins):
    """Guo et al., eq. 3, sample by sample."""
    edges = [b / bins for b in range(bins + 1)]
    total = 0.0
    for low, high in pairwise(edges):
        confidences, right = [], []
        for row, label in zip(probabilities, target, strict=True):
            if low < row.max() <= high:
                confidences.append(row.max())
                right.append(row.argmax() == label)
        if confidences:
            gap = abs(sum(confidences) / len(confidences) - sum(right) / len(right))
            total += len(confidences) / len(target) * gap
    return total


# Values


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_accuracy_is_that_of_scikit_learn(k):
    logits, target = predictions()
    expected = top_k_accuracy_score(target, logits.numpy(), k=k, labels=np.arange(5))
    assert 0 < expected < 1
    assert top_k_accuracy(logits, target, k=k).item() == pytest.approx(expected, abs=1e-12)


def test_as_many_guesses_as_classes_or_more_are_always_right():
    logits, target = predictions()
    assert top_k_accuracy(logits, target, k=5).item() == 1
    assert top_k_accuracy(logits, target, k=9).item() == 1


def test_likelihood_is_that_of_scikit_learn():
    logits, target = predictions()
    expected = log_loss(target, logits.softmax(-1).numpy(), labels=np.arange(5))
    assert negative_log_likelihood(logits, target).item() == pytest.approx(expected, rel=1e-10)
    each = negative_log_likelihood(logits, target, reduction="none")
    assert each.shape == (40,)
    assert each.mean().item() == pytest.approx(expected, rel=1e-10)
    total = negative_log_likelihood(logits, target, reduction="sum")
    assert total.item() == pytest.approx(40 * expected, rel=1e-10)


def test_brier_score_is_that_of_a_plain_loop():
    logits, target = predictions()
    expected = np.mean(
        [
            sum((p - (c == label)) ** 2 for c, p in enumerate(row))
            for row, label in zip(logits.softmax(-1).tolist(), target.tolist(), strict=True)
        ]
    )
    assert brier_score(logits, target).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("bins", [1, 7, 10, 15])
@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_error_is_that_of_a_plain_loop(bins, seed):
    logits, target = predictions(samples=200, seed=seed)
    expected = calibration_error_by_loop(logits.softmax(-1).numpy(), target.numpy(), bins)
    actual = expected_calibration_error(logits, target, bins=bins)
    assert actual.item() == pytest.approx(expected, rel=1e-9)
    assert 0 < expected < 1


def test_bins_are_open_below_and_closed_above():
    """Of two bins one half exactly falls into the lower, certainty into the upper."""
    logits = torch.tensor([[0.0, 0.0], [0.0, 1e-3], [0.0, 100.0]])
    count, confidence, accuracy = reliability(logits, torch.tensor([0, 1, 0]), bins=2)
    assert count.tolist() == [1.0, 2.0]
    assert confidence[0].item() == 0.5
    assert accuracy.tolist() == [1.0, 0.5]


def test_reliability_accounts_for_every_sample():
    logits, target = predictions(samples=200)
    count, confidence, accuracy = reliability(logits, target, bins=10)
    assert count.sum() == 200
    top, guess = logits.softmax(-1).max(-1)
    torch.testing.assert_close((count * confidence).sum(), top.sum())
    torch.testing.assert_close((count * accuracy).sum(), (guess == target).double().sum())
    assert ((count > 0) | ((confidence == 0) & (accuracy == 0))).all()
    edges = torch.arange(10) / 10
    full = count > 0
    assert (confidence[full] > edges[full]).all()
    assert (confidence[full] <= edges[full] + 0.1 + 1e-12).all()


def test_agreement_counts_equal_guesses():
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 1.0], [0.0, 3.0]])
    teacher = torch.tensor([[9.0, 0.0], [0.0, 2.0], [0.0, 1.0], [1.0, 3.0]])
    assert agreement(student, teacher).item() == 0.75


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    arrays(np.float64, (6, 4), elements=st.floats(-20, 20)),
    arrays(np.int64, 6, elements=st.integers(0, 3)),
    st.permutations(range(4)),
    st.permutations(range(6)),
    st.floats(-50, 50),
)
def test_order_of_classes_and_samples_and_a_shift_do_not_matter(logits, target, order, rows, shift):
    logits, target = torch.from_numpy(logits), torch.from_numpy(target)
    renamed = torch.argsort(torch.tensor(order))[target]
    changed = (logits + shift)[rows][:, order], renamed[rows]
    for score in LOSSES:
        torch.testing.assert_close(score(*changed), score(logits, target), rtol=1e-9, atol=1e-9)
        assert score(logits, target).item() >= 0
    assert brier_score(logits, target).item() <= 2 + 1e-12
    assert 0 <= expected_calibration_error(logits, target).item() <= 1


# Gradients and transformations


@pytest.mark.parametrize("score", LOSSES)
def test_gradients_are_right(score):
    logits, target = predictions(samples=3, classes=4)
    assert torch.autograd.gradcheck(lambda z: score(z, target), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("score", SCORES)
def test_half_precision_is_computed_in_float32_or_wider(score, dtype):
    logits, target = predictions(classes=30, dtype=dtype)
    actual = score(logits, target)
    assert actual.dtype in (torch.float32, torch.float64)
    assert actual.item() == score(logits.float(), target).item()


@pytest.mark.parametrize("score", SCORES)
def test_compiles_to_one_graph(score):
    logits, target = predictions()
    compiled = torch.compile(score, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits, target), score(logits, target))


@pytest.mark.parametrize("score", SCORES)
def test_maps_over_models(score):
    logits, target = predictions(samples=24)
    models = logits.reshape(3, 8, 5)
    mapped = torch.func.vmap(score, in_dims=(0, None))(models, target[:8])
    torch.testing.assert_close(mapped, torch.stack([score(z, target[:8]) for z in models]))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
@pytest.mark.parametrize("score", SCORES)
def test_labels_of_any_integer_dtype(score, dtype):
    logits, target = predictions()
    assert score(logits, target.to(dtype)).item() == score(logits, target).item()


# Edges


def test_ties_go_to_the_lower_class_index():
    tied = torch.zeros(3, 3)
    target = torch.tensor([0, 1, 2])
    shares = [top_k_accuracy(tied, target, k=k).item() for k in (1, 2, 3)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    assert agreement(tied, torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3)).item() == 1


def test_logit_that_is_not_a_number_is_never_a_right_guess():
    """A model that has diverged must not score as perfect."""
    target = torch.tensor([0])
    assert top_k_accuracy(torch.tensor([[NAN, NAN, NAN]]), target).item() == 0
    assert top_k_accuracy(torch.tensor([[NAN, 1.0, 0.0]]), target).item() == 0
    assert top_k_accuracy(torch.tensor([[2.0, NAN, 0.0]]), target).item() == 0
    assert top_k_accuracy(torch.tensor([[2.0, NAN, 0.0]]), target, k=2).item() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_are_finite(dtype):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype=dtype)
    target = torch.tensor([0, 0])
    assert top_k_accuracy(logits, target).item() == 0.5
    assert negative_log_likelihood(logits, target).item() == 1e4
    assert brier_score(logits, target).item() == 1
    assert expected_calibration_error(logits, target).item() == 0.5
    for score in LOSSES:
        leaf = logits.clone().requires_grad_()
        assert torch.autograd.grad(score(leaf, target), leaf)[0].isfinite().all()


def test_masked_class_is_as_if_it_were_not_there():
    logits, target = predictions()
    target = target.clamp(max=3)
    logits[:, 4] = -INF
    for score in SCORES:
        torch.testing.assert_close(score(logits, target), score(logits[:, :4], target))
    for score in LOSSES:
        leaf = logits.clone().requires_grad_()
        assert torch.autograd.grad(score(leaf, target), leaf)[0].isfinite().all()
    assert negative_log_likelihood(logits, torch.full_like(target, 4)).item() == INF


def test_one_class_is_always_right():
    logits, target = torch.randn(3, 1), torch.zeros(3, dtype=torch.long)
    assert top_k_accuracy(logits, target).item() == 1
    for score in (*LOSSES, expected_calibration_error):
        assert score(logits, target).item() == 0


def test_batch_of_one():
    logits, target = torch.tensor([[0.0, 0.0]]), torch.tensor([1])
    assert top_k_accuracy(logits, target).item() == 0
    assert negative_log_likelihood(logits, target).item() == pytest.approx(math.log(2))
    assert brier_score(logits, target).item() == 0.5
    assert expected_calibration_error(logits, target).item() == 0.5
    assert agreement(logits, logits).item() == 1


def test_batch_of_zero_scores_zero():
    logits, target = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
    for score in SCORES:
        assert score(logits, target).item() == 0
    assert agreement(logits, logits).item() == 0
    assert [x.tolist() for x in reliability(logits, target, bins=2)] == [[0.0, 0.0]] * 3


# Errors


@pytest.mark.parametrize("score", [*SCORES, reliability])
@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), r"logits has shape \(3,\), expected \(N, C\)"),
        (torch.zeros(2, 3), torch.zeros(3).long(), r"target has shape \(3,\) .* target \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(2), r"target has dtype torch.float32.*target.long\(\)"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "target holds class indices from 0 to 3.*0 to 2"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), "target holds class indices from -1 to 0"),
    ],
)
def test_argument_that_does_not_fit_is_named(score, logits, target, message):
    with pytest.raises(ArgumentError, match=message):
        score(logits, target)


def test_options_outside_their_range_are_named():
    logits, target = predictions()
    with pytest.raises(ArgumentError, match="k is 0, expected at least 1"):
        top_k_accuracy(logits, target, k=0)
    with pytest.raises(ArgumentError, match="bins is 0, expected at least 1"):
        expected_calibration_error(logits, target, bins=0)
    with pytest.raises(ArgumentError, match="reduction is 'max'"):
        negative_log_likelihood(logits, target, reduction="max")
    with pytest.raises(ArgumentError, match=r"student_logits has shape \(40, 5\) and teacher"):
        agreement(logits, logits[:, :4])


@pytest.mark.parametrize("score", [*LOSSES, expected_calibration_error, reliability])
def test_a_model_that_diverged_has_no_score(score):
    logits, target = predictions()
    logits[3, 1] = NAN
    with pytest.raises(ArgumentError, match=r"NaN or infinity at 1 of 40.*index \(3,\)"):
        score(logits, target)


def test_no_class_is_agreed_on_with_what_is_no_number():
    wrong, right = torch.full((2, 3), NAN), torch.zeros(2, 3)
    for pair in ((wrong, right), (right, wrong)):
        with pytest.raises(ArgumentError, match="NaN or infinity at 6 of 6"):
            agreement(*pair)
        assert torch.func.vmap(agreement)(*(x[None] for x in pair)).item() == 0
