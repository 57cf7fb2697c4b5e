"""High temperatures: divergences keep their digits, up to the limit and in their gradients."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from limbeck.errors import ArgumentError
from limbeck.functional import decoupled_loss, soft_target_loss, token_divergence_loss

DIVERGENCES = ("kl", "reverse_kl", "js", "cross_entropy")
TEMPERATURES = (31.0, 1e3, 1e6, 1e9, 1e18)
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)


def logits(*shape, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def exactly(student, teacher, temperature, divergence, mixture=0.5):
    """T² times the divergence of one sample, by its formula with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        hot, share = Decimal(temperature), Decimal(mixture)
        q, p = ([(Decimal(z) / hot).exp() for z in side.tolist()] for side in (student, teacher))
        q, p = ([one / sum(side) for one in side] for side in (q, p))
        m = [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]

        def kl(first, second):
            return sum(a * (a / b).ln() for a, b in zip(first, second, strict=True))

        value = {
            "kl": lambda: kl(p, q),
            "reverse_kl": lambda: kl(q, p),
            "js": lambda: share * kl(p, m) + (1 - share) * kl(q, m),
            "cross_entropy": lambda: -sum(a * b.ln() for a, b in zip(p, q, strict=True)),
        }[divergence]()
        return float(value * hot**2)


@every_divergence
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_keep_their_digits(divergence, temperature, dtype):
    student, teacher = logits(6, 10).to(dtype), logits(6, 10, seed=1).to(dtype)
    options = {"divergence": divergence, "temperature": temperature, "mixture": 0.3}
    expected = [
        exactly(*pair, temperature, divergence, 0.3) for pair in zip(student, teacher, strict=True)
    ]
    each = soft_target_loss(student, teacher, reduction="none", **options)
    exact = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(each.double(), exact, rtol=100 * torch.finfo(dtype).eps, atol=0)


@every_divergence
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_of_float32_are_those_of_float64(divergence, temperature):
    slopes = []
    for dtype in (torch.float32, torch.float64):
        student, teacher = logits(6, 10).to(dtype), logits(6, 10, seed=1).to(dtype)
        leaf = student.requires_grad_()
        value = soft_target_loss(leaf, teacher, divergence=divergence, temperature=temperature)
        slopes.append(torch.autograd.grad(value, leaf)[0].double())
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-4, atol=1e-6)


@every_divergence
@pytest.mark.parametrize("scale", [3.0, 100.0])
def test_gradients_are_right(divergence, scale):
    """Where gaps are small, and where they are not and logarithms are good enough."""
    teacher = logits(3, 4, seed=1, scale=scale)
    student = logits(3, 4, scale=scale).requires_grad_()
    options = {"divergence": divergence, "temperature": 31.0, "mixture": 0.3}

    def loss(z):
        return soft_target_loss(z, teacher, **options)

    assert torch.autograd.gradcheck(loss, student)
    assert torch.autograd.gradgradcheck(loss, student)


@every_divergence
def test_both_ways_agree_where_they_meet(divergence):
    """Temperatures just below and above the one from which digits are kept."""
    student, teacher = logits(20, 10, scale=40.0), logits(20, 10, seed=1, scale=40.0)
    below, above = (
        soft_target_loss(
            student, teacher, divergence=divergence, temperature=t, temperature_squared=False
        )
        for t in (30.0, math.nextafter(30.0, 31.0))
    )
    torch.testing.assert_close(below, above, rtol=1e-10, atol=0)


def test_far_logits_and_classes_ruled_out_are_as_before():
    teacher = torch.tensor([[4e3, 0.0, -math.inf], [1e6, 0.0, 0.0], [0.0, 1.0, -math.inf]])
    student = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [2.0, 0.0, -math.inf]])
    student = student.requires_grad_()
    for divergence in ("kl", "js", "cross_entropy"):
        each = soft_target_loss(
            student, teacher, divergence=divergence, temperature=50.0, reduction="none"
        )
        p, q = (teacher / 50).softmax(-1), (student / 50).softmax(-1)
        if divergence == "kl":
            expected = 2500 * rel_entr(p.numpy(), q.detach().numpy()).sum(-1)
            np.testing.assert_allclose(each.detach(), expected, rtol=1e-3, atol=1e-3)
        assert each.isfinite().all()
        assert torch.autograd.grad(each.sum(), student)[0].isfinite().all()


def test_equal_logits_are_0_and_probabilities_do_as_well():
    z = logits(4, 5).float()
    assert soft_target_loss(z, z, temperature=1e6).item() == 0
    student, teacher = logits(4, 5).softmax(-1), logits(4, 5, seed=1).softmax(-1)
    given = soft_target_loss(
        student, teacher, temperature=1e9, student_is="probabilities", teacher_is="probabilities"
    )
    torch.testing.assert_close(
        given, soft_target_loss(student.log(), teacher.log(), temperature=1e9)
    )


@pytest.mark.parametrize("temperature", [1e3, 1e9, 1e18])
def test_parts_keep_their_digits_too(temperature):
    """At the limit the binary part is p(1-p)/2 of the squared difference of the means."""
    student, teacher = logits(6, 5).float(), logits(6, 5, seed=1).float()
    target = torch.tensor([0, 1, 2, 3, 4, 0])
    gap = (student - teacher).double()
    own = gap.gather(1, target[:, None])[:, 0]
    rest = gap[torch.arange(5) != target[:, None]].reshape(6, 4)
    binary = 0.5 * 0.2 * 0.8 * (own - rest.mean(1)).square()
    expected = binary + 8 * 0.5 * rest.var(1, unbiased=False)
    each = decoupled_loss(student, teacher, target, temperature=temperature, reduction="none")
    tolerance = max(1e-5, 20 / temperature)
    torch.testing.assert_close(each.double(), expected, rtol=tolerance, atol=0)


def test_parts_agree_where_both_ways_meet():
    student, teacher = logits(6, 5), logits(6, 5, seed=1)
    target = torch.tensor([0, 1, 2, 3, 4, 0])
    below, above = (
        decoupled_loss(student, teacher, target, target_weight=2.0, temperature=t, reduction="none")
        for t in (30.0, math.nextafter(30.0, 31.0))
    )
    torch.testing.assert_close(below, above, rtol=1e-9, atol=0)
    leaf = student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: decoupled_loss(z, teacher, target, temperature=40.0), leaf
    )


@every_divergence
def test_compiles_and_maps(divergence):
    student, teacher = logits(3, 4, 5), logits(3, 4, 5, seed=1)

    def loss(z, t):
        return soft_target_loss(z, t, divergence=divergence, temperature=1e4)

    expected = torch.stack([*map(loss, student, teacher)])
    torch.testing.assert_close(torch.func.vmap(loss)(student, teacher), expected)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(student, teacher), loss(student, teacher))
    tokens = token_divergence_loss(student, teacher, divergence=divergence, temperature=1e4)
    torch.testing.assert_close(tokens, loss(student, teacher))


def test_a_square_that_float32_cannot_hold_is_refused():
    with pytest.raises(ArgumentError, match=r"temperature is 1e\+20, whose square float32 cannot"):
        soft_target_loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature=1e20)
