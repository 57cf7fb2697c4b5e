"""Losses between features: values, gradients, edges, invariances and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from limbeck.errors import ArgumentError
from limbeck.functional.features import (
    check_features,
    cosine_loss,
    feature_mse_loss,
    flow_matrix,
    fsp_loss,
    gram_loss,
    unit_vectors,
)

properties = settings(deadline=None, max_examples=40, derandomize=True)


def features(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def fsp(student, teacher, **options):
    """`fsp_loss` of the map given and one of three channels made from it."""
    return fsp_loss((student, student[:, :3] ** 2), (teacher, teacher[:, :3] ** 2), **options)


MASK = torch.tensor([[True, True, False, True, False], [False] * 5])
LOSSES = {
    "mse": feature_mse_loss,
    "unit mse": lambda s, t: feature_mse_loss(s, t, normalize=True, over_features="sum"),
    "masked mse": lambda s, t: feature_mse_loss(s, t, mask=MASK[:, : s.shape[1]]),
    "cosine": cosine_loss,
    "masked cosine": lambda s, t: cosine_loss(s, t, mask=MASK[:, : s.shape[1]], reduction="sum"),
    "gram": gram_loss,
    "fsp": fsp,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# Values


def test_squared_error_is_that_of_torch():
    student, teacher = features(3, 4, 5), features(3, 4, 5, seed=1)
    expected = F.mse_loss(student, teacher, reduction="none")
    torch.testing.assert_close(feature_mse_loss(student, teacher), expected.mean())
    each = feature_mse_loss(student, teacher, over_features="sum", axis=1, reduction="none")
    torch.testing.assert_close(each, expected.sum(1))
    total = feature_mse_loss(student, teacher, reduction="sum")
    torch.testing.assert_close(total, expected.mean(-1).sum())


def test_cosine_is_that_of_torch():
    student, teacher = features(3, 4, 5), features(3, 4, 5, seed=1)
    for axis in (1, -1):
        expected = 1 - F.cosine_similarity(student, teacher, axis)
        actual = cosine_loss(student, teacher, axis=axis, reduction="none")
        torch.testing.assert_close(actual, expected)


def test_normalised_sum_is_twice_the_cosine_loss():
    student, teacher = features(3, 4, 5), features(3, 4, 5, seed=1)
    actual = feature_mse_loss(student, teacher, normalize=True, over_features="sum")
    torch.testing.assert_close(actual, 2 * cosine_loss(student, teacher))


@pytest.mark.parametrize("loss", [feature_mse_loss, cosine_loss])
@pytest.mark.parametrize("axis", [1, -1])
def test_mask_leaves_positions_out_whatever_stands_there(loss, axis):
    mask = MASK if axis == -1 else MASK[:, :4]
    student, teacher = features(2, 5, 4), features(2, 5, 4, seed=1)
    if axis == 1:
        student, teacher = student.movedim(2, 1)[..., :4], teacher.movedim(2, 1)[..., :4]
    real = mask.unsqueeze(axis)
    for filling in (0.0, math.nan, math.inf):
        leaf = torch.where(real, student, filling).requires_grad_()
        options = {"mask": mask, "axis": axis}
        value = loss(leaf, torch.where(real, teacher, filling), **options)
        kept = (x.movedim(axis, -1)[mask] for x in (student, teacher))
        torch.testing.assert_close(value, loss(*kept))
        slope = torch.autograd.grad(value, leaf)[0]
        assert slope.isfinite().all()
        assert (torch.where(real, 0.0, slope) == 0).all()
    each = loss(student, teacher, mask=mask, axis=axis, reduction="none")
    assert (each[~mask] == 0).all()
    assert loss(leaf, teacher, mask=torch.zeros_like(mask), axis=axis).item() == 0


def test_flow_and_gram_are_products_of_channels():
    first, second = features(2, 3, 4, 5), features(2, 6, 4, 5, seed=1)
    expected = torch.einsum("nchw,ndhw->ncd", first, second) / 20
    torch.testing.assert_close(flow_matrix(first, second), expected)
    teacher = features(2, 3, 7, seed=2)
    grams = flow_matrix(first, first), flow_matrix(teacher, teacher)
    expected = (grams[0] - grams[1]).square().mean((1, 2))
    torch.testing.assert_close(gram_loss(first, teacher, reduction="none"), expected)
    torch.testing.assert_close(gram_loss(first, teacher), expected.mean())


# Gradients and transformations


@every_loss
def test_gradients_are_right(loss):
    teacher = features(2, 4, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), features(2, 4, 3).requires_grad_())


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = features(2, 5, 6, dtype=dtype), features(2, 5, 6, seed=1, dtype=dtype)
    if loss is LOSSES["fsp"]:
        student, teacher = student.float(), teacher.float()
    actual = loss(student, teacher)
    assert actual.dtype == torch.float32
    assert actual.item() == loss(student.float(), teacher.float()).item()


@every_loss
def test_compiles_to_one_graph(loss):
    student, teacher = features(2, 4, 3).requires_grad_(), features(2, 4, 3, seed=1)
    expected = loss(student, teacher)
    actual = torch.compile(loss, fullgraph=True, backend="aot_eager")(student, teacher)
    slopes = [torch.autograd.grad(value, student)[0] for value in (actual, expected)]
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(*slopes)


@every_loss
def test_maps_and_differentiates_as_a_function(loss):
    student, teacher = features(3, 2, 4, 3), features(3, 2, 4, 3, seed=1)
    mapped = torch.func.vmap(loss)(student, teacher)
    torch.testing.assert_close(mapped, torch.stack([*map(loss, student, teacher)]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(one, other) for one, other in zip(leaf, teacher, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e4])
def test_zero_tiny_and_large_features_are_finite(loss, size):
    student = (size * features(2, 4, 3, dtype=torch.float32)).requires_grad_()
    for teacher in (torch.zeros(2, 4, 3), size * features(2, 4, 3, seed=1, dtype=torch.float32)):
        value = loss(student, teacher)
        assert value.isfinite()
        assert torch.autograd.grad(value, student)[0].isfinite().all()


@pytest.mark.parametrize("name", ["mse", "unit mse", "cosine", "gram", "fsp"])
def test_batch_of_one_and_of_zero(name):
    loss = LOSSES[name]
    for size in (1, 0):
        student = features(2, 4, 3)[:size].requires_grad_()
        value = loss(student, features(2, 4, 3, seed=1)[:size])
        assert torch.autograd.grad(value, student)[0].shape == student.shape
        assert (value.item() > 0) == (size > 0)


def test_zero_vector_has_cosine_zero_and_no_gradient():
    student = torch.zeros(1, 3, requires_grad=True)
    value = cosine_loss(student, torch.ones(1, 3))
    assert value.item() == 1
    assert torch.autograd.grad(value, student)[0].tolist() == [[0.0, 0.0, 0.0]]


def test_unit_vectors_of_any_length():
    for size in (1e-10, 1.0, 1e30, 1e38):
        unit = unit_vectors(size * torch.tensor([[0.6, 0.8, 0.0]]))
        torch.testing.assert_close(unit, torch.tensor([[0.6, 0.8, 0.0]]))
    assert unit_vectors(torch.zeros(0, 3)).shape == (0, 3)
    assert unit_vectors(torch.tensor([[math.nan, 1.0]])).isnan().all()
    assert torch.autograd.gradcheck(unit_vectors, features(2, 3).requires_grad_())


# Properties


@st.composite
def pairs(draw):
    """Two tensors (N, D, P) whose vectors are not close to zero."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(1, 4)))
    numbers = st.floats(0.1, 10) | st.floats(-10, -0.1)
    return torch.from_numpy(draw(arrays(np.float64, (2, *shape), elements=numbers))).unbind(0)


