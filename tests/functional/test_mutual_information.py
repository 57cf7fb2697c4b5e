"""Bounds of mutual information and VID: values, gradients, edges and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from scipy.stats import norm

from limbeck.errors import ArgumentError
from limbeck.functional.mutual_information import (
    critic_scores,
    info_nce_bound,
    log_mean_exp_of_others,
    mi_alpha_bound,
    nwj_bound,
    tuba_bound,
    vid_loss,
)

properties = settings(deadline=None, max_examples=40, derandomize=True)
BOUNDS = {
    "alpha 0": lambda f, b: mi_alpha_bound(f, b, alpha=0.0),
    "alpha 0.5": lambda f, b: mi_alpha_bound(f, b, alpha=0.5),
    "alpha 1": lambda f, b: mi_alpha_bound(f, alpha=1.0),
    "nwj": lambda f, b: nwj_bound(f),
    "infonce": lambda f, b: info_nce_bound(f),
    "vid": lambda f, b: vid_loss(f, torch.full_like(f, 0.3), b),
}
every_bound = pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS)


def numbers(*shape, seed=0, dtype=torch.float64, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


# Values


def test_log_mean_of_others_is_that_of_scipy():
    scores = numbers(5, 5, scale=30.0)
    for i in range(5):
        for j in range(5):
            others = np.delete(scores[i].numpy(), j)
            expected = logsumexp(others) - math.log(4)
            assert log_mean_exp_of_others(scores)[i, j].item() == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
def test_bound_is_that_of_a_loop(alpha):
    scores, b = numbers(4, 4).numpy(), numbers(4, seed=1).numpy()

    def baseline(i, j):
        others = logsumexp(np.delete(scores[i], j)) - math.log(3)
        return np.log(alpha * np.exp(others) + (1 - alpha) * np.exp(b[i]))

    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    gain = np.mean([scores[i, i] - baseline(i, j) for i, j in pairs])
    cost = np.mean([np.exp(scores[i, j] - baseline(i, i)) for i, j in pairs])
    actual = mi_alpha_bound(torch.from_numpy(scores), torch.from_numpy(b), alpha=alpha)
    assert actual.item() == pytest.approx(1 + gain - cost)


def test_named_bounds_are_ends_of_one():
    scores, b = numbers(4, 4), numbers(4, seed=1)
    torch.testing.assert_close(tuba_bound(scores, b), mi_alpha_bound(scores, b, alpha=0.0))
    torch.testing.assert_close(nwj_bound(scores), tuba_bound(scores, torch.ones(4)))
    near = mi_alpha_bound(scores, b, alpha=1 - 1e-9)
    torch.testing.assert_close(near, mi_alpha_bound(scores, alpha=1.0))
    near = mi_alpha_bound(scores, b, alpha=1e-9)
    torch.testing.assert_close(near, tuba_bound(scores, b))


def test_best_critic_reaches_the_information_of_gaussians():
    """With log p(y|x) as critic and log p(y) for a baseline the bound is unbiased (TUBA)."""
    correlation, size = 0.8, 2000
    truth = -0.5 * math.log(1 - correlation**2)
    noise = numbers(2, size, scale=1.0)
    x, y = noise[0], correlation * noise[0] + math.sqrt(1 - correlation**2) * noise[1]
    width = math.sqrt(1 - correlation**2)
    ratio = norm.logpdf(y[None] - correlation * x[:, None], scale=width) - norm.logpdf(y)[None]
    scores = torch.from_numpy(ratio)
    assert tuba_bound(scores, torch.zeros(size)).item() == pytest.approx(truth, abs=0.05)
    assert info_nce_bound(scores).item() == pytest.approx(truth, abs=0.05)


def test_vid_is_the_likelihood_of_a_gaussian():
    student, teacher, v = numbers(3, 4, 2), numbers(3, 4, 2, seed=1), numbers(4, seed=2)
    width = (v.exp() + 1e-5).sqrt()[:, None]
    expected = -norm.logpdf(teacher, student, width) - 0.5 * math.log(2 * math.pi)
    each = vid_loss(student, teacher, v, reduction="none")
    np.testing.assert_allclose(each.numpy(), expected)
    last = vid_loss(student.mT, teacher.mT, v, axis=-1)
    torch.testing.assert_close(last, each.mean())


def test_vid_with_the_variance_of_the_authors():
    student, teacher, a = numbers(3, 4), numbers(3, 4, seed=1), numbers(4, seed=2)
    variance = F.softplus(a) + 1e-5
    expected = 0.5 * ((teacher - student).square() / variance + variance.log())
    actual = vid_loss(student, teacher, F.softplus(a).log())
    torch.testing.assert_close(actual, expected.mean())


def test_critic_scores_are_inner_products():
    student, teacher = numbers(3, 4), numbers(5, 4, seed=1)
    torch.testing.assert_close(critic_scores(student, teacher), student @ teacher.T)
    bounded = critic_scores(1e4 * student, teacher, normalize=True, temperature=0.1)
    assert (bounded.abs() <= 10 + 1e-9).all()


# Gradients and transformations


@every_bound
def test_gradients_are_right(bound):
    scores, b = numbers(4, 4).requires_grad_(), numbers(4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: bound(f, b.detach()), scores)
    if bound is BOUNDS["alpha 0.5"]:
        assert torch.autograd.gradcheck(bound, (scores, b))
    teacher = numbers(4, 3, seed=2)
    assert torch.autograd.gradcheck(lambda b: vid_loss(teacher + 1, teacher, b[:3]), b)
    assert torch.autograd.gradcheck(log_mean_exp_of_others, scores)


@every_bound
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(bound, dtype):
    scores, b = numbers(4, 4, dtype=dtype), numbers(4, seed=1, dtype=dtype)
    if bound is BOUNDS["vid"]:
        actual, expected = (
            vid_loss(x, x.flip(0), y) for x, y in ((scores, b), (scores.float(), b))
        )
    else:
        actual, expected = bound(scores, b), bound(scores.float(), b.float())
    assert actual.dtype == torch.float32
    assert actual.item() == expected.item()
    v = torch.full((4,), -11.5, dtype=dtype)
    expected = vid_loss(scores, scores, v.float(), reduction="sum")
    assert vid_loss(scores, scores, v, reduction="sum").item() == expected.item()


@every_bound
def test_compiles_to_one_graph(bound):
    scores, b = numbers(4, 4).requires_grad_(), numbers(4, seed=1)
    expected = bound(scores, b)
    actual = torch.compile(bound, fullgraph=True, backend="aot_eager")(scores, b)
    slopes = [torch.autograd.grad(value, scores)[0] for value in (actual, expected)]
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(*slopes)


@every_bound
def test_maps_and_differentiates_as_a_function(bound):
    scores, b = numbers(3, 4, 4), numbers(3, 4, seed=1)
    mapped = torch.func.vmap(bound)(scores, b)
    torch.testing.assert_close(mapped, torch.stack([*map(bound, scores, b)]))
    slopes = torch.func.vmap(torch.func.grad(bound))(scores, b)
    leaf = scores.clone().requires_grad_()
    total = sum(bound(one, other) for one, other in zip(leaf, b, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@every_bound
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
def test_ties_and_scores_of_an_untrained_critic_are_finite(bound, size):
    scores = numbers(4, 4, dtype=torch.float32, scale=size).requires_grad_()
    b = numbers(4, seed=1, dtype=torch.float32, scale=size)
    if bound is BOUNDS["vid"]:
        b = b.clamp(-20, 20)
    value = bound(scores, b)
    assert value.isfinite()
    assert torch.autograd.grad(value, scores)[0].isfinite().all()


def test_batch_of_one_has_no_negatives():
    one = torch.zeros(1, 1)
    for bound in (nwj_bound, log_mean_exp_of_others, lambda f: mi_alpha_bound(f, one[0])):
        with pytest.raises(
            ArgumentError, match=r"\(1, 1\): 2 or more samples are needed.*larger batch"
        ):
            bound(one)
    assert info_nce_bound(one).item() == 0
    with pytest.raises(ArgumentError, match="1 or more samples"):
        info_nce_bound(torch.zeros(0, 0))


def test_variance_of_vid_has_a_floor():
    v = torch.full((2,), -1e4, requires_grad=True)
    value = vid_loss(torch.ones(3, 2), torch.zeros(3, 2), v)
    assert value.isfinite()
    assert torch.autograd.grad(value, v)[0].isfinite().all()
    assert vid_loss(torch.zeros(0, 2), torch.zeros(0, 2), torch.zeros(2)).item() == 0


# Properties

square = st.integers(2, 5).flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.floats(-30, 30))
)


@properties
@given(square)
def test_infonce_never_exceeds_log_of_the_batch(scores):
    assert info_nce_bound(torch.from_numpy(scores)).item() <= math.log(len(scores)) + 1e-12


@properties
@given(square)
def test_alpha_one_without_a_learned_baseline_never_exceeds_log_of_the_others(scores):
    """Its gain is at most log(N - 1) above its cost, whatever the critic."""
    scores = torch.from_numpy(scores)
    assert mi_alpha_bound(scores, alpha=1.0).item() <= math.log(len(scores)) + 1e-9


@properties
@given(square, st.floats(-20, 20))
def test_a_shift_of_scores_and_baseline_changes_nothing(scores, shift):
    scores = torch.from_numpy(scores)
    b = scores.diagonal().clone()
    for alpha in (0.0, 0.5, 1.0):
        actual = mi_alpha_bound(scores + shift, b + shift, alpha=alpha)
        expected = mi_alpha_bound(scores, b, alpha=alpha)
        torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-8)
    actual = info_nce_bound(scores + shift)
    torch.testing.assert_close(actual, info_nce_bound(scores), rtol=1e-9, atol=1e-9)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: info_nce_bound(x[:2]), r"scores has shape \(2, 3\), expected \(N, N\)"),
        (lambda x: info_nce_bound(x * math.nan), "scores holds NaN or infinity at 9 of 9"),
        (lambda x: mi_alpha_bound(x), "alpha is 0.9 and log_baseline is missing"),
        (lambda x: mi_alpha_bound(x, x), r"log_baseline has shape \(3, 3\).*expected \(3,\)"),
        (lambda x: mi_alpha_bound(x, x[0], alpha=1.5), "alpha is 1.5, expected a number from 0"),
        (lambda x: tuba_bound(x, x[0] / 0), "log_baseline holds NaN or infinity"),
        (lambda x: critic_scores(x, x[:, :2]), r"\(3, 3\).*\(3, 2\).*use a projector of each side"),
        (lambda x: critic_scores(x, x, temperature=0), "temperature is 0"),
        (lambda x: critic_scores(x, x / 0), "teacher holds NaN or infinity"),
        (lambda x: vid_loss(x, x[:, :2], x[0]), "use a projector from 3 to 2 features"),
        (lambda x: vid_loss(x, x, x[0, :2]), r"log_variance has shape \(2,\).*expected \(3,\)"),
        (lambda x: vid_loss(x, x, x[0], least_variance=0), "least_variance is 0"),
        (lambda x: vid_loss(x, x.clone().requires_grad_(), x[0]), "teacher requires grad"),
        (lambda x: vid_loss(x, x, x[0], reduction="max"), "reduction is 'max'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(numbers(3, 3))


def test_features_without_the_axis_of_channels_are_named():
    vector = torch.zeros(3)
    with pytest.raises(ArgumentError, match=r"axis is 1 and student has shape \(3,\)"):
        vid_loss(vector, vector, vector)
