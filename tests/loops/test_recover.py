"""Recover: what a written-out loop gives, in blocks that do not depend on each other."""

import dataclasses
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.data.batch_views import BatchViews
from limbeck.errors import ModelError
from limbeck.loops import Optim
from limbeck.loops.recover import Block, Recovery, planned, recovered
from limbeck.networks.names import build
from limbeck.run import Run

SPACE = InputSpace((8, 8), channels=2, mean=(0.4, 0.5), std=(0.2, 0.3))
VIEWS = BatchViews(low=0.3, milestone=1.0, roll=2)
RECOVERY = Recovery(
    steps=12,
    statistics_weight=0.05,
    optim=Optim("adam", lr=0.1, betas=(0.5, 0.9), schedule="cosine"),
    views=VIEWS,
    block=3,
)


def network(seed=0, width=4):
    """A network with running statistics of its own."""
    with keyed.torch_seeded(seed):
        made = build(f"convnet-d2?norm=batch&width={width}", SPACE, 5).train()
        for _ in range(5):
            made(torch.randn(16, 2, 8, 8) * 0.7 + 0.2)
    return made.eval().requires_grad_(False)


def written_out(networks, weights, labels, start, recovery, number=0):
    """Hooks that take permuted statistics, torch's own Adam, a clamp after each step."""
    x = start.clone().requires_grad_()
    optim = torch.optim.Adam([x], lr=recovery.optim.lr, betas=recovery.optim.betas)
    low = torch.tensor([-m / s for m, s in zip(SPACE.mean, SPACE.std, strict=True)])[:, None, None]
    high = torch.tensor([(1 - m) / s for m, s in zip(SPACE.mean, SPACE.std, strict=True)])[
        :, None, None
    ]
    for step in range(recovery.steps):
        optim.param_groups[0]["lr"] = recovery.optim.rate(step, recovery.steps)
        key = keyed.key(keyed.key(0, "recovered", step), number)
        view = recovery.views.apply(x, step, recovery.steps, key)
        total = 0
        for one, weight in zip(networks, weights, strict=True):
            distances, handles = [], []
            for layer in one.modules():
                if isinstance(layer, nn.BatchNorm2d):

                    def hook(module, given, _output, found=distances):
                        table = given[0].permute(1, 0, 2, 3).reshape(given[0].shape[1], -1)
                        gap = module.running_var - table.var(1, unbiased=False)
                        found.append(gap.norm() + (module.running_mean - table.mean(1)).norm())

                    handles.append(layer.register_forward_hook(hook))
            loss = F.cross_entropy(one(view), labels)
            for handle in handles:
                handle.remove()
            matched = recovery.first_weight * distances[0] + sum(distances[1:])
            total = total + weight * (loss + recovery.statistics_weight * matched)
        optim.zero_grad()
        total.backward()
        optim.step()
        with torch.no_grad():
            x.copy_(torch.maximum(torch.minimum(x, high), low))
    return x.detach()