@properties
@given(pairs(), st.floats(0.01, 100))
def test_cosine_does_not_see_the_length(pair, scale):
    student, teacher = pair
    actual = cosine_loss(scale * student, teacher)
    torch.testing.assert_close(actual, cosine_loss(student, teacher), rtol=1e-9, atol=1e-12)
    assert -1e-12 <= actual.item() <= 2 + 1e-12


@properties
@given(pairs(), st.randoms(use_true_random=False))
def test_gram_does_not_see_the_order_of_positions(pair, random):
    student, teacher = pair
    order = list(range(student.shape[2]))
    random.shuffle(order)
    actual = gram_loss(student[..., order], teacher)
    torch.testing.assert_close(actual, gram_loss(student, teacher), rtol=1e-9, atol=1e-9)


@properties
@given(pairs())
def test_losses_vanish_on_equals_and_are_symmetric(pair):
    student, teacher = pair
    for loss in (feature_mse_loss, cosine_loss, gram_loss):
        assert abs(loss(student, student).item()) < 1e-12
        torch.testing.assert_close(loss(student, teacher), loss(teacher, student))


# Errors


def test_widths_that_differ_ask_for_a_projector():
    message = r"\(2, 3\) and teacher has shape \(2, 4\).*use a projector from 3 to 4 features"
    for loss in (feature_mse_loss, cosine_loss):
        with pytest.raises(ArgumentError, match=message):
            loss(features(2, 3), features(2, 4))
    with pytest.raises(ArgumentError, match=r"\(2, 3\) and teacher has shape \(3, 3\)"):
        feature_mse_loss(features(2, 3), features(3, 3))
    with pytest.raises(ArgumentError, match="use a projector, such as a 1x1 convolution"):
        gram_loss(features(2, 3, 4), features(2, 4, 4))
    with pytest.raises(ArgumentError, match="pool the larger map first"):
        flow_matrix(features(2, 3, 4), features(2, 3, 5))
    with pytest.raises(ArgumentError, match="teacher has feature maps of shape"):
        fsp_loss((features(2, 3, 4),) * 2, (features(2, 3, 4), features(2, 3, 5)))
    with pytest.raises(ArgumentError, match="expected some features"):
        check_features(torch.zeros(2, 0), torch.zeros(2, 0))


