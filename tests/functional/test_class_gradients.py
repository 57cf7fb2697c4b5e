"""The closed form against the matrices written out, and against autograd."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import ArgumentError
from limbeck.functional import class_gradient, semantic_distance, semantic_loss


def written_out(student, teacher):
    classes, width = student.shape
    total = 0
    for c in range(classes):
        rows = [F.normalize(torch.outer(g[c], g[c]), dim=1, eps=1e-12) for g in (student, teacher)]
        total = total + (rows[0] - rows[1]).square().sum()
    return total / (classes * width)


def pair(scale=1.0, classes=5, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, classes, width, dtype=torch.float64, generator=generator)
    return draw[0] * scale, draw[1] * scale


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-6, 3e-7, 1e-9, 1e6])
def test_equals_the_matrices_written_out(scale):
    student, teacher = pair(scale)
    expected = written_out(student, teacher)
    torch.testing.assert_close(semantic_distance(student, teacher), expected, rtol=1e-9, atol=1e-14)


def test_rows_of_zeros_count_as_nothing():
    student, teacher = pair()
    student[1], teacher[2], student[3, 2] = 0.0, 0.0, 0.0
    torch.testing.assert_close(semantic_distance(student, teacher), written_out(student, teacher))


def test_gradient_equals_that_of_the_matrices():
    student, teacher = pair(seed=3)
    grads = []
    for distance in (semantic_distance, written_out):
        own = student.clone().requires_grad_()
        grads.append(torch.autograd.grad(distance(own, teacher), own)[0])
    torch.testing.assert_close(grads[0], grads[1])


def test_no_matrix_of_channels_is_made():
    # One of D x D would take 400 MB, and one a class a thousand times that.
    student, teacher = torch.randn(2, 1000, 10_000)
    assert 0 < semantic_distance(student, teacher) < 4


def test_gradient_of_the_last_layer_equals_autograd():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(6, 4, generator=generator)
    layer, target = torch.nn.Linear(4, 3), torch.tensor([0, 2, 1, 1, 0, 2])
    logits = layer(features)
    expected = torch.autograd.grad(F.cross_entropy(logits, target), layer.weight)[0]
    torch.testing.assert_close(class_gradient(features, logits, target), expected)


def test_loss_teaches():
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(8, 4, generator=generator, requires_grad=True)
    head, target = torch.randn(3, 4, generator=generator), torch.arange(8) % 3
    told = torch.randn(8, 3, generator=generator), torch.randn(8, 4, generator=generator)
    first = None
    for _ in range(60):
        loss = semantic_loss((features @ head.T, features), told, target)
        first = first if first is not None else loss.item()
        (step,) = torch.autograd.grad(loss, features)
        features = (features - 0.5 * step).detach().requires_grad_()
    assert loss.item() < 0.9 * first


def test_unequal_widths_are_refused_with_the_way_out():
    with pytest.raises(ArgumentError, match="compare classes instead"):
        semantic_distance(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ArgumentError, match="same classes"):
        semantic_distance(torch.zeros(3, 4), torch.zeros(2, 4))


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        semantic_distance(torch.full((2, 2), torch.nan), torch.zeros(2, 2))
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        class_gradient(torch.full((2, 2), torch.inf), torch.zeros(2, 2), torch.tensor([0, 1]))
    with pytest.raises(ArgumentError, match="as many rows"):
        class_gradient(torch.zeros(3, 2), torch.zeros(2, 2), torch.tensor([0, 1]))