def starts(count, seed=4):
    torch.manual_seed(seed)
    return torch.randint(0, 256, (count, 2, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize("voters", [1, 2])
def test_it_does_what_a_written_out_loop_does(tmp_path, voters):
    networks = [network(0), network(1, width=6)][:voters]
    weights = (1.0,) if voters == 1 else (0.7, 0.3)
    start, labels = starts(5), torch.arange(5)
    block = Block(0, labels, tuple(range(voters)), weights, start)
    found, _ = recovered(Run(tmp_path), networks, [block], SPACE, RECOVERY)
    expected = written_out(networks, weights, labels, SPACE.of_bytes(start), RECOVERY)
    # Bytes may differ by one where a rounding falls the other way.
    gap = (found.int() - SPACE.to_bytes(expected).int()).abs()
    assert int(gap.max()) <= 1
    assert float((gap > 0).float().mean()) < 0.01


def test_images_come_in_the_order_of_the_classes(tmp_path):
    blocks = planned(5, 2, 3, starts=starts(10))
    assert [block.labels.tolist() for block in blocks] == [[0, 1, 2], [3, 4], [0, 1, 2], [3, 4]]
    idle = dataclasses.replace(RECOVERY, steps=1, optim=Optim("adam", lr=1e-12))
    found, _ = recovered(Run(tmp_path), [network()], blocks, SPACE, idle)
    assert torch.equal(found, starts(10))


def test_every_block_ends_lower_than_it_began_and_in_the_range_of_pixels(tmp_path):
    long = dataclasses.replace(RECOVERY, steps=60)
    run = Run(tmp_path)
    found, seen = recovered(run, [network()], planned(5, 1, 3), SPACE, long, moments=(0, 30))
    assert found.dtype == torch.uint8
    assert sorted(seen) == [0, 30]
    low, high = SPACE.normalise(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 2, 1, 1))
    assert bool(((seen[30] >= low) & (seen[30] <= high)).all())
    for number in range(2):
        lines = (tmp_path / "jobs" / f"block-0-{number}" / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        total = [row["label"] + row["statistics"] for row in rows]
        assert total[-1] < total[0]


def test_draws_depend_on_the_seed_and_the_block(tmp_path):
    blocks = planned(3, 2, 3)
    one, _ = recovered(Run(tmp_path / "a"), [network()], blocks, SPACE, RECOVERY)
    same, _ = recovered(Run(tmp_path / "b"), [network()], blocks, SPACE, RECOVERY)
    other, _ = recovered(Run(tmp_path / "c", seed=1), [network()], blocks, SPACE, RECOVERY)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_networks_stay_as_they_are(tmp_path):
    teacher = network()
    before = {name: one.clone() for name, one in teacher.state_dict().items()}
    recovered(Run(tmp_path), [teacher], planned(5, 1, 5), SPACE, RECOVERY)
    assert all(torch.equal(one, before[name]) for name, one in teacher.state_dict().items())
    assert not any(module._forward_hooks for module in teacher.modules())


def test_priors_of_images_make_them_smoother_and_smaller(tmp_path):
    def spread(name, **weights):
        recovery = dataclasses.replace(RECOVERY, steps=40, **weights)
        found, _ = recovered(Run(tmp_path / name), [network()], planned(5, 1, 5), SPACE, recovery)
        x = SPACE.of_bytes(found)
        return float((x[..., 1:] - x[..., :-1]).abs().mean()), float(x.norm())

    plain, smooth = spread("plain"), spread("smooth", variation_weight=0.1)
    small = spread("small", size_weight=1.0)
    assert smooth[0] < plain[0]
    assert small[1] < plain[1]


def test_without_statistics_labels_alone_are_learned(tmp_path):
    alone = dataclasses.replace(RECOVERY, statistics_weight=0.0)
    recovered(Run(tmp_path), [network()], planned(5, 1, 5), SPACE, alone)
    text = (tmp_path / "jobs" / "block-0-0" / "metrics.jsonl").read_text()
    assert "statistics" not in text


def test_networks_that_cannot_teach_images_are_refused_at_once(tmp_path):
    run = Run(tmp_path)
    without = build("convnet-d2?width=4", SPACE, 5).eval()
    with pytest.raises(ModelError, match="no BatchNorm layer"):
        recovered(run, [without], planned(5, 1, 5), SPACE, RECOVERY)
    forgetful = network()
    for module in forgetful.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None
    with pytest.raises(ModelError, match="no running statistics"):
        recovered(run, [forgetful], planned(5, 1, 5), SPACE, RECOVERY)
    for recovery in (RECOVERY, dataclasses.replace(RECOVERY, statistics_weight=0.0)):
        with pytest.raises(ModelError, match="in training mode"):
            recovered(run, [network().train()], planned(5, 1, 5), SPACE, recovery)
