"""Divergences token by token: values, memory, gradients, edges and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.tokens import token_divergence_loss

DIVERGENCES = ("kl", "cross_entropy", "reverse_kl", "js")
MASK = torch.tensor([[True, True, False], [True, False, False]])
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)


def logits(*shape, seed=0, dtype=torch.float64, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


class Sizes(TorchDispatchMode):
    """Counts the entries of every tensor that an operation makes."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        known = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        outputs = result if isinstance(result, tuple | list) else (result,)
        for x in outputs:
            if isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() not in known:
                self.made.append(x.numel())
        return result


# Values


@every_divergence
@pytest.mark.parametrize("chunk", [None, 1, 2, 3, 4, 5, 6, 100])
def test_chunks_are_those_of_soft_target_loss(divergence, chunk):
    student, teacher = logits(2, 3, 5).requires_grad_(), logits(2, 3, 5, seed=1)
    options = {"divergence": divergence, "temperature": 2.0, "mixture": 0.2}
    for reduction in ("mean", "sum", "none"):
        actual = token_divergence_loss(
            student, teacher, chunk=chunk, reduction=reduction, **options
        )
        expected = soft_target_loss(student, teacher, reduction=reduction, **options)
        torch.testing.assert_close(actual, expected)
        slopes = [torch.autograd.grad(x.sum(), student)[0] for x in (actual, expected)]
        torch.testing.assert_close(*slopes)
    plain = token_divergence_loss(student, teacher, temperature_squared=False, **options)
    torch.testing.assert_close(4 * plain, token_divergence_loss(student, teacher, **options))


@every_divergence
@pytest.mark.parametrize("chunk", [None, 1, 2, 4])
def test_masked_tokens_are_left_out_whatever_stands_there(divergence, chunk):
    student, teacher = logits(2, 3, 5), logits(2, 3, 5, seed=1)
    expected = soft_target_loss(student[MASK], teacher[MASK], divergence=divergence)
    options = {"divergence": divergence, "mask": MASK, "chunk": chunk}
    for filling in (0.0, math.nan, math.inf, -math.inf):
        leaf, other = (torch.where(MASK[..., None], x, filling) for x in (student, teacher))
        leaf.requires_grad_()
        actual = token_divergence_loss(leaf, other, **options)
        torch.testing.assert_close(actual, expected)
        slope = torch.autograd.grad(actual, leaf)[0]
        assert slope.isfinite().all()
        assert (slope[~MASK] == 0).all()
    each = token_divergence_loss(student, teacher, reduction="none", **options)
    assert each.shape == (2, 3)
    assert (each[~MASK] == 0).all()
    total = token_divergence_loss(student, teacher, reduction="sum", **options)
    torch.testing.assert_close(total, each.sum())


def test_value_is_that_of_the_formula():
    student, teacher = logits(2, 3, 5), logits(2, 3, 5, seed=1)
    p, q = (teacher / 3).softmax(-1), (student / 3).softmax(-1)
    expected = 9 * (p * (p / q).log()).sum(-1)
    actual = token_divergence_loss(student, teacher, temperature=3.0, reduction="none")
    torch.testing.assert_close(actual, expected)


# Memory


@every_divergence
def test_only_the_gradient_is_as_large_as_the_logits(divergence):
    student = logits(4, 64, 4096, dtype=torch.float32).requires_grad_()
    teacher = logits(4, 64, 4096, seed=1, dtype=torch.float32)
    with Sizes() as sizes:
        loss = token_divergence_loss(student, teacher, divergence=divergence)
        torch.autograd.grad(loss, student)
    large = [size for size in sizes.made if size > student.numel() / 16]
    assert large == [student.numel()]


def test_chunk_bounds_what_is_made_at_a_time():
    student, teacher = logits(2, 6, 8).requires_grad_(), logits(2, 6, 8, seed=1)
    for chunk in (1, 3, 8):
        with Sizes() as sizes:
            token_divergence_loss(student, teacher, chunk=chunk)
        assert max(sizes.made) <= max(chunk * 8, 2 * 6)


