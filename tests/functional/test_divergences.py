"""Divergences between two class distributions: values, gradients, edges and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr
from scipy.stats import entropy as scipy_entropy

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import (
    entropy,
    log_probabilities,
    soft_multilabel_loss,
    soft_target_loss,
)

DIVERGENCES = ("kl", "cross_entropy", "reverse_kl", "js")
INF = math.inf


def logits(*shape, seed=0, dtype=torch.float64, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


# Values


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_values_are_those_of_the_formulas(temperature):
    student, teacher = logits(5, 4), logits(5, 4, seed=1)
    q = (student / temperature).softmax(-1).numpy()
    p = (teacher / temperature).softmax(-1).numpy()
    mixture = 0.3 * p + 0.7 * q
    expected = {
        "kl": rel_entr(p, q).sum(-1),
        "cross_entropy": rel_entr(p, q).sum(-1) + scipy_entropy(p, axis=-1),
        "reverse_kl": rel_entr(q, p).sum(-1),
        "js": 0.3 * rel_entr(p, mixture).sum(-1) + 0.7 * rel_entr(q, mixture).sum(-1),
    }
    for divergence, value in expected.items():
        actual = soft_target_loss(
            student,
            teacher,
            divergence=divergence,
            temperature=temperature,
            temperature_squared=False,
            mixture=0.3,
            reduction="none",
        )
        np.testing.assert_allclose(actual.numpy(), value, rtol=1e-10)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_temperature_squared_is_a_factor(divergence):
    pair = logits(3, 4), logits(3, 4, seed=1)
    with_factor, without = (
        soft_target_loss(*pair, divergence=divergence, temperature=3.0, temperature_squared=factor)
        for factor in (True, False)
    )
    torch.testing.assert_close(with_factor, 9 * without)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_and_logits_give_the_same(divergence, temperature):
    student, teacher = logits(3, 4), logits(3, 4, seed=1)
    options = {"divergence": divergence, "temperature": temperature}
    expected = soft_target_loss(student, teacher, **options)
    for kinds in (("probabilities", "logits"), ("logits", "probabilities")):
        inputs = (
            x.softmax(-1) if kind == "probabilities" else x
            for x, kind in zip((student, teacher), kinds, strict=True)
        )
        actual = soft_target_loss(*inputs, student_is=kinds[0], teacher_is=kinds[1], **options)
        torch.testing.assert_close(actual, expected)


def test_js_ends_are_kl_and_reverse_kl():
    """Towards its ends the divergence by its mixture tends to the value it is defined as there."""
    pair = logits(3, 4), logits(3, 4, seed=1)
    for end, near, name in ((0.0, 1e-7, "kl"), (1.0, 1 - 1e-7, "reverse_kl")):
        expected = soft_target_loss(*pair, divergence=name)
        at_end = soft_target_loss(*pair, divergence="js", mixture=end)
        assert at_end.item() == expected.item()
        close = soft_target_loss(*pair, divergence="js", mixture=near) / 1e-7
        torch.testing.assert_close(close, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_axis_of_classes(divergence):
    student, teacher = logits(2, 3, 4, 5), logits(2, 3, 4, 5, seed=1)
    options = {"divergence": divergence, "reduction": "none"}
    expected = soft_target_loss(student.movedim(1, -1), teacher.movedim(1, -1), **options)
    actual = soft_target_loss(student, teacher, axis=1, **options)
    assert actual.shape == (2, 4, 5)
    torch.testing.assert_close(actual, expected)
    as_probabilities = soft_target_loss(
        student, teacher.softmax(1), axis=1, teacher_is="probabilities", **options
    )
    torch.testing.assert_close(as_probabilities, expected)


def test_reductions_cover_all_axes_but_that_of_the_classes():
    student, teacher = logits(2, 3, 4), logits(2, 3, 4, seed=1)
    each = soft_target_loss(student, teacher, reduction="none")
    assert each.shape == (2, 3)
    assert soft_target_loss(student, teacher).item() == pytest.approx(each.mean().item())
    total = soft_target_loss(student, teacher, reduction="sum")
    assert total.item() == pytest.approx(each.sum().item())


def test_multilabel_loss_is_binary_cross_entropy_label_by_label():
    student, teacher = logits(3, 4), logits(3, 4, seed=1)
    expected = F.binary_cross_entropy_with_logits(
        student / 2, (teacher / 2).sigmoid(), reduction="none"
    )
    options = {"divergence": "cross_entropy", "temperature": 2.0}
    each = soft_multilabel_loss(student, teacher, reduction="none", **options)
    torch.testing.assert_close(each, 4 * expected)
    torch.testing.assert_close(soft_multilabel_loss(student, teacher, **options), each.mean())
    with pytest.raises(ArgumentError, match=r"student has shape \(3, 4\).*teacher has shape"):
        soft_multilabel_loss(student, teacher[:2])


# Gradients and transformations


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_gradients_are_right(divergence, temperature):
    teacher = logits(3, 4, seed=1)
    options = {"divergence": divergence, "temperature": temperature, "mixture": 0.2}
    student = logits(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_target_loss(z, teacher, **options), student)
    options |= {"student_is": "probabilities", "reduction": "none"}
    assert torch.autograd.gradcheck(
        lambda z: soft_target_loss(z.softmax(-1), teacher, **options), student
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_half_precision_is_computed_in_float32(dtype, divergence):
    student, teacher = logits(4, 50, dtype=dtype), logits(4, 50, seed=1, dtype=dtype)
    actual = soft_target_loss(student, teacher, divergence=divergence, temperature=2.0)
    expected = soft_target_loss(
        student.float(), teacher.float(), divergence=divergence, temperature=2.0
    )
    assert actual.dtype == torch.float32
    assert actual.item() == expected.item()
    assert entropy(student).item() == entropy(student.float()).item()


def test_float64_stays_float64():
    assert soft_target_loss(logits(2, 3), logits(2, 3)).dtype == torch.float64
    assert soft_target_loss(logits(2, 3), logits(2, 3).float()).dtype == torch.float64


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_compiles_to_one_graph(divergence):
    student, teacher = logits(3, 4).requires_grad_(), logits(3, 4, seed=1)

    def loss(student, teacher):
        return soft_target_loss(student, teacher, divergence=divergence, temperature=2.0)

    expected = loss(student, teacher)
    actual = torch.compile(loss, fullgraph=True, backend="aot_eager")(student, teacher)
    torch.testing.assert_close(actual, expected)
    slopes = [torch.autograd.grad(value, student)[0] for value in (actual, expected)]
    torch.testing.assert_close(*slopes)


def test_probabilities_compile_to_one_graph():
    student, teacher = logits(3, 4), logits(3, 4, seed=1).softmax(-1)

    def loss(student, teacher):
        return soft_target_loss(student, teacher, teacher_is="probabilities")

    actual = torch.compile(loss, fullgraph=True, backend="eager")(student, teacher)
    torch.testing.assert_close(actual, loss(student, teacher))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_maps_and_differentiates_as_a_function(divergence):
    student, teacher = logits(5, 3, 4), logits(5, 3, 4, seed=1).softmax(-1)

    def loss(student, teacher):
        return soft_target_loss(student, teacher, divergence=divergence, teacher_is="probabilities")

    mapped = torch.func.vmap(loss)(student, teacher)
    torch.testing.assert_close(mapped, torch.stack([*map(loss, student, teacher)]))
    slopes = torch.func.vmap(torch.func.grad(loss))(student, teacher)
    leaf = student.clone().requires_grad_()
    total = sum(loss(one, other) for one, other in zip(leaf, teacher, strict=True))
    torch.testing.assert_close(slopes, torch.autograd.grad(total, leaf)[0])


# Edges


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_extreme_logits_are_finite(divergence, dtype):
    rows = [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
    student = torch.tensor(rows, dtype=dtype).repeat(4, 1).requires_grad_()
    teacher = torch.tensor(rows, dtype=dtype).repeat_interleave(4, 0)
    each = soft_target_loss(student, teacher, divergence=divergence, reduction="none")
    assert each.isfinite().all()
    assert (each >= -2 * torch.finfo(each.dtype).eps).all()
    assert torch.autograd.grad(each.sum(), student)[0].isfinite().all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("student_is", ["logits", "probabilities"])
def test_class_that_both_mask_is_as_if_it_were_not_there(divergence, student_is):
    student, teacher = logits(3, 4), logits(3, 4, seed=1)
    student[:, 2] = teacher[:, 2] = -INF
    kept = [0, 1, 3]
    leaf = (student if student_is == "logits" else student.softmax(-1)).requires_grad_()
    options = {"divergence": divergence, "temperature": 2.0}
    actual = soft_target_loss(leaf, teacher, student_is=student_is, **options)
    expected = soft_target_loss(student[:, kept].detach(), teacher[:, kept], **options)
    torch.testing.assert_close(actual, expected)
    slope = torch.autograd.grad(actual, leaf)[0]
    assert slope.isfinite().all()
    assert (slope[:, 2] == 0).all()
    assert (slope[:, kept] != 0).all()


def test_class_that_one_masks_gives_the_defined_limit():
    """Infinite where a distribution is weighed against a zero, finite where the zero weighs."""
    masked, open_ = torch.tensor([[0.0, 1.0, -INF]]), torch.tensor([[0.0, 1.0, 2.0]])

    def value(student, teacher, divergence):
        leaf = student.clone().requires_grad_()
        loss = soft_target_loss(leaf, teacher, divergence=divergence)
        return loss.item(), torch.autograd.grad(loss, leaf)[0]

    for divergence in ("kl", "cross_entropy"):
        assert value(masked, open_, divergence)[0] == INF
        loss, slope = value(open_, masked, divergence)
        assert 0 < loss < INF
        assert slope.isfinite().all()
    assert value(open_, masked, "reverse_kl")[0] == INF
    assert 0 < value(masked, open_, "reverse_kl")[0] < INF
    for pair in ((masked, open_), (open_, masked)):
        loss, slope = value(*pair, "js")
        assert 0 < loss < math.log(2)
        assert slope.isfinite().all()


def test_student_so_small_that_it_vanishes_meets_a_masked_teacher():
    """A weight of 0 by underflow counts as 0 against an infinite logarithm."""
    student = torch.tensor([[1e4, 0.0]], requires_grad=True)
    loss = soft_target_loss(student, torch.tensor([[0.0, -INF]]), divergence="reverse_kl")
    assert loss.item() == 0
    assert torch.autograd.grad(loss, student)[0].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "js"])
def test_one_hot_probabilities_have_finite_gradients(divergence):
    student = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], requires_grad=True)
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    kinds = {"student_is": "probabilities", "teacher_is": "probabilities"}
    loss = soft_target_loss(student, teacher, divergence=divergence, **kinds)
    assert loss.item() == pytest.approx(0, abs=1e-7)
    assert torch.autograd.grad(loss, student)[0].isfinite().all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_one_class_has_nothing_to_learn(divergence):
    student = logits(3, 1).requires_grad_()
    loss = soft_target_loss(student, logits(3, 1, seed=1), divergence=divergence)
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, student)[0] == 0).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_batch_of_one_and_of_zero(divergence, kind):
    options = {"divergence": divergence, "student_is": kind, "teacher_is": kind}
    one = soft_target_loss(logits(1, 3).softmax(-1), logits(1, 3, seed=1).softmax(-1), **options)
    assert 0 < one.item() < INF
    empty = torch.zeros(0, 3, requires_grad=True)
    none = soft_target_loss(empty, torch.zeros(0, 3), **options)
    assert none.item() == 0
    assert torch.autograd.grad(none, empty)[0].shape == (0, 3)
    each = soft_target_loss(empty, torch.zeros(0, 3), reduction="none", **options)
    assert each.shape == (0,)


def test_ties_are_uniform():
    tied = torch.full((2, 4), 7.0)
    assert soft_target_loss(tied, -tied).item() == 0
    assert entropy(tied).item() == pytest.approx(math.log(4))


# Entropy and log-probabilities


def test_entropy_is_that_of_scipy():
    z = logits(4, 5)
    expected = scipy_entropy(z.softmax(-1).numpy(), axis=-1)
    np.testing.assert_allclose(entropy(z, reduction="none").numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(entropy(z).item(), expected.mean(), rtol=1e-10)
    p = z.softmax(-1).T
    actual = entropy(p, kind="probabilities", axis=0, reduction="none")
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)


def test_entropy_of_a_certain_class_is_zero_with_a_finite_gradient():
    for z in ([[1e4, 0.0, -1e4]], [[0.0, -INF, -INF]]):
        leaf = torch.tensor(z, requires_grad=True)
        value = entropy(leaf)
        assert value.item() == 0
        assert torch.autograd.grad(value, leaf)[0].isfinite().all()
    assert entropy(torch.tensor([[0.0, 1.0]]), kind="probabilities").item() == 0
    assert torch.autograd.gradcheck(entropy, logits(3, 4).requires_grad_())


def test_probabilities_are_softened_by_a_power():
    p = torch.tensor([[0.5, 0.3, 0.2, 0.0]], dtype=torch.float64)
    power = p**0.25
    actual = log_probabilities(p, "probabilities", temperature=4.0).exp()
    torch.testing.assert_close(actual, power / power.sum())
    assert log_probabilities(p, "probabilities").tolist()[0][3] == -INF


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, expected a finite number above 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": INF}, "temperature is inf"),
        ({"divergence": "kld"}, "divergence is 'kld', expected one of 'kl', 'cross_entropy'"),
        ({"student_is": "logit"}, "student_is is 'logit', expected one of 'logits'"),
        ({"teacher_is": "probs"}, "teacher_is is 'probs', expected one of 'logits'"),
        ({"student_is": "probabilities"}, "student must hold probabilities along the last axis"),
        ({"teacher_is": "probabilities"}, "teacher must hold probabilities along the last axis"),
        ({"divergence": "js", "mixture": 1.5}, "mixture is 1.5, expected a number from 0 to 1"),
        ({"divergence": "js", "mixture": -0.1}, "mixture is -0.1"),
        ({"divergence": "js", "mixture": math.nan}, "mixture is nan"),
        ({"reduction": "batchmean"}, "reduction is 'batchmean', expected one of 'mean', 'sum'"),
    ],
)
def test_option_outside_its_range_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        soft_target_loss(logits(2, 3), logits(2, 3), **options)


def test_shapes_that_differ_are_named():
    message = r"student has shape \(2, 3\) and teacher has shape \(2, 4\).*same classes\?"
    with pytest.raises(ArgumentError, match=message):
        soft_target_loss(logits(2, 3), logits(2, 4))
    with pytest.raises(ArgumentError, match=r"\(2, 3\) and teacher has shape \(1, 3\)"):
        soft_target_loss(logits(2, 3), logits(1, 3))


def test_teacher_with_gradient_is_named():
    with pytest.raises(ArgumentError, match=r"teacher requires grad.*teacher.detach\(\)"):
        soft_target_loss(logits(2, 3), logits(2, 3).requires_grad_())


def test_entropy_names_its_options():
    with pytest.raises(ArgumentError, match="value_is is 'logit'"):
        entropy(logits(2, 3), kind="logit")
    with pytest.raises(ArgumentError, match="value must hold probabilities"):
        entropy(logits(2, 3), kind="probabilities")
    with pytest.raises(ArgumentError, match="reduction is 'max'"):
        entropy(logits(2, 3), reduction="max")


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("bad", [math.nan, INF])
def test_a_number_that_is_none_is_named(divergence, bad):
    wrong = logits(3, 4)
    wrong[1, 2] = bad
    for pair in ((wrong, logits(3, 4)), (logits(3, 4), wrong)):
        with pytest.raises(ArgumentError, match=r"NaN or infinity at 1 of 3 samples.*index \(1,\)"):
            soft_target_loss(*pair, divergence=divergence)
        with pytest.raises(ArgumentError, match="NaN or infinity"):
            soft_multilabel_loss(*pair, divergence=divergence)
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        entropy(wrong)


def test_shapes_and_dtypes_that_cannot_be_softened_are_named():
    z = logits(2, 3)
    with pytest.raises(ArgumentError, match=r"axis is 2 and student has shape \(2, 3\)"):
        soft_target_loss(z, z, axis=2)
    with pytest.raises(ArgumentError, match=r"student has dtype torch.int64.*student.float\(\)"):
        soft_target_loss(z.long(), z.long())
    with pytest.raises(ArgumentError, match="student is a single number"):
        soft_target_loss(z[0, 0], z[0, 0])
    with pytest.raises(ArgumentError, match="axis is 5"):
        entropy(z, axis=5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_probabilities_of_half_precision_are_made_to_sum_to_one(dtype):
    student, teacher = logits(50, 100), logits(50, 100, seed=1)
    rounded = teacher.softmax(-1).to(dtype)
    found = log_probabilities(rounded, "probabilities").exp().sum(-1)
    torch.testing.assert_close(found, torch.ones(50))
    given = soft_target_loss(student.float(), rounded.clone(), teacher_is="probabilities")
    torch.testing.assert_close(
        given.double(), soft_target_loss(student, teacher), rtol=2e-2, atol=1e-2
    )
