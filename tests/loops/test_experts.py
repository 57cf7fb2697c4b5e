"""Expert trajectories: snapshots at the right steps, plain steps as a plain loop, flat steps."""

from __future__ import annotations

import torch
from torch import nn

from limbeck import keyed
from limbeck.data import Views, digits
from limbeck.data.loader import Loader
from limbeck.functional.sharpness import ascent, surrogate_gap_direction
from limbeck.loops import Optim
from limbeck.loops.experts import Experts, trained_experts
from limbeck.networks.fresh import fresh
from limbeck.run import Run

PLAIN = {"optim": Optim("sgd", lr=0.1), "views": Views()}


def setting():
    data = digits().few(100)
    return data, fresh("mlp?hidden=8", data.input_space, 10, keyed.key(3))


def written_out(data, network, experts, number):
    model = fresh(network, data.input_space, 10, keyed.key(0, "expert", number))
    loader = Loader(data, data.train, experts.batch_size, stage=f"expert-{number}")
    weights = list(model.parameters())

    def vector():
        return torch.cat([one.detach().flatten() for one in weights])

    rows, step = [vector()], 0
    for epoch in range(1, experts.epochs + 1):
        while step * loader.batch_size < epoch * len(data.train):
            batch = loader.batch(step)

            def gradients(batch=batch):
                return torch.autograd.grad(
                    nn.functional.cross_entropy(model(batch["x"]), batch["y"]), weights
                )

            direction = gradients()
            if experts.radius:
                before = [one.detach().clone() for one in weights]
                up = ascent(weights, direction, radius=experts.radius, adaptive=experts.adaptive)
                with torch.no_grad():
                    torch._foreach_add_(weights, up)
                there = gradients()
                with torch.no_grad():
                    torch._foreach_copy_(weights, before)
                direction = surrogate_gap_direction(direction, there, weight=experts.gap_weight)
            with torch.no_grad():
                torch._foreach_sub_(weights, [0.1 * one for one in direction])
            step += 1
        rows.append(vector())
    return torch.stack(rows)


def test_snapshots_are_those_of_a_written_out_loop(tmp_path):
    data, network = setting()
    for name, radius in (("plain", 0.0), ("flat", 0.05)):
        experts = Experts(count=2, epochs=3, batch_size=32, radius=radius, **PLAIN)
        found = trained_experts(Run(tmp_path / name), network, data, experts)
        assert len(found) == 2
        assert found.epochs == 3
        for number in range(2):
            expected = written_out(data, network, experts, number)
            for epoch in range(4):
                torch.testing.assert_close(found.weights(number, epoch), expected[epoch])
        assert not torch.equal(found.weights(0, 0), found.weights(1, 0))


def test_experts_that_are_done_are_read_back(tmp_path):
    data, network = setting()
    experts = Experts(count=1, epochs=2, batch_size=50, **PLAIN)
    first = trained_experts(Run(tmp_path / "run"), network, data, experts)
    (file,) = (tmp_path / "run" / "jobs" / "expert-0" / "stages").iterdir()
    written = file.stat().st_mtime_ns
    again = trained_experts(Run(tmp_path / "run"), network, data, experts)
    assert file.stat().st_mtime_ns == written
    assert torch.equal(first.weights(0, 2), again.weights(0, 2))
    assert not (tmp_path / "run" / "jobs" / "expert-0" / "checkpoints" / "expert").exists()
