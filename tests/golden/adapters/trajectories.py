"""Matching the trajectories of experts: segments, labels, steps of student and expert."""

from __future__ import annotations

import torch
from torch import nn

from limbeck.functional.sharpness import ascent, surrogate_gap_direction
from limbeck.functional.soft_labels import learned_label_loss
from limbeck.functional.supervised import cross_entropy
from limbeck.functional.trajectories import (
    average_correct_logits as average,
)
from limbeck.functional.trajectories import (
    relative_distance,
)
from limbeck.functional.trajectories import (
    start_epoch_upper_bound as upper_bound,
)
from limbeck.loops.unroll import unroll
from limbeck.networks.flat import Flat

from ..harness import adapter


def network(params):
    inner = nn.Linear(params["D"], params["H"]), nn.Tanh(), nn.Linear(params["H"], params["C"])
    return Flat(nn.Sequential(nn.Flatten(), *inner).double())


def matched(inputs, params, target, loss, gradient):
    start, goal, images = (inputs[name] for name in ("start_params", "target_params", "images"))
    rate = torch.tensor(params["syn_lr"], dtype=start.dtype, requires_grad=True)
    leaves = [one.detach().requires_grad_() for one in (images, target) if one.is_floating_point()]
    pair = (leaves[0], leaves[1] if len(leaves) > 1 else target)
    end = unroll(network(params), start, [pair] * params["steps"], loss, rate, gradient=gradient)
    value = relative_distance(end[-1], goal, start)
    grads = torch.autograd.grad(value, [*leaves, rate])
    names = ["grad_images", "grad_label_logits"][: len(leaves)]
    found = dict(zip([*names, "grad_syn_lr"], grads, strict=True))
    return {"loss": value.detach(), "final_params": end[-1].detach(), **found}


@adapter("datm", "start_epoch_upper_bound")
def start_epoch_upper_bound(inputs, params):
    bounds = {
        "first": params["initial_max_start_epoch"],
        "last": params["max_start_epoch"],
        "growth_steps": params["expansion_end_iteration"],
        "sequential": params["sequential"],
    }
    return {"upper_bound": [upper_bound(int(step), **bounds) for step in inputs["it"]]}


@adapter("datm", "average_correct_logits")
def average_correct_logits(inputs, params):
    return {"soft_label_logits": average(inputs["expert_logits"], inputs["labels"])}


@adapter("datm", "trajectory_matching_soft")
def trajectory_matching_soft(inputs, params):
    return matched(inputs, params, inputs["label_logits"], learned_label_loss, "adjoint")


@adapter("datm", "trajectory_matching_hard")
def trajectory_matching_hard(inputs, params):
    return matched(inputs, params, inputs["labels"], cross_entropy, "adjoint")


@adapter("datm", "trajectory_matching_constant_memory")
def trajectory_matching_constant_memory(inputs, params):
    return matched(inputs, params, inputs["label_logits"], learned_label_loss, "constant-memory")


@adapter("datm", "gsam_step")
def gsam_step(inputs, params):
    flat, losses = network(params), []
    flat.load(inputs["params"])
    weights = list(flat.network.parameters())
    optim = torch.optim.SGD(
        weights,
        lr=params["lr"],
        momentum=params["momentum"],
        weight_decay=params["weight_decay"],
    )

    def gradients(x, y):
        loss = cross_entropy(flat.network(x), y)
        losses.append(loss.detach())
        return torch.autograd.grad(loss, weights)

    for x, y in zip(inputs["batches_x"], inputs["batches_y"], strict=True):
        here = gradients(x, y)
        up = ascent(weights, here, radius=params["rho"], adaptive=params["adaptive"])
        with torch.no_grad():
            torch._foreach_add_(weights, up)
        there = gradients(x, y)
        with torch.no_grad():
            torch._foreach_sub_(weights, up)
        losses.pop()
        for one, step in zip(
            weights, surrogate_gap_direction(here, there, weight=params["alpha"]), strict=True
        ):
            one.grad = step.detach()
        optim.step()
    return {"params_after": flat.vector(), "losses": torch.stack(losses)}
