"""The contrastive loss of CRD: values, gradients, edges and errors."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.contrastive import crd_loss

TARGET = torch.tensor([0, 1, 0, 2])


def embeddings(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


BANK, OWN_BANK = embeddings(6, 3, seed=2), embeddings(4, 6, 3, seed=2)
LOSSES = {
    "batch": crd_loss,
    "classes": lambda s, t: crd_loss(s, t, TARGET, samples=100, log_normalizer=0.5),
    "bank": lambda s, t: crd_loss(s, t, negatives=BANK, samples=100),
    "own bank": lambda s, t: crd_loss(s, t, negatives=OWN_BANK),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def test_value_is_that_of_the_formula():
    student, teacher = embeddings(4, 3), embeddings(4, 3, seed=1)
    scores = F.cosine_similarity(student[:, None], teacher[None], dim=-1) / 0.1
    each = []
    for i in range(4):
        others = [j for j in range(4) if TARGET[j] != TARGET[i]]
        noise = len(others) / 50
        chance = {j: (scores[i, j] - 0.3).exp() for j in [i, *others]}
        chance = {j: one / (one + noise) for j, one in chance.items()}
        each.append(-chance[i].log() - sum((1 - chance[j]).log() for j in others))
    options = {"samples": 50, "temperature": 0.1, "log_normalizer": 0.3}
    actual = crd_loss(student, teacher, TARGET, reduction="none", **options)
    torch.testing.assert_close(actual, torch.stack(each))
    torch.testing.assert_close(crd_loss(student, teacher, TARGET, **options), actual.mean())


def test_negatives_of_the_batch_and_of_a_bank_are_the_same_loss():
    student, teacher = embeddings(4, 3), embeddings(4, 3, seed=1)
    others = torch.stack([teacher[[j for j in range(4) if j != i]] for i in range(4)])
    expected = crd_loss(student, teacher, negatives=others, samples=9)
    torch.testing.assert_close(crd_loss(student, teacher, samples=9), expected)


@every_loss
def test_gradients_are_right(loss):
    pair = embeddings(4, 3).requires_grad_(), embeddings(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, pair)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = embeddings(4, 3, dtype=dtype), embeddings(4, 3, seed=1, dtype=dtype)
    actual = loss(student, teacher)
    assert actual.dtype == torch.float32
    assert actual.item() == loss(student.float(), teacher.float()).item()


@every_loss
def test_compiles_maps_and_differentiates_as_a_function(loss):
    student, teacher = embeddings(2, 4, 3), embeddings(2, 4, 3, seed=1)
    expected = torch.stack([*map(loss, student, teacher)])
    torch.testing.assert_close(torch.func.vmap(loss)(student, teacher), expected)
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student[0].clone().requires_grad_()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")(leaf, teacher[0])
    torch.testing.assert_close(compiled, expected[0])
    torch.testing.assert_close(torch.autograd.grad(compiled, leaf)[0], slopes[0])


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
def test_zero_tiny_and_large_embeddings_are_finite(loss, size):
    student = (size * embeddings(4, 3, dtype=torch.float32)).requires_grad_()
    value = loss(student, size * embeddings(4, 3, seed=1, dtype=torch.float32))
    assert value.isfinite()
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_sample_without_negatives_is_only_attracted():
    student, teacher = embeddings(3, 3), embeddings(3, 3, seed=1)
    actual = crd_loss(student, teacher, TARGET[:1].expand(3), temperature=1.0, reduction="none")
    expected = -F.logsigmoid(F.cosine_similarity(student, teacher))
    torch.testing.assert_close(actual, expected)


def test_empty_batch_is_zero_and_one_sample_needs_negatives():
    none = torch.zeros(0, 3, requires_grad=True)
    value = crd_loss(none, torch.zeros(0, 3))
    assert value.item() == 0
    assert torch.autograd.grad(value, none)[0].shape == (0, 3)
    one = embeddings(1, 3)
    with pytest.raises(ArgumentError, match="one sample has no negatives; use a larger batch or"):
        crd_loss(one, one)
    assert crd_loss(one, one, negatives=embeddings(2, 3, seed=1)).isfinite()
    assert crd_loss(one[:0], one[:0], negatives=embeddings(0, 2, 3)).item() == 0


def test_dtypes_of_student_and_teacher_may_differ():
    student, teacher = embeddings(4, 3), embeddings(4, 3, seed=1, dtype=torch.float32)
    actual = crd_loss(student.float(), teacher.double())
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, crd_loss(student.float().double(), teacher.double()))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 99), st.floats(0.01, 100), st.randoms(use_true_random=False))
def test_length_and_order_do_not_matter(seed, scale, random):
    student, teacher = embeddings(4, 3, seed=seed), embeddings(4, 3, seed=seed + 100)
    order = list(range(4))
    random.shuffle(order)
    expected = crd_loss(student, teacher, TARGET)
    actual = crd_loss(scale * student[order], teacher[order], TARGET[order])
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: crd_loss(x, x[:, :2]), "use a projector from 3 to 2 features"),
        (lambda x: crd_loss(x[0], x[0]), r"student has shape \(3,\), expected \(N, D\)"),
        (lambda x: crd_loss(x, x, TARGET[:2]), r"target has shape \(2,\), expected \(4,\)"),
        (lambda x: crd_loss(x, x, TARGET.float()), "torch.float32, expected class indices; use"),
        (lambda x: crd_loss(x, x, TARGET, negatives=x), "draw them from other classes"),
        (lambda x: crd_loss(x, x, negatives=x[:, :2]), r"negatives has shape \(4, 2\)"),
        (lambda x: crd_loss(x, x, negatives=x[:0]), "with K at least 1"),
        (lambda x: crd_loss(x, x, samples=0), "samples is 0, expected at least 1"),
        (lambda x: crd_loss(x, x, temperature=-1), "temperature is -1"),
        (lambda x: crd_loss(x, x, log_normalizer=math.nan), "log_normalizer is nan, expected a"),
        (lambda x: crd_loss(x * math.nan, x), "student holds NaN"),
        (lambda x: crd_loss(x, x, negatives=x / 0), "negatives holds NaN or infinity"),
        (lambda x: crd_loss(x, x, reduction="max"), "reduction is 'max'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(embeddings(4, 3))
