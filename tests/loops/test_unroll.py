"""Unrolled training: the adjoint is exact, approximations are what they say they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import ArgumentError
from limbeck.functional import learned_label_loss, relative_distance
from limbeck.loops.unroll import unroll
from limbeck.networks.flat import Flat

STEPS = 7


class Drawn:
    """Batches cut out of a few images, with a change that depends on the step."""

    def __init__(self, images, labels):
        self.sources = (images, labels)

    def __len__(self):
        return STEPS

    def __call__(self, step, images, labels):
        rows = torch.tensor([step % 3, (step + 1) % 3])
        return images[..., rows, :, :, :] * (1 + 0.1 * step), labels[..., rows, :]


def setting(students=None):
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.GroupNorm(3, 3),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 2),
    ).double()
    flat = Flat(network)
    lead = () if students is None else (students,)
    start = flat.vector().expand(*lead, -1).clone()
    start += 0.1 * torch.randn_like(start)
    goals = start + torch.randn_like(start)
    shapes = (*lead, 3, 1, 4, 4), (*lead, 3, 2), ()
    leaves = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    leaves[2] = torch.tensor(0.3, dtype=torch.float64)
    return flat, start, goals, [one.requires_grad_() for one in leaves]


def gradients(gradient, options, students=None):
    flat, start, goals, (images, labels, rate) = setting(students)
    start.requires_grad_()
    states = unroll(
        flat, start, Drawn(images, labels), learned_label_loss, rate, gradient=gradient, **options
    )
    value = sum(
        (place + 1) * relative_distance(state, goals, start) for place, state in enumerate(states)
    )
    return [value, *torch.autograd.grad(value, [images, labels, rate, start])]


@pytest.mark.parametrize("students", [None, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9, "scale": 1.7}, {"momentum": 0.5, "match": [1, 4, 7]}, {"match": [3]}],
)
def test_the_adjoint_is_what_keeping_all_graphs_gives(options, students):
    kept = gradients("unroll", options, students)
    walked = gradients("adjoint", options, students)
    for ours, theirs in zip(walked, kept, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_several_students_at_once_are_the_students_one_by_one():
    together = gradients("adjoint", {"momentum": 0.9}, 3)
    flat, start, goals, (images, labels, rate) = setting(3)
    single = [
        unroll(
            flat,
            start[one],
            Drawn(images[one], labels[one]),
            learned_label_loss,
            rate,
            momentum=0.9,
        )[-1]
        for one in range(3)
    ]
    value = relative_distance(torch.stack(single), goals, start)
    torch.testing.assert_close(value, together[0])
    torch.testing.assert_close(torch.autograd.grad(value, images)[0], together[1])


def test_constant_memory_is_exact_for_one_step_and_off_for_more():
    one = {"match": [1]}
    for exact, ours in zip(
        gradients("adjoint", one)[:4], gradients("constant-memory", one)[:4], strict=True
    ):
        torch.testing.assert_close(exact, ours)
    exact, ours = (gradients(kind, {})[1].flatten() for kind in ("adjoint", "constant-memory"))
    cosine = torch.nn.functional.cosine_similarity(exact, ours, dim=0)
    assert 0.5 < cosine < 0.999


def test_truncated_takes_early_gradients_as_constants():
    options = {"momentum": 0.4}
    found = gradients("truncated", {**options, "kept_steps": 2})
    flat, start, goals, (images, labels, rate) = setting()
    weights, velocity = start.requires_grad_(), torch.zeros_like(start)
    batches = Drawn(images, labels)
    for step in range(STEPS):
        x, y = batches(step, images, labels)
        loss = learned_label_loss(flat(weights, x), y)
        grad = torch.autograd.grad(loss, weights, create_graph=True)[0]
        if step < STEPS - 2:
            grad = grad.detach()
        velocity = 0.4 * velocity + grad
        weights = weights - rate * velocity
    value = relative_distance(weights, goals, start)
    expected = [value, *torch.autograd.grad(value, [images, labels, rate, start])]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    whole = gradients("truncated", {**options, "kept_steps": STEPS + 5})
    torch.testing.assert_close(whole[1], gradients("adjoint", options)[1])


def test_only_what_requires_grad_gets_one():
    flat, start, goals, (images, labels, rate) = setting()
    batches = Drawn(images, labels.detach())
    end = unroll(flat, start, batches, learned_label_loss, rate.detach())[-1]
    value = relative_distance(end, goals, start)
    value.backward()
    assert images.grad is not None
    assert labels.grad is None
    assert rate.grad is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batches": []}, "no steps"),
        ({"match": [0]}, "rising numbers of steps from 1 to 7"),
        ({"match": [3, 2]}, "rising"),
        ({"match": [8]}, "rising"),
        ({"gradient": "exact"}, "expected one of"),
    ],
)
def test_what_cannot_be_unrolled_is_refused(change, said):
    flat, start, _, (images, labels, rate) = setting()
    batches = change.pop("batches", Drawn(images, labels))
    with pytest.raises(ArgumentError, match=said):
        unroll(flat, start, batches, learned_label_loss, rate, **change)


def test_a_stretch_without_length_is_refused():
    same = torch.ones(3)
    with pytest.raises(ArgumentError, match="no length"):
        relative_distance(same + 1, same, same)
