"""Losses against labels: PyTorch's values, half precision, gradients, and errors that speak."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from limbeck.errors import ArgumentError
from limbeck.functional.supervised import binary_cross_entropy, cross_entropy, squared_error

INF, NAN = math.inf, math.nan
HALVES = [torch.float16, torch.bfloat16]


def numbers(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


CLASSES = torch.tensor([0, 2, 1, 2])
SETS = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
LOSSES = [
    (cross_entropy, CLASSES),
    (binary_cross_entropy, SETS),
    (squared_error, numbers(4, 3, seed=1)),
]
every_loss = pytest.mark.parametrize(("loss", "target"), LOSSES)


def test_values_are_those_of_pytorch():
    student = numbers(4, 3)
    torch.testing.assert_close(cross_entropy(student, CLASSES), F.cross_entropy(student, CLASSES))
    smooth = F.cross_entropy(student, CLASSES, label_smoothing=0.2, reduction="sum")
    ours = cross_entropy(student, CLASSES, label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(ours, smooth)
    expected = F.binary_cross_entropy_with_logits(student, SETS.double())
    torch.testing.assert_close(binary_cross_entropy(student, SETS), expected)
    other = numbers(4, 3, seed=1)
    torch.testing.assert_close(squared_error(student, other), F.mse_loss(student, other))


@every_loss
def test_gradients_are_right(loss, target):
    assert torch.autograd.gradcheck(lambda z: loss(z, target), numbers(4, 3).requires_grad_())


@pytest.mark.parametrize("dtype", HALVES)
@every_loss
def test_half_precision_is_computed_in_float32(loss, target, dtype):
    student = numbers(4, 3, dtype=dtype)
    value = loss(student, target)
    assert value.dtype == torch.float32
    assert value.item() == loss(student.float(), target).item()


@pytest.mark.parametrize("dtype", HALVES)
def test_squares_that_half_precision_cannot_hold(dtype):
    assert squared_error(torch.full((2, 3), 300.0).to(dtype), torch.zeros(2, 3)).item() == 90_000
    large = torch.full((1, 1), 3e4).to(dtype)
    assert binary_cross_entropy(-large, torch.ones(1, 1)).item() == float(large)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_integer_dtype(dtype):
    student = numbers(4, 3)
    for loss, target in LOSSES[:2]:
        assert loss(student, target.to(dtype)).item() == loss(student, target).item()


def test_labels_may_be_probabilities():
    assert binary_cross_entropy(torch.zeros(1, 1), torch.full((1, 1), 0.5)).item() > 0
    assert binary_cross_entropy(torch.zeros(1, 1), torch.tensor([[True]])).item() > 0


def test_columns_and_vectors_are_the_same_numbers():
    assert squared_error(torch.tensor([[3.0]]), torch.tensor([1.0])).item() == 4
    assert squared_error(torch.tensor([3.0]), torch.tensor([[1]])).item() == 4


@every_loss
def test_compiles_and_maps(loss, target):
    student = numbers(4, 3)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(student, target), loss(student, target))
    models = torch.stack([student, student + 1])
    mapped = torch.func.vmap(loss, in_dims=(0, None))(models, target)
    torch.testing.assert_close(mapped, torch.stack([loss(one, target) for one in models]))


@every_loss
def test_an_empty_batch_is_0(loss, target):
    assert loss(torch.zeros(0, 3), target[:0]).item() == 0


def test_a_class_that_is_ruled_out_is_fine():
    student = torch.tensor([[0.0, 0.0, -INF]], requires_grad=True)
    value = cross_entropy(student, torch.tensor([1]))
    assert value.item() == pytest.approx(math.log(2))
    assert torch.autograd.grad(value, student)[0].isfinite().all()


@every_loss
def test_a_number_that_is_none_is_named(loss, target):
    student = numbers(4, 3)
    student[2, 1] = NAN
    with pytest.raises(ArgumentError, match="student.*NaN or infinity at .*the first at index .2"):
        loss(student, target)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: cross_entropy(z, CLASSES, label_smoothing=1.5), "label_smoothing is 1.5, ex.*1"),
        (lambda z: cross_entropy(z, CLASSES, label_smoothing=NAN), "label_smoothing is nan"),
        (lambda z: cross_entropy(z, CLASSES[:2]), r"expected target \(4,\)"),
        (lambda z: cross_entropy(z.long(), CLASSES), r"student has dtype.*use student.float\(\)"),
        (lambda z: binary_cross_entropy(z, 7 * SETS), "values from 0 to 7, expected 0 to 1"),
        (lambda z: binary_cross_entropy(z, -1.0 * SETS), "target holds values from -1 to"),
        (lambda z: binary_cross_entropy(z.long(), SETS), "student has dtype torch.int64"),
        (lambda z: binary_cross_entropy(z, z.sigmoid()), "target requires grad"),
        (lambda z: squared_error(z, z + 1), "target requires grad.*target.detach"),
        (lambda z: squared_error(z.long(), CLASSES), "expected equal shapes"),
        (lambda z: squared_error(z.long(), SETS), "student has dtype torch.int64"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(numbers(4, 3).requires_grad_())