def test_the_inputs_are_kept_as_they_are():
    student, teacher = logits(2, 3, 5).requires_grad_(), logits(2, 3, 5, seed=1)
    before = student.detach().clone(), teacher.clone()
    token_divergence_loss(student, teacher, mask=MASK).backward()
    assert (student == before[0]).all()
    assert (teacher == before[1]).all()


# Gradients and transformations


@every_divergence
@pytest.mark.parametrize("mask", [None, MASK[:1]], ids=["all", "masked"])
def test_gradients_are_right(divergence, mask):
    student, teacher = logits(1, 3, 3).requires_grad_(), logits(1, 3, 3, seed=1)
    options = {"divergence": divergence, "temperature": 1.5, "mask": mask, "chunk": 2}

    def each(student):
        return token_divergence_loss(student, teacher, reduction="none", **options)

    assert torch.autograd.gradcheck(each, student)
    assert torch.autograd.gradgradcheck(each, student)


@every_divergence
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(divergence, dtype):
    student, teacher = logits(2, 3, 50, dtype=dtype), logits(2, 3, 50, seed=1, dtype=dtype)
    leaf, wide = student.clone().requires_grad_(), student.float().requires_grad_()
    options = {"divergence": divergence, "chunk": 2}
    actual = token_divergence_loss(leaf, teacher, **options)
    expected = token_divergence_loss(wide, teacher.float(), **options)
    assert actual.dtype == torch.float32
    assert actual.item() == expected.item()
    slope = torch.autograd.grad(actual, leaf)[0]
    assert slope.dtype == dtype
    assert (slope == torch.autograd.grad(expected, wide)[0].to(dtype)).all()


def test_dtypes_of_student_and_teacher_may_differ():
    student, teacher = logits(2, 3, 5, dtype=torch.bfloat16), logits(2, 3, 5, seed=1)
    actual = token_divergence_loss(student, teacher)
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, token_divergence_loss(student.double(), teacher))
    assert token_divergence_loss(student, teacher.float()).dtype == torch.float32


@pytest.mark.parametrize("divergence", ["kl", "js"])
def test_compiles_to_one_graph(divergence):
    student, teacher = logits(2, 3, 4).requires_grad_(), logits(2, 3, 4, seed=1)

    def loss(student, teacher, mask):
        return token_divergence_loss(
            student, teacher, mask=mask, divergence=divergence, temperature=2.0, chunk=4
        )

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    pair = compiled(student, teacher, MASK), loss(student, teacher, MASK)
    torch.testing.assert_close(*pair)
    slopes = [torch.autograd.grad(value, student)[0] for value in pair]
    torch.testing.assert_close(*slopes)


def test_a_compiled_graph_has_few_chunks():
    student, teacher = logits(4, 64, 4), logits(4, 64, 4, seed=1)
    softmaxes = []

    def backend(graph, inputs):
        softmaxes.append(sum("softmax" in str(node.target) for node in graph.graph.nodes))
        return graph.forward

    compiled = torch.compile(token_divergence_loss, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(student, teacher), token_divergence_loss(student, teacher))
    assert softmaxes == [2 * 16]


