"""Distances of a batch from running statistics, and what images are recovered by."""

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    image_variation,
    matched_batch_norm,
    recovery_terms,
    statistics_distance,
    statistics_regulariser,
    voting_weights,
)

SHAPES = [(4, 3), (4, 3, 5), (4, 3, 5, 6), (2, 3, 2, 4, 3), (1, 3, 1, 1)]


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def running(channels=3, dtype=torch.float64):
    return randn(channels, seed=1, dtype=dtype), randn(channels, seed=2, dtype=dtype).exp()


def plain(x, mean, variance):
    """The distance in the words of the papers."""
    rows = x.transpose(0, 1).reshape(x.shape[1], -1)
    off_variance = torch.linalg.vector_norm(variance - rows.var(1, unbiased=False))
    return off_variance + torch.linalg.vector_norm(mean - rows.mean(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_distance_is_the_sum_of_two_norms(shape, dtype):
    x, (mean, variance) = 3 * randn(*shape, dtype=dtype) + 5, running(dtype=dtype)
    found = statistics_distance(x, mean, variance)
    assert found.dtype == dtype
    torch.testing.assert_close(found, plain(x, mean, variance), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, 2])
def test_tokens_have_their_channels_last(axis):
    x, (mean, variance) = randn(4, 7, 3), running()
    found = statistics_distance(x, mean, variance, axis=axis)
    torch.testing.assert_close(found, plain(x.transpose(1, 2), mean, variance))


def test_a_variance_far_from_zero_mean_is_exact():
    x = randn(64, 2, 16, 16, dtype=torch.float32) + 1000
    mean, variance = torch.full((2,), 1000.0), torch.full((2,), 3.0)
    expected = plain(x.double(), mean.double(), variance.double())
    for found in (
        statistics_distance(x, mean, variance),
        matched_batch_norm(x, mean, variance)[1],
    ):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


def test_statistics_of_half_precision_are_computed_in_single():
    x = (randn(16, 3, 8, 8) * 100).to(torch.float16)
    mean, variance = running(dtype=torch.float32)
    expected = plain(x.float(), mean, variance)
    torch.testing.assert_close(statistics_distance(x, mean, variance), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_the_distance(shape):
    x, (mean, variance) = randn(*shape).requires_grad_(), running()
    assert torch.autograd.gradcheck(lambda x: statistics_distance(x, mean, variance), x)


def test_a_gradient_at_distance_zero_is_finite():
    x = randn(8, 3, 4, 4).requires_grad_()
    rows = x.detach().transpose(0, 1).reshape(3, -1)
    mean, variance = rows.mean(1), rows.var(1, unbiased=False)
    for distance in (
        statistics_distance(x, mean, variance),
        matched_batch_norm(x, mean, variance)[1],
    ):
        assert distance < 1e-6
        (grad,) = torch.autograd.grad(distance, x)
        assert bool(grad.isfinite().all())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"running_mean": torch.zeros(4)}, "running_mean has shape"),
        ({"running_var": torch.zeros(3, requires_grad=True)}, "running_var requires grad"),
        ({"axis": 4}, "axis is 4"),
        ({"x": torch.zeros(0, 3)}, "no statistics"),
        ({"x": torch.zeros(2, 3, dtype=torch.long)}, "floating-point"),
    ],
)
def test_a_distance_refuses(change, said):
    given = {"x": torch.zeros(2, 3), "running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    with pytest.raises(ArgumentError, match=said):
        statistics_distance(**given | change)
    if "axis" not in change:
        with pytest.raises(ArgumentError, match=said):
            matched_batch_norm(**given | change)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_the_fused_norm_gives_the_output_and_the_distance(shape, affine):
    x, (mean, variance) = randn(*shape).requires_grad_(), running()
    weight, bias = (randn(3, seed=3), randn(3, seed=4)) if affine else (None, None)
    before = mean.clone(), variance.clone()
    y, distance = matched_batch_norm(x, mean, variance, weight, bias, eps=1e-3)
    expected = torch.nn.functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(distance, plain(x, mean, variance))
    assert torch.equal(mean, before[0])
    assert torch.equal(variance, before[1])

    def both(x):
        return matched_batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    assert torch.autograd.gradcheck(both, x)
    # Each output alone has its gradient as well.
    assert torch.autograd.gradcheck(lambda x: both(x)[0], x)
    assert torch.autograd.gradcheck(lambda x: both(x)[1], x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_fused_norm_keeps_the_layout(layout):
    x, (mean, variance) = randn(4, 3, 5, 6).to(memory_format=layout).requires_grad_(), running()
    y, distance = matched_batch_norm(x, mean, variance)
    (grad,) = torch.autograd.grad(y.square().sum() + distance, x)
    assert y.is_contiguous(memory_format=layout)
    assert grad.is_contiguous(memory_format=layout)
    z = x.detach().contiguous().requires_grad_()
    expected = torch.nn.functional.batch_norm(z, mean, variance)
    loss = expected.square().sum() + plain(z, mean, variance)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(grad, torch.autograd.grad(loss, z)[0])


def test_weights_that_learn_get_their_gradient():
    x, (mean, variance) = randn(4, 3, 5).requires_grad_(), running()
    weight, bias = randn(3, seed=3).requires_grad_(), randn(3, seed=4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *given: matched_batch_norm(given[0], mean, variance, *given[1:]), (x, weight, bias)
    )


def test_half_precision_keeps_its_type_and_counts_in_single():
    mean, variance = running(dtype=torch.float32)
    x = randn(8, 3, 4, 4).to(torch.bfloat16).requires_grad_()
    y, distance = matched_batch_norm(x, mean, variance)
    assert (y.dtype, distance.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(distance, plain(x.float(), mean, variance))
    (y.float().sum() + distance).backward()
    assert bool(x.grad.isfinite().all())


def test_functional_transforms_work():
    x, (mean, variance) = randn(4, 3, 5), running()
    found = torch.func.grad(lambda x: matched_batch_norm(x, mean, variance)[1])(x)
    z = x.clone().requires_grad_()
    torch.testing.assert_close(found, torch.autograd.grad(plain(z, mean, variance), z)[0])


def test_the_first_layer_has_its_weight():
    each = [torch.tensor(value) for value in (0.75052, 4.31117, 4.0754)]
    assert statistics_regulariser(each).item() == pytest.approx(15.89177)
    assert statistics_regulariser(torch.stack(each), first_weight=1).item() == pytest.approx(
        9.13709
    )
    with pytest.raises(ArgumentError, match="one number a layer"):
        statistics_regulariser([])


def test_the_objective_of_several_networks():
    losses, regularisers = [torch.tensor(3.0), torch.tensor(1.0)], torch.tensor([10.0, 30.0])
    found = recovery_terms(losses, regularisers, [0.25, 0.75], statistics_weight=0.1)
    assert found["label"].item() == pytest.approx(0.25 * 3 + 0.75 * 1)
    assert found["statistics"].item() == pytest.approx(0.1 * (0.25 * 10 + 0.75 * 30))
    equal = recovery_terms(losses, regularisers)
    assert sum(equal.values()).item() == pytest.approx((3.1 + 1.3) / 2)
    one = recovery_terms(losses[:1], regularisers[:1])
    assert sum(one.values()).item() == pytest.approx(3.1)
    assert recovery_terms(losses) == {"label": torch.tensor(2.0)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"regularisers": torch.ones(3)}, "3 regularisers"),
        ({"weights": [1.0]}, "one of each a network"),
        ({"weights": [-1.0, 2.0]}, "at least 0"),
        ({"label_losses": []}, "one number a network"),
    ],
)
def test_the_objective_refuses(change, said):
    given = {"label_losses": torch.ones(2), "regularisers": torch.ones(2)}
    with pytest.raises(ArgumentError, match=said):
        recovery_terms(**given | change)


