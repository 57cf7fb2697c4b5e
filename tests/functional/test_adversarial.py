"""The loss of a discriminator and what the student gets of its gradient."""

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
from limbeck.functional.adversarial import (
    critic_loss,
    discriminator_input,
    discriminator_loss,
    generator_loss,
)

WIDTHS = [(), (1,), (2,)]
MODES = ("cooperative", "adversarial", "off")
every_width = pytest.mark.parametrize("width", WIDTHS, ids=str)


def numbers(*shape, seed=0, dtype=torch.float64, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def judged(student, teacher, weight, **options):
    """The loss of a linear discriminator with two outputs."""
    own = discriminator_input(student, **options)
    return discriminator_loss(own @ weight, teacher @ weight)


# Values


def test_two_outputs_are_those_of_the_formula():
    student, teacher = numbers(3, 2), numbers(4, 2, seed=1)
    of_student = -F.logsigmoid(student[:, 0]) - F.logsigmoid(-student[:, 1])
    of_teacher = -F.logsigmoid(-teacher[:, 0]) - F.logsigmoid(teacher[:, 1])
    expected = torch.cat([of_student, of_teacher]) / 2
    each = discriminator_loss(student, teacher, reduction="none")
    torch.testing.assert_close(each, expected)
    torch.testing.assert_close(discriminator_loss(student, teacher), expected.mean())
    total = discriminator_loss(student, teacher, reduction="sum")
    torch.testing.assert_close(total, expected.sum())


def test_two_outputs_are_binary_cross_entropy_over_rows_and_outputs():
    student, teacher = numbers(3, 2), numbers(3, 2, seed=1)
    target = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(torch.cat([student, teacher]), target)
    torch.testing.assert_close(discriminator_loss(student, teacher), expected)


def test_one_output_is_the_chance_of_the_teacher():
    student, teacher = numbers(3), numbers(4, seed=1)
    expected = torch.cat([-F.logsigmoid(-student), -F.logsigmoid(teacher)])
    each = discriminator_loss(student, teacher, reduction="none")
    torch.testing.assert_close(each, expected)
    column = discriminator_loss(student[:, None], teacher[:, None], reduction="none")
    torch.testing.assert_close(column, expected)


# What the student gets of the gradient


def test_modes_differ_in_the_sign_of_the_gradient_of_the_student_only():
    student, teacher = numbers(3, 4).requires_grad_(), numbers(3, 4, seed=1)
    weight = numbers(4, 2, seed=2).requires_grad_()
    values, slopes, learned = {}, {}, {}
    for mode in MODES:
        values[mode] = judged(student, teacher, weight, mode=mode)
        slopes[mode], learned[mode] = torch.autograd.grad(
            values[mode], (student, weight), materialize_grads=True
        )
        assert values[mode].item() == values["cooperative"].item()
        torch.testing.assert_close(learned[mode], learned["cooperative"])
    plain = discriminator_loss(student @ weight, teacher @ weight)
    expected = torch.autograd.grad(plain, student)[0]
    assert (expected != 0).all()
    torch.testing.assert_close(slopes["cooperative"], expected)
    torch.testing.assert_close(slopes["adversarial"], -expected)
    assert (slopes["off"] == 0).all()


def test_a_step_of_the_student_helps_or_hinders_the_discriminator():
    student, teacher, weight = numbers(3, 4), numbers(3, 4, seed=1), numbers(4, 2, seed=2)
    changes = {}
    for mode in ("cooperative", "adversarial"):
        leaf = student.clone().requires_grad_()
        before = judged(leaf, teacher, weight, mode=mode)
        slope = torch.autograd.grad(before, leaf)[0]
        changes[mode] = judged(student - 0.01 * slope, teacher, weight).item() - before.item()
    assert changes["cooperative"] < 0 < changes["adversarial"]


@pytest.mark.parametrize("strength", [0.0, 0.25, 3.0])
def test_strength_multiplies_the_gradient(strength):
    student = numbers(3, 4).requires_grad_()
    for mode, sign in (("cooperative", 1), ("adversarial", -1)):
        value = discriminator_input(student, mode=mode, strength=strength)
        assert (value == student).all()
        slope = torch.autograd.grad(value.square().sum(), student)[0]
        torch.testing.assert_close(slope, sign * strength * 2 * student.detach())


def test_the_gradient_of_the_gradient_is_reversed_too():
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    value = discriminator_input(x, mode="adversarial") ** 3
    slope = torch.autograd.grad(value, x, create_graph=True)[0]
    assert slope.item() == -12
    assert torch.autograd.grad(slope, x)[0].item() == 12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_student_keeps_its_dtype(dtype):
    student = numbers(3, 4, dtype=dtype).requires_grad_()
    for mode in MODES:
        assert discriminator_input(student, mode=mode).dtype == dtype


# Gradients and transformations


@every_width
def test_gradients_are_right(width):
    pair = numbers(3, *width).requires_grad_(), numbers(2, *width, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(discriminator_loss, pair)
    each = torch.autograd.gradcheck(lambda s, t: discriminator_loss(s, t, reduction="none"), pair)
    assert each


@every_width
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(width, dtype):
    student, teacher = numbers(8, *width, dtype=dtype), numbers(8, *width, seed=1, dtype=dtype)
    actual = discriminator_loss(student, teacher)
    assert actual.dtype == torch.float32
    assert actual.item() == discriminator_loss(student.float(), teacher.float()).item()
    assert discriminator_loss(student, teacher.double()).dtype == torch.float64


@pytest.mark.parametrize("mode", MODES)
def test_compiles_to_one_graph(mode):
    student, teacher = numbers(3, 4).requires_grad_(), numbers(3, 4, seed=1)
    weight = numbers(4, 2, seed=2).requires_grad_()

    def loss(student, teacher, weight):
        return judged(student, teacher, weight, mode=mode, strength=0.5)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    pair = compiled(student, teacher, weight), loss(student, teacher, weight)
    torch.testing.assert_close(*pair)
    options = {"allow_unused": True, "materialize_grads": True}
    slopes = [torch.autograd.grad(value, (student, weight), **options) for value in pair]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("mode", MODES)
def test_maps_and_differentiates_as_a_function(mode):
    student, teacher, weight = numbers(5, 3, 4), numbers(5, 3, 4, seed=1), numbers(4, 2, seed=2)

    def loss(student, teacher):
        return judged(student, teacher, weight, mode=mode)

    mapped = torch.func.vmap(loss)(student, teacher)
    torch.testing.assert_close(mapped, torch.stack([*map(loss, student, teacher)]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(one, other) for one, other in zip(leaf, teacher, strict=True))
    options = {"allow_unused": True, "materialize_grads": True}
    expected = torch.autograd.grad(total + 0 * leaf.sum(), leaf, **options)[0]
    torch.testing.assert_close(slopes, expected)


# Edges


@every_width
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_extreme_outputs_are_finite(width, dtype):
    for right in (1e4, -1e4):
        sign = torch.tensor([1.0, -1.0]) if width == (2,) else torch.tensor([-1.0])
        student = (right * sign.expand(3, *width or (1,))).reshape(3, *width).to(dtype)
        student.requires_grad_()
        value = discriminator_loss(student, -student.detach())
        assert value.item() == pytest.approx(0 if right > 0 else 1e4, abs=4)
        assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_batch_of_one_and_of_zero():
    one = discriminator_loss(numbers(1, 2), numbers(1, 2, seed=1))
    assert 0 < one.item() < math.inf
    empty = torch.zeros(0, 2, requires_grad=True)
    assert discriminator_loss(empty, numbers(3, 2)).isfinite()
    value = discriminator_loss(empty, torch.zeros(0, 2))
    assert value.item() == 0
    assert torch.autograd.grad(value, empty)[0].shape == (0, 2)
    assert discriminator_loss(empty, torch.zeros(0, 2), reduction="none").shape == (0,)
    assert discriminator_input(empty, mode="adversarial").shape == (0, 2)


# Properties


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.sampled_from(WIDTHS).flatmap(
        lambda width: arrays(np.float64, (4, *width), elements=st.floats(-50, 50))
    )
)
def test_equal_rows_never_cost_less_than_log_two(outputs):
    rows = torch.from_numpy(outputs)
    assert discriminator_loss(rows, rows).item() >= math.log(2) - 1e-12
    assert discriminator_loss(rows * 0, rows * 0).item() == pytest.approx(math.log(2))


# Errors


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((3, 3), (3, 3)), ((3, 2), (3, 1)), ((3, 2), (3,)), ((3,), ()), ((), ()), ((3, 2, 1),) * 2],
)
def test_shapes_are_named(student, teacher):
    with pytest.raises(ArgumentError, match=r"student has shape \(.*expected discriminator out"):
        discriminator_loss(torch.zeros(student), torch.zeros(teacher))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: discriminator_loss(x * math.nan, x), "student holds NaN or infinity at 6 of 6"),
        (lambda x: discriminator_loss(x, x * math.inf), "teacher holds NaN or infinity"),
        (lambda x: discriminator_loss(x, x, reduction="max"), "reduction is 'max'"),
        (
            lambda x: discriminator_input(x, mode="on"),
            "mode is 'on', expected one of 'cooperative'",
        ),
        (lambda x: discriminator_input(x, strength=-1), "strength is -1, expected a finite number"),
        (lambda x: discriminator_input(x, strength=math.nan), "strength is nan"),
        (lambda x: discriminator_input(x, strength=math.inf), "strength is inf"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(numbers(3, 2))


# A critic of samples


def test_generator_and_critic_lose_softplus():
    generated, real = numbers(4, 3), numbers(6, 3, seed=1)
    torch.testing.assert_close(generator_loss(generated), F.softplus(-generated).mean())
    expected = F.softplus(generated).mean() + F.softplus(-real).mean()
    torch.testing.assert_close(critic_loss(generated, real), expected)
    each = critic_loss(generated, real, reduction="none")
    torch.testing.assert_close(each, torch.cat([F.softplus(generated), F.softplus(-real)]))
    total = critic_loss(generated, real, reduction="sum")
    torch.testing.assert_close(total, each.sum())


def test_a_critic_of_two_equal_sides_loses_twice_what_a_discriminator_does():
    generated, real = numbers(5), numbers(5, seed=1)
    torch.testing.assert_close(
        critic_loss(generated, real), 2 * discriminator_loss(generated, real)
    )


def test_a_sure_critic_leaves_the_generator_a_gradient():
    generated = torch.tensor([-80.0], requires_grad=True)
    generator_loss(generated).backward()
    assert generated.grad.item() == -1
