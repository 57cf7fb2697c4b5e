"""What holds of divergences for any two distributions."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from limbeck.functional.divergences import entropy, soft_target_loss

DIVERGENCES = ("kl", "cross_entropy", "reverse_kl", "js")
properties = settings(deadline=None, max_examples=40, derandomize=True)


@st.composite
def pairs(draw, limit=20.0):
    """Two tensors (N, C) of finite logits."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)))
    values = arrays(np.float64, (2, *shape), elements=st.floats(-limit, limit))
    return torch.from_numpy(draw(values)).unbind(0)


@properties
@given(pairs(), st.floats(-50, 50), st.sampled_from(DIVERGENCES))
def test_adding_a_constant_to_logits_changes_nothing(pair, shift, divergence):
    student, teacher = pair
    actual = soft_target_loss(student + shift, teacher - shift, divergence=divergence)
    expected = soft_target_loss(student, teacher, divergence=divergence)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


@properties
@given(pairs(), st.randoms(use_true_random=False), st.sampled_from(DIVERGENCES))
def test_order_of_classes_does_not_matter(pair, random, divergence):
    order = list(range(pair[0].shape[1]))
    random.shuffle(order)
    actual = soft_target_loss(*(x[:, order] for x in pair), divergence=divergence)
    expected = soft_target_loss(*pair, divergence=divergence)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


@properties
@given(pairs(), st.sampled_from(DIVERGENCES), st.floats(0, 1))
def test_divergences_are_not_negative_and_vanish_on_equals(pair, divergence, mixture):
    options = {"divergence": divergence, "mixture": mixture}
    assert soft_target_loss(*pair, **options).item() >= -1e-12
    if divergence != "cross_entropy":
        assert abs(soft_target_loss(pair[0], pair[0], **options).item()) < 1e-12


@properties
@given(pairs())
def test_cross_entropy_is_kl_and_the_entropy_of_the_teacher(pair):
    student, teacher = pair
    kl = soft_target_loss(student, teacher)
    actual = soft_target_loss(student, teacher, divergence="cross_entropy")
    torch.testing.assert_close(actual, kl + entropy(teacher), rtol=1e-9, atol=1e-11)


@properties
@given(pairs(limit=200.0))
def test_even_js_is_symmetric_and_at_most_log_two(pair):
    student, teacher = pair
    actual = soft_target_loss(student, teacher, divergence="js", reduction="none")
    other = soft_target_loss(teacher, student, divergence="js", reduction="none")
    torch.testing.assert_close(actual, other, rtol=1e-9, atol=1e-11)
    assert (actual <= math.log(2) + 1e-12).all()


@properties
@given(pairs(limit=200.0))
def test_kl_and_reverse_kl_swap_with_their_arguments(pair):
    student, teacher = pair
    actual = soft_target_loss(student, teacher, divergence="reverse_kl")
    expected = soft_target_loss(teacher, student, divergence="kl")
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@properties
@given(pairs(limit=5.0), st.sampled_from(["kl", "cross_entropy", "reverse_kl"]))
def test_hot_gradient_matches_centred_logits(pair, divergence):
    """As T grows the gradient of the loss tends to the difference of centred logits over N C."""
    student, teacher = pair
    student.requires_grad_()
    loss = soft_target_loss(student, teacher, divergence=divergence, temperature=1e5)
    slope = torch.autograd.grad(loss, student)[0]
    difference = (student - teacher).detach()
    expected = (difference - difference.mean(-1, keepdim=True)) / student.numel()
    torch.testing.assert_close(slope, expected, rtol=1e-3, atol=1e-3)