def test_votes_follow_the_priors():
    priors = randn(5).abs() * 30
    weights = voting_weights(priors, 5)
    assert weights.dtype == torch.float64
    assert weights.sum().item() == pytest.approx(1)
    assert torch.equal(weights.argsort(), priors.argsort())
    torch.testing.assert_close(voting_weights(priors, 1e9), torch.full((5,), 0.2).double())
    for cold in (1e-3, 1e-320):
        assert voting_weights([10.0, 90.0, 50.0], cold).tolist() == [0, 1, 0]
    assert voting_weights([50.0], 1).tolist() == [1]
    assert voting_weights(torch.tensor([50, 60]), 1).dtype == torch.float32


@pytest.mark.parametrize(
    ("priors", "temperature", "said"),
    [
        ([50.0, -1.0], 5, "at least 0"),
        ([50.0, math.nan], 5, "finite"),
        ([50.0, math.inf], 5, "finite"),
        ([], 5, "one a member"),
        ([50.0], 0, "temperature is 0"),
        ([50.0], -1, "temperature is -1"),
    ],
)
def test_votes_refuse(priors, temperature, said):
    with pytest.raises(ArgumentError, match=said):
        voting_weights(priors, temperature)


def test_variation_of_two_by_two_pixels():
    x = torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]], dtype=torch.float64, requires_grad=True)
    # To the right 1 and 4, downwards 3 and 6, along the diagonals 7 and 2.
    assert image_variation(x, form="l1").item() == pytest.approx(2.5 + 4.5 + 7 + 2)
    expected = math.sqrt(17) + math.sqrt(45) + 7 + 2
    assert image_variation(x, form="l2").item() == pytest.approx(expected)
    assert torch.autograd.gradcheck(lambda x: image_variation(x, form="l2"), x)


def test_variation_of_one_colour_is_zero_with_a_gradient():
    x = torch.full((2, 3, 4, 4), 2.0, requires_grad=True)
    value = image_variation(x, form="l2")
    assert value < 1e-6
    assert bool(torch.autograd.grad(value, x)[0].isfinite().all())
    assert image_variation(x, form="l1") == 0


@pytest.mark.parametrize(
    ("shape", "form", "said"),
    [((2, 3, 4), "l1", "N, C, H, W"), ((2, 3, 1, 4), "l1", "2x2"), ((2, 3, 4, 4), "l3", "form")],
)
def test_variation_refuses(shape, form, said):
    with pytest.raises(ArgumentError, match=said):
        image_variation(torch.zeros(shape), form=form)
