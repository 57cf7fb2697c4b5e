"""Losses between relations of samples: values, gradients, edges, invariances and errors."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.special import rel_entr

from limbeck.errors import ArgumentError
from limbeck.functional.relations import (
    cka_loss,
    linear_cka,
    pairwise_distances,
    pkt_loss,
    rkd_angle_loss,
    rkd_distance_loss,
    similarity_preserving_loss,
)

properties = settings(deadline=None, max_examples=30, derandomize=True)
LOSSES = {
    "distance": rkd_distance_loss,
    "angle": rkd_angle_loss,
    "pkt": pkt_loss,
    "similarity": similarity_preserving_loss,
    "cka": cka_loss,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def samples(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


# Values


def test_distances_are_those_of_scipy():
    x = samples(6, 3)
    np.testing.assert_allclose(pairwise_distances(x).numpy(), cdist(x, x), atol=1e-12)
    squared = pairwise_distances(x, squared=True)
    np.testing.assert_allclose(squared.numpy(), cdist(x, x, "sqeuclidean"), atol=1e-12)


def test_distances_keep_their_digits_far_from_the_origin():
    x = samples(6, 3, dtype=torch.float32)
    far = pairwise_distances(x.double() + 1e4).float()
    torch.testing.assert_close(pairwise_distances(x + 1e4), far, rtol=0.01, atol=0.01)


def test_distance_loss_is_that_of_the_formula():
    student, teacher = samples(5, 3), samples(5, 4, seed=1)
    sides = []
    for x in (student, teacher):
        distance = cdist(x, x)
        sides.append(torch.from_numpy(distance / distance[~np.eye(5, dtype=bool)].mean()))
    expected = F.smooth_l1_loss(*sides, reduction="none")
    each = rkd_distance_loss(student, teacher, reduction="none")
    torch.testing.assert_close(each, expected)
    torch.testing.assert_close(rkd_distance_loss(student, teacher), expected.sum() / 20)
    total = rkd_distance_loss(student, teacher, reduction="sum")
    torch.testing.assert_close(total, expected.sum())


def test_angle_loss_is_that_of_a_loop_over_triples():
    student, teacher = samples(4, 3), samples(4, 5, seed=1)

    def cosine(x, i, j, k):
        return F.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0)

    triples = [*permutations(range(4), 3)]
    expected = torch.stack(
        [F.smooth_l1_loss(cosine(student, *one), cosine(teacher, *one)) for one in triples]
    )
    torch.testing.assert_close(rkd_angle_loss(student, teacher), expected.mean())
    each = rkd_angle_loss(student, teacher, reduction="none")
    assert each.shape == (4, 4, 4)
    torch.testing.assert_close(each[1, 0, 2], expected[triples.index((0, 1, 2))])


def test_pkt_is_the_divergence_of_neighbours():
    student, teacher = samples(5, 3), samples(5, 4, seed=1)
    sides = []
    for x in (student, teacher):
        kernel = 1 - cdist(x, x, "cosine") / 2
        np.fill_diagonal(kernel, 0)
        sides.append(kernel / kernel.sum(1, keepdims=True))
    expected = rel_entr(sides[1], sides[0]).sum(1)
    actual = pkt_loss(student, teacher, reduction="none")
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5)


def test_similarity_preserving_is_the_published_sum():
    student, teacher = samples(5, 3, 2), samples(5, 4, seed=1)
    rows = [F.normalize(x.flatten(1) @ x.flatten(1).T) for x in (student, teacher)]
    expected = (rows[0] - rows[1]).square().sum() / 25
    torch.testing.assert_close(similarity_preserving_loss(student, teacher), expected)


@pytest.mark.parametrize("size", [4, 12])
def test_cka_is_the_same_from_samples_and_from_features(size):
    student, teacher = samples(size, 5), samples(size, 7, seed=1)
    centred = [x - x.mean(0) for x in (student, teacher)]
    kernels = [(x @ x.T).flatten() for x in centred]
    expected = F.cosine_similarity(*kernels, dim=0)
    torch.testing.assert_close(linear_cka(student, teacher), expected)


# Gradients and transformations


@every_loss
@pytest.mark.parametrize("size", [3, 9])
def test_gradients_are_right(loss, size):
    teacher = samples(size, 4, seed=1)
    student = samples(size, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student)


def test_distances_have_the_gradient_of_the_formula():
    x = samples(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(pairwise_distances, x)
    assert torch.autograd.gradcheck(lambda x: pairwise_distances(x, squared=True), x)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = samples(5, 6, dtype=dtype), samples(5, 4, seed=1, dtype=dtype)
    actual = loss(student, teacher)
    assert actual.dtype == torch.float32
    assert actual.item() == loss(student.float(), teacher.float()).item()


@every_loss
def test_compiles_to_one_graph(loss):
    student, teacher = samples(5, 3).requires_grad_(), samples(5, 4, seed=1)
    expected = loss(student, teacher)
    actual = torch.compile(loss, fullgraph=True, backend="aot_eager")(student, teacher)
    slopes = [torch.autograd.grad(value, student)[0] for value in (actual, expected)]
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(*slopes)


@every_loss
def test_maps_and_differentiates_as_a_function(loss):
    student, teacher = samples(3, 5, 3), samples(3, 5, 4, seed=1)
    mapped = torch.func.vmap(loss)(student, teacher)
    torch.testing.assert_close(mapped, torch.stack([*map(loss, student, teacher)]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(one, other) for one, other in zip(leaf, teacher, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e-25, 1.0, 1e4, 1e25])
def test_zero_coinciding_tiny_and_large_samples_are_finite(loss, size):
    rows = size * samples(5, 3, dtype=torch.float32)
    rows[1] = rows[0]
    teacher = size * samples(5, 3, seed=1, dtype=torch.float32)
    for student in (rows, torch.zeros(5, 3), size * torch.ones(5, 3)):
        for other in (teacher, rows, torch.zeros(5, 3)):
            leaf = student.clone().requires_grad_()
            value = loss(leaf, other)
            assert -1e-6 <= value.item() < math.inf
            assert torch.autograd.grad(value, leaf)[0].isfinite().all()


@every_loss
@pytest.mark.parametrize("size", [0, 1, 2])
def test_batches_too_small_to_relate_have_no_gradient(loss, size):
    student = samples(5, 3)[:size].requires_grad_()
    value = loss(student, samples(5, 4, seed=1)[:size])
    assert value.isfinite()
    slope = torch.autograd.grad(value, student)[0]
    assert slope.shape == student.shape
    assert slope.isfinite().all()
    if size < 2:
        assert value.item() == pytest.approx(float(loss is cka_loss), abs=1e-12)
        assert (slope.abs() < 1e-12).all()


def test_opposite_vectors_keep_a_finite_divergence():
    student = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    value = pkt_loss(student, torch.eye(3))
    assert value.isfinite()
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_cka_of_what_does_not_vary_is_zero():
    for size in (3, 4, 7, 9, 50):
        for number in (1.0, 0.1, 7.7, 1e4 + 0.1):
            constant = torch.full((size, 3), number, requires_grad=True)
            value = linear_cka(constant, samples(size, 3, dtype=torch.float32))
            assert value.item() == 0
            assert (torch.autograd.grad(value, constant)[0] == 0).all()


def test_rows_that_coincide_have_distance_zero_and_no_gradient():
    rows = samples(64, 100, dtype=torch.float32)
    rows[1], rows[40] = rows[0], rows[3]
    rows.requires_grad_()
    distances = pairwise_distances(rows)
    assert distances[0, 1].item() == distances[3, 40].item() == 0
    slope = torch.autograd.grad(distances[0, 1] + distances[40, 3], rows)[0]
    assert (slope == 0).all()


def test_losses_on_scale_do_not_see_it_at_any_size():
    student, teacher = samples(5, 3, dtype=torch.float32), samples(5, 4, dtype=torch.float32)
    for loss in (rkd_distance_loss, rkd_angle_loss, similarity_preserving_loss, cka_loss):
        for scale in (1e-20, 1e20):
            expected = loss(student, teacher)
            torch.testing.assert_close(loss(scale * student, teacher), expected)


# Properties


@st.composite
def pairs(draw):
    """Two tensors (N, D) of rows that differ."""
    shape = (draw(st.integers(3, 6)), draw(st.integers(2, 4)))
    seeds = draw(st.tuples(st.integers(0, 999), st.integers(1000, 1999)))
    return tuple(samples(*shape, seed=seed) for seed in seeds)


def rotation(width, seed):
    return torch.linalg.qr(samples(width, width, seed=seed))[0]


@properties
@given(pairs(), st.floats(0.01, 100), st.floats(-50, 50), st.integers(0, 99))
def test_relations_do_not_see_what_they_should_not(pair, scale, shift, seed):
    """Rotation and scale for all; a shift too for those that look at differences."""
    student, teacher = pair
    turned = scale * student @ rotation(student.shape[1], seed)
    for loss in LOSSES.values():
        expected = loss(student, teacher)
        actual = loss(turned, teacher)
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-8)
    for loss in (rkd_distance_loss, rkd_angle_loss, cka_loss):
        actual = loss(turned + shift, teacher)
        torch.testing.assert_close(actual, loss(student, teacher), rtol=1e-6, atol=1e-8)


@properties
@given(pairs(), st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    for loss in LOSSES.values():
        actual = loss(*(x[order] for x in pair))
        torch.testing.assert_close(actual, loss(*pair), rtol=1e-9, atol=1e-11)


@properties
@given(pairs())
def test_losses_vanish_on_equals_and_are_not_negative(pair):
    student, teacher = pair
    for loss in LOSSES.values():
        assert abs(loss(student, student).item()) < 1e-9
        assert loss(student, teacher).item() > -1e-9
    assert 0 <= linear_cka(student, teacher).item() <= 1 + 1e-12
    swapped = linear_cka(teacher, student)
    torch.testing.assert_close(linear_cka(student, teacher), swapped)


@properties
@given(arrays(np.float64, (4, 3), elements=st.floats(-100, 100)))
def test_distances_are_a_metric(x):
    d = pairwise_distances(torch.from_numpy(x))
    torch.testing.assert_close(d, d.T)
    assert (d[:, None] <= d[:, :, None] + d[None] + 1e-5).all()


# Errors


@every_loss
def test_bad_arguments_are_named(loss):
    student, teacher = samples(5, 3), samples(5, 4, seed=1)
    message = r"\(5, 3\) and teacher has shape \(4, 4\).*the same samples in the same order"
    with pytest.raises(ArgumentError, match=message):
        loss(student, teacher[:4])
    with pytest.raises(ArgumentError, match=r"student has shape \(5,\)"):
        loss(student[:, 0], teacher)
    with pytest.raises(ArgumentError, match=r"teacher requires grad.*teacher.detach\(\)"):
        loss(student, teacher.clone().requires_grad_())
    with pytest.raises(ArgumentError, match="student holds NaN or infinity at 15 of 15"):
        loss(student * math.nan, teacher)
    if loss is not cka_loss:
        with pytest.raises(ArgumentError, match="reduction is 'max'"):
            loss(student, teacher, reduction="max")


def test_distances_want_a_matrix():
    with pytest.raises(ArgumentError, match=r"value has shape \(3,\), expected \(N, D\)"):
        pairwise_distances(torch.zeros(3))
    with pytest.raises(ArgumentError, match="value holds NaN or infinity at 6 of 6"):
        pairwise_distances(torch.full((2, 3), math.nan))


def test_angles_have_second_derivatives():
    student, teacher = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 2).double()
    student[3] = student[2]
    found = torch.autograd.functional.hessian(lambda x: rkd_angle_loss(x, teacher), student)
    assert found.isfinite().all()
    assert (found != 0).any()
    different = student + torch.eye(4, 3, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(
        lambda x: rkd_angle_loss(x, teacher), different.requires_grad_()
    )