@every_divergence
def test_maps_and_differentiates_as_a_function(divergence):
    student, teacher = logits(5, 2, 3, 4), logits(5, 2, 3, 4, seed=1)

    def loss(student, teacher, mask=MASK):
        return token_divergence_loss(student, teacher, mask=mask, divergence=divergence, chunk=4)

    expected = torch.stack([*map(loss, student, teacher)])
    torch.testing.assert_close(torch.func.vmap(loss)(student, teacher), expected)
    masks = MASK.expand(5, 2, 3)
    torch.testing.assert_close(torch.func.vmap(loss)(student, teacher, masks), expected)
    one = torch.func.vmap(loss, in_dims=(3, None))(student.movedim(0, 3), teacher[0])
    torch.testing.assert_close(one, torch.stack([loss(each, teacher[0]) for each in student]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(*pair) for pair in zip(leaf, teacher, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@every_divergence
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_extreme_logits_are_finite(divergence, dtype):
    rows = [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
    student = torch.tensor([rows] * 4, dtype=dtype).requires_grad_()
    teacher = torch.tensor([rows] * 4, dtype=dtype).transpose(0, 1).contiguous()
    each = token_divergence_loss(student, teacher, divergence=divergence, reduction="none", chunk=3)
    assert each.isfinite().all()
    assert torch.autograd.grad(each.sum(), student)[0].isfinite().all()


@every_divergence
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5), (0, 0, 5)])
def test_no_token_at_all(divergence, shape):
    empty = torch.zeros(shape, requires_grad=True)
    value = token_divergence_loss(empty, torch.zeros(shape), divergence=divergence)
    assert value.item() == 0
    assert torch.autograd.grad(value, empty)[0].shape == shape
    each = token_divergence_loss(empty, torch.zeros(shape), reduction="none")
    assert each.shape == shape[:2]


@every_divergence
def test_no_real_token(divergence):
    student = logits(2, 3, 5).requires_grad_()
    options = {"mask": torch.zeros(2, 3, dtype=torch.bool), "divergence": divergence}
    value = token_divergence_loss(student, logits(2, 3, 5, seed=1), **options)
    assert value.item() == 0
    assert (torch.autograd.grad(value, student)[0] == 0).all()


def test_one_sequence_one_token_and_one_word():
    student, teacher = logits(1, 1, 5).requires_grad_(), logits(1, 1, 5, seed=1)
    actual = token_divergence_loss(student, teacher)
    torch.testing.assert_close(actual, soft_target_loss(student[0], teacher[0]))
    assert token_divergence_loss(student[..., :1], teacher[..., :1]).item() == 0


# Properties


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    arrays(np.float64, (2, 2, 3, 4), elements=st.floats(-30, 30)),
    st.floats(-30, 30),
    st.sampled_from(DIVERGENCES),
    st.integers(1, 7),
)
def test_a_shift_the_chunk_and_the_order_of_words_change_nothing(pair, shift, divergence, chunk):
    student, teacher = torch.from_numpy(pair).unbind(0)
    expected = token_divergence_loss(student, teacher, divergence=divergence)
    assert expected.item() >= -1e-12
    moved = (student + shift).flip(2), teacher.flip(2)
    actual = token_divergence_loss(*moved, divergence=divergence, chunk=chunk)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: token_divergence_loss(x[0], x[0]), r"\(3, 4\), expected \(N, T, V\)"),
        (
            lambda x: token_divergence_loss(x, x[..., :3]),
            r"\(2, 3, 4\) and teacher_logits \(2, 3, 3\): the vocabularies differ; cut padded",
        ),
        (lambda x: token_divergence_loss(x, x[:, :2]), r"teacher_logits has shape \(2, 2, 4\)"),
        (lambda x: token_divergence_loss(x, x[0, 0, 0]), r"teacher_logits \(\)"),
        (
            lambda x: token_divergence_loss(x, x.clone().requires_grad_()),
            r"teacher_logits requires grad.*teacher_logits.detach\(\)",
        ),
        (
            lambda x: token_divergence_loss(x, x, mask=MASK.float()),
            r"torch.float32, expected \(2, 3\) and torch.bool.*use mask.bool\(\)",
        ),
        (lambda x: token_divergence_loss(x, x, mask=MASK[:1]), r"mask has shape \(1, 3\)"),
        (lambda x: token_divergence_loss(x, x, chunk=0), "chunk is 0, expected at least 1 token"),
        (lambda x: token_divergence_loss(x, x, divergence="kld"), "divergence is 'kld'"),
        (lambda x: token_divergence_loss(x, x, temperature=0), "temperature is 0"),
        (lambda x: token_divergence_loss(x, x, divergence="js", mixture=2), "mixture is 2"),
        (lambda x: token_divergence_loss(x, x, reduction="max"), "reduction is 'max'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(logits(2, 3, 4))


@every_divergence
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_tokens_that_are_not_numbers_are_named(divergence, bad):
    student, teacher = logits(2, 3, 4), logits(2, 3, 4, seed=1)
    wrong = student.clone()
    wrong[1, 0, 2] = bad
    message = r"NaN or infinity at 1 of 6 tokens, the first at index \(1, 0\).*from the mask\?"
    for pair in ((wrong, teacher), (teacher, wrong)):
        with pytest.raises(ArgumentError, match=message):
            token_divergence_loss(*pair, divergence=divergence)
