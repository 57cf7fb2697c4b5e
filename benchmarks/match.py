"""What a step of distribution matching costs beside the same written out, and what few steps save.

A step: one update of the student and two of the fake, each with its rollout, guidance 2; written
out in plain torch on the same networks and draws without schedules, checks or a loop. A U-Net on
3x32x32 and one on 1x8x8. Sampling: images a second of a four-step student and of its teacher in
fifty steps without guidance, beside the ratio of network evaluations. One thread; medians of
alternating blocks.

Run it: python benchmarks/match.py [--json]
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from limbeck.data import InputSpace
from limbeck.keyed import key, seed_torch
from limbeck.loops.match import Matching, coupled, match, simulated
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.samplers.few_step import FewStep, sample, steps

RATIO, FASTER, SHARE, BLOCKS, UPDATES = 0.97, 10.0, 0.9, 5, 4
LEVELS, GUIDANCE, LOW, HIGH = (1.0, 0.75, 0.5, 0.25), 2.0, 0.02, 0.98
MATCHING = Matching(steps=UPDATES, fake_per_student=2, batch_size=16, average=0)
CASES = {
    "unet 3x32x32": ("denoiser-unet?widths=16x32", InputSpace((32, 32), channels=3)),
    "unet 1x8x8": ("denoiser-unet?widths=16x32", InputSpace((8, 8), channels=1)),
}
CLASSES = 10
Step = Callable[[nn.Module, Tensor], None]


def written_out(teacher: nn.Module, labels: Tensor) -> None:
    """The turns of student and fake as a plain loop on flow-matching networks."""
    shape, batch = teacher.shape, MATCHING.batch_size
    real, student, fake = (copy.deepcopy(teacher.network) for _ in range(3))
    optims = [
        torch.optim.Adam(net.parameters(), lr=rate.lr, betas=rate.betas)
        for net, rate in ((student, MATCHING.optim), (fake, MATCHING.fake_optim))
    ]

    def wide(t: Tensor) -> Tensor:
        return t.reshape(-1, *(1,) * len(shape))

    def clean(net: nn.Module, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return x - wide(t) * net(x, t * 1000, y)

    for step in range(3 * UPDATES):
        # The draws of the loop, so that both take the same steps of the sampler.
        seed_torch(key(0, "student", step))
        y = labels[torch.randint(len(labels), (batch,))]
        chosen, x = int(torch.randint(len(LEVELS), ())), torch.randn(batch, *shape)
        with torch.no_grad():
            for level, after in list(pairwise(LEVELS))[:chosen]:
                x0 = clean(student, x, torch.full((batch,), level), y)
                x = (1 - after) * x0 + after * torch.randn_like(x)
        learns = step % 3 == 2
        with torch.set_grad_enabled(learns):
            made = clean(student, x, torch.full((batch,), LEVELS[chosen]), y)
        t, noise = torch.rand(batch), torch.randn_like(made)
        if not learns:
            x_t = (1 - wide(t)) * made + wide(t) * noise
            loss = (fake(x_t, t * 1000, y) - (noise - made)).square().mean()
        else:
            t = LOW + (HIGH - LOW) * t
            x_t = ((1 - wide(t)) * made + wide(t) * noise).detach()
            with torch.no_grad():
                both = clean(
                    real, torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([y, y * 0 + CLASSES])
                )
                with_class, without = both.chunk(2)
                goal = without + GUIDANCE * (with_class - without)
                difference = clean(fake, x_t, t, y) - goal
                size = (made - goal).abs().flatten(1).mean(1) + 1e-6
                aim = made - difference / wide(size)
            loss = 0.5 * (made - aim).square().mean()
        optim = optims[0 if learns else 1]
        loss.backward()
        optim.step()
        for one in optims:
            one.zero_grad(set_to_none=True)


def ours(teacher: nn.Module, labels: Tensor) -> None:
    """The same through the shared loop."""
    match(
        Run(tempfile.mkdtemp()),
        "student",
        copy.deepcopy(teacher).requires_grad_(True),
        copy.deepcopy(teacher).requires_grad_(True),
        MATCHING,
        labels,
        rollout=simulated(FewStep(levels=LEVELS)),
        student_terms=coupled(teacher, MATCHING, GUIDANCE),
    )


def speed(name: str, space: InputSpace) -> float:
    """How many times as fast as the written-out loop ours is."""
    teacher = build(name, space, CLASSES).eval()
    labels = torch.arange(CLASSES)
    pairs = []
    for block in range(BLOCKS + 1):
        taken = [_seconds(one, teacher, labels) for one in (written_out, ours)]
        if block:
            pairs.append(taken[0] / taken[1])
    return statistics.median(pairs)


def _seconds(
    call: Callable[[nn.Module, Tensor], None], teacher: nn.Module, labels: Tensor
) -> float:
    begun = time.process_time()
    call(teacher, labels)
    return time.process_time() - begun


def sampling() -> float:
    """Images a second of four steps, in those of fifty."""
    network = build(*CASES["unet 1x8x8"], CLASSES).eval()
    noise, condition = torch.randn(64, *network.shape), torch.arange(64) % CLASSES
    plans, taken = (FewStep(levels=LEVELS), steps(50)), []
    for block in range(BLOCKS + 1):
        pair = []
        for plan in plans:
            begun = time.process_time()
            sample(network, noise, condition, plan, 1)
            pair.append(time.process_time() - begun)
        if block:
            taken.append(pair[1] / pair[0])
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    figure = {name: round(speed(*case), 3) for name, case in CASES.items()}
    faster, evaluations = sampling(), 50 / len(LEVELS)
    held = min(figure.values()) >= RATIO and faster >= FASTER and faster >= SHARE * evaluations
    content = {
        "benchmark": "match",
        "figure": {**figure, "sampling": round(faster, 2)},
        "baseline": "the written-out step; the teacher in fifty steps",
        "target": {"step": RATIO, "sampling": FASTER, "share of evaluations": SHARE * evaluations},
        "held": held,
        "threads": 1,
    }
    if "--json" not in sys.argv:
        print("times as fast as the written-out step, and four steps as fifty:", content["figure"])
        return
    print(json.dumps(content))


if __name__ == "__main__":
    main()