@every_loss
def test_teacher_with_gradient_and_nan_are_named(loss):
    student, teacher = features(2, 5, 3), features(2, 5, 3, seed=1)
    with pytest.raises(ArgumentError, match=r"teacher requires grad.*teacher.detach\(\)"):
        loss(student, teacher.clone().requires_grad_())
    for bad in (math.nan, math.inf):
        wrong = student.clone()
        wrong[0, 0, 0] = bad
        with pytest.raises(ArgumentError, match="student holds NaN or infinity at"):
            loss(wrong, teacher)


def test_options_and_masks_are_named():
    pair = features(2, 3), features(2, 3, seed=1)
    with pytest.raises(ArgumentError, match="over_features is 'max', expected one of 'mean'"):
        feature_mse_loss(*pair, over_features="max")
    with pytest.raises(ArgumentError, match="reduction is 'batchmean'"):
        cosine_loss(*pair, reduction="batchmean")
    with pytest.raises(ArgumentError, match=r"mask has shape \(2, 3\).*expected \(2,\)"):
        cosine_loss(*pair, mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"torch.float32.*use mask.bool\(\)"):
        feature_mse_loss(*pair, mask=torch.ones(2))


def test_second_derivatives_of_zero_vectors_are_zero():
    value = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    found = torch.autograd.functional.hessian(lambda x: unit_vectors(x)[:, 0].sum(), value)
    assert found.isfinite().all()
    assert (found[0] == 0).all()
    assert (found[1, :, 1] != 0).any()


def test_axes_and_maps_that_are_not_there_are_named():
    flat, maps = torch.zeros(3, 2), torch.zeros(3, 2, 2)
    for loss in (feature_mse_loss, cosine_loss):
        with pytest.raises(ArgumentError, match=r"axis is 2 and student has shape \(3, 2\)"):
            loss(flat, flat, axis=2)
    for pair in ((maps, maps), ((maps, maps), maps), ((maps, maps, maps), (maps, maps))):
        with pytest.raises(ArgumentError, match="expected the feature maps of two layers"):
            fsp_loss(*pair)
