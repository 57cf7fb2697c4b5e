"""Losses between attention maps and relations of tokens."""

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
from limbeck.functional.attention import (
    attention_transfer_loss,
    relation_loss,
    relation_scores,
    spatial_attention,
)
from limbeck.functional.divergences import soft_target_loss

properties = settings(deadline=None, max_examples=40, derandomize=True)


def numbers(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


TOKENS = torch.tensor([[True, True, False], [True, False, False]])
LOSSES = {
    "transfer": attention_transfer_loss,
    "transfer 4": lambda s, t: attention_transfer_loss(s, t, power=4, over_positions="sum"),
    "scores": relation_loss,
    "probabilities": lambda s, t: relation_loss(s, t, compare="probabilities", mask=TOKENS),
    "kl": lambda s, t: relation_loss(s, t, compare="kl", mask=TOKENS),
    "cross-entropy": lambda s, t: relation_loss(s, t, compare="cross_entropy"),
}
every_comparison = pytest.mark.parametrize(
    "compare", ["scores", "probabilities", "kl", "cross_entropy"]
)
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# Values


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_spatial_attention_is_the_normed_sum_of_powers(power):
    features = numbers(2, 3, 4, 5)
    total = features.abs().pow(power).sum(1).flatten(1)
    plain = spatial_attention(features, power=power, norm="none")
    torch.testing.assert_close(plain, total)
    for norm, order in (("l2", 2), ("l1", 1)):
        actual = spatial_attention(features, power=power, norm=norm)
        torch.testing.assert_close(actual, F.normalize(total, p=order))
    last = spatial_attention(features.movedim(1, -1), power=power, axis=-1)
    torch.testing.assert_close(last, F.normalize(total))


def test_attention_transfer_is_the_mean_over_positions():
    student, teacher = numbers(2, 3, 4, 4), numbers(2, 6, 4, 4, seed=1)
    error = (spatial_attention(student) - spatial_attention(teacher)).square()
    torch.testing.assert_close(attention_transfer_loss(student, teacher), error.mean())
    options = {"over_positions": "sum", "reduction": "none"}
    actual = attention_transfer_loss(student, teacher, **options)
    torch.testing.assert_close(actual, error.sum(1))


def test_large_powers_do_not_overflow():
    features = 1e6 * numbers(2, 3, 4, 4, dtype=torch.float32)
    expected = spatial_attention(features.double(), power=8)
    torch.testing.assert_close(spatial_attention(features, power=8).double(), expected)
    with_inf = torch.full((1, 2, 2, 2), 6e4, dtype=torch.float16)
    assert spatial_attention(with_inf, power=4).isfinite().all()


def test_relation_scores_are_scaled_products_of_each_head():
    states, bias = numbers(2, 3, 7), numbers(2, 1, 1, 3, seed=1)
    actual = relation_scores(states, heads=2, bias=bias)
    for head in range(2):
        part = states[..., 3 * head : 3 * head + 3]
        expected = part @ part.mT / math.sqrt(3) + bias[:, 0]
        torch.testing.assert_close(actual[:, head], expected)
    assert relation_scores(states.half(), heads=7).dtype == torch.float32


@every_comparison
def test_masked_relations_are_those_of_the_shorter_sequences(compare):
    student, teacher = numbers(2, 2, 3, 3), numbers(2, 2, 3, 3, seed=1)
    options = {"compare": compare, "reduction": "sum"}
    expected = 0
    for n, size in enumerate((2, 1)):
        short = (x[n : n + 1, :, :size, :size] for x in (student, teacher))
        expected += relation_loss(*short, **options)
    torch.testing.assert_close(relation_loss(student, teacher, mask=TOKENS, **options), expected)
    counted = 2 * (2 + 1) if compare in ("kl", "cross_entropy") else 2 * (4 + 1)
    mean = relation_loss(student, teacher, mask=TOKENS, compare=compare)
    torch.testing.assert_close(mean, expected / counted)


def test_pair_mask_of_a_causal_model():
    student, teacher = numbers(2, 2, 3, 3), numbers(2, 2, 3, 3, seed=1)
    causal = torch.ones(3, 3, dtype=torch.bool).tril()
    hidden = (x.masked_fill(~causal, -math.inf) for x in (student, teacher))
    expected = soft_target_loss(*hidden)
    actual = relation_loss(student, teacher, compare="kl", mask=causal[None, None])
    torch.testing.assert_close(actual, expected)


def test_scores_and_probabilities_are_compared_by_squares():
    student, teacher = numbers(2, 3, 3), numbers(2, 3, 3, seed=1)
    torch.testing.assert_close(relation_loss(student, teacher), F.mse_loss(student, teacher))
    expected = F.mse_loss(student.softmax(-1), teacher.softmax(-1))
    actual = relation_loss(student, teacher, compare="probabilities")
    torch.testing.assert_close(actual, expected)


# Gradients and transformations


@every_loss
def test_gradients_are_right(loss):
    teacher = numbers(2, 2, 3, 3, seed=1)
    student = numbers(2, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = numbers(2, 4, 3, 3, dtype=dtype), numbers(2, 4, 3, 3, seed=1, dtype=dtype)
    actual = loss(student, teacher)
    assert actual.dtype == torch.float32
    assert actual.item() == loss(student.float(), teacher.float()).item()


@every_loss
def test_compiles_to_one_graph(loss):
    student, teacher = numbers(2, 2, 3, 3).requires_grad_(), numbers(2, 2, 3, 3, seed=1)
    expected = loss(student, teacher)
    actual = torch.compile(loss, fullgraph=True, backend="aot_eager")(student, teacher)
    slopes = [torch.autograd.grad(value, student)[0] for value in (actual, expected)]
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(*slopes)


@every_loss
def test_maps_and_differentiates_as_a_function(loss):
    student, teacher = numbers(3, 2, 2, 3, 3), numbers(3, 2, 2, 3, 3, seed=1)
    mapped = torch.func.vmap(loss)(student, teacher)
    torch.testing.assert_close(mapped, torch.stack([*map(loss, student, teacher)]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(one, other) for one, other in zip(leaf, teacher, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e4])
def test_zero_and_large_scores_are_finite(loss, size):
    student = (size * numbers(2, 2, 3, 3, dtype=torch.float32)).requires_grad_()
    for teacher in (torch.zeros(2, 2, 3, 3), size * numbers(2, 2, 3, 3, dtype=torch.float32)):
        value = loss(student, teacher)
        assert value.isfinite()
        assert torch.autograd.grad(value, student)[0].isfinite().all()


@every_comparison
@pytest.mark.parametrize("filling", [math.nan, -math.inf])
def test_padding_changes_nothing_and_gets_no_gradient(compare, filling):
    student, teacher = numbers(2, 2, 3, 3), numbers(2, 2, 3, 3, seed=1)
    keep = (TOKENS[:, None, None] & TOKENS[:, None, :, None]).expand(student.shape)
    options = {"compare": compare, "mask": TOKENS}
    expected = relation_loss(student, teacher, **options)
    leaf = torch.where(keep, student, filling).requires_grad_()
    actual = relation_loss(leaf, torch.where(keep, teacher, filling), **options)
    torch.testing.assert_close(actual, expected)
    slope = torch.autograd.grad(actual, leaf)[0]
    assert slope.isfinite().all()
    assert (slope[~keep] == 0).all()


@every_comparison
def test_empty_batch_and_no_real_token(compare):
    none = torch.zeros(0, 2, 3, 3, requires_grad=True)
    value = relation_loss(none, torch.zeros(0, 2, 3, 3), compare=compare)
    assert value.item() == 0
    assert torch.autograd.grad(value, none)[0].shape == none.shape
    leaf = numbers(2, 2, 3, 3).requires_grad_()
    mask = torch.zeros(2, 3, dtype=torch.bool)
    value = relation_loss(leaf, numbers(2, 2, 3, 3, seed=1), compare=compare, mask=mask)
    assert value.item() == 0
    assert (torch.autograd.grad(value, leaf)[0] == 0).all()


def test_attention_of_zeros_is_zero():
    features = torch.zeros(1, 3, 2, 2, requires_grad=True)
    for norm in ("l1", "l2", "none"):
        actual = spatial_attention(features, norm=norm)
        assert (actual == 0).all()
        assert torch.autograd.grad(actual.sum(), features)[0].isfinite().all()
    assert attention_transfer_loss(torch.zeros(0, 3, 2, 2), torch.zeros(0, 4, 2, 2)).item() == 0


# Properties


@properties
@given(
    arrays(np.float64, (2, 3, 4), elements=st.floats(0.1, 10)),
    st.floats(0.01, 100),
    st.sampled_from(["l1", "l2"]),
)
def test_normed_attention_does_not_see_the_scale(features, scale, norm):
    features = torch.from_numpy(features)
    actual = spatial_attention(scale * features, norm=norm)
    expected = spatial_attention(features, norm=norm)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)


@properties
@given(arrays(np.float64, (1, 3, 4), elements=st.floats(-5, 5)), st.floats(0, 6))
def test_relations_do_not_see_a_rotation_of_the_features_of_a_head(states, angle):
    states = torch.from_numpy(states)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = states @ torch.block_diag(turn, turn).double()
    expected = relation_scores(states, heads=2)
    torch.testing.assert_close(relation_scores(turned, heads=2), expected, rtol=1e-6, atol=1e-6)


@properties
@given(arrays(np.float64, (2, 1, 2, 3, 3), elements=st.floats(-20, 20)), st.floats(-20, 20))
def test_softmaxed_relations_do_not_see_a_shift(pair, shift):
    student, teacher = torch.from_numpy(pair).unbind(0)
    for compare in ("kl", "probabilities"):
        actual = relation_loss(student + shift, teacher, compare=compare)
        expected = relation_loss(student, teacher, compare=compare)
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)
        assert actual.item() >= -1e-12


# Errors


def test_shapes_are_named():
    message = r"\(2, 2, 3, 3\) and teacher has shape \(2, 4, 3, 3\).*same number of heads for both"
    with pytest.raises(ArgumentError, match=message):
        relation_loss(numbers(2, 2, 3, 3), numbers(2, 4, 3, 3))
    with pytest.raises(ArgumentError, match=r"adaptive_avg_pool2d"):
        attention_transfer_loss(numbers(2, 3, 4, 4), numbers(2, 3, 8, 8))
    with pytest.raises(ArgumentError, match=r"features has shape \(2, 3\)"):
        spatial_attention(numbers(2, 3))
    with pytest.raises(ArgumentError, match=r"states has shape \(2, 3\), expected \(N, T, D\)"):
        relation_scores(numbers(2, 3), heads=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: relation_loss(x, x, compare="mse"), "compare is 'mse', expected one of"),
        (lambda x: relation_loss(x, x, reduction="max"), "reduction is 'max'"),
        (lambda x: relation_loss(x, x, mask=TOKENS.float()), r"float32, expected \(2, 3\)"),
        (lambda x: relation_loss(x, x, mask=TOKENS[:1]), r"mask has shape \(1, 3\)"),
        (lambda x: relation_loss(x, x, mask=x[..., :2] > 0), r"mask has shape \(2, 2, 3, 2\)"),
        (lambda x: relation_loss(x * math.nan, x), "student holds NaN or infinity"),
        (lambda x: relation_loss(x, x.clone().requires_grad_()), "teacher requires grad"),
        (lambda x: attention_transfer_loss(x, x.clone().requires_grad_()), "teacher requires grad"),
        (lambda x: attention_transfer_loss(x, x, power=0.5), "power is 0.5, expected"),
        (lambda x: attention_transfer_loss(x, x, norm="l3"), "norm is 'l3'"),
        (lambda x: attention_transfer_loss(x, x, over_positions="max"), "over_positions is 'max'"),
        (lambda x: attention_transfer_loss(x / 0, x), "student holds NaN or infinity"),
        (lambda x: spatial_attention(x / 0), "features holds NaN or infinity"),
        (lambda x: relation_scores(x[0], heads=1, bias=x[0]), r"bias has shape \(2, 3, 3\), exp"),
        (
            lambda x: relation_scores(x[0], heads=1, bias=x[None]),
            r"to \(N, H, T, T\), \(2, 1, 3, 3",
        ),
        (lambda x: relation_scores(x[0], heads=4), "heads is 4, expected from 1 to the width"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(numbers(2, 2, 3, 3))


def test_an_axis_that_is_not_there_is_named():
    maps = torch.zeros(3, 2, 2)
    with pytest.raises(ArgumentError, match=r"axis is 3 and student has shape \(3, 2, 2\)"):
        attention_transfer_loss(maps, maps, axis=3)
    with pytest.raises(ArgumentError, match="axis is -4 and features"):
        spatial_attention(maps, axis=-4)
