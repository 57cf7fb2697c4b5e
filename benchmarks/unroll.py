"""What differentiating through training costs without keeping the graphs of all steps.

The benchmark's ConvNet learns some steps from synthetic images and the distance of its weights to a
goal is differentiated with respect to the images: by the adjoint, and by a written-out loop that
keeps every graph as published code does. Each runs in a child process of its own; peak memory is
above what stands after imports and inputs. Time is that of the processor, so that neighbours count
little, the two taking turns. The adjoint keeps what it frees, as limbeck's runs do; beside it
stands the time of a written-out loop that does so too, which no published code does.

Run it: python benchmarks/unroll.py [--json]
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.functional import cross_entropy, relative_distance
from limbeck.loops.unroll import unroll
from limbeck.networks.flat import Flat
from limbeck.networks.names import build
from limbeck.run.processor import keep_freed_memory

IMAGES, STEPS, LONG, ROUNDS = 100, 20, 80, 1
MEMORY_TARGET, TIME_TARGET, LONG_GIGABYTES = 1 / 8, 1.0, 1.5


def published(network: nn.Module, start: Tensor, goal: Tensor, x: Tensor, y: Tensor, rate: Tensor):
    """The loop over steps with one graph for all of them."""
    named = {name: one.shape for name, one in network.named_parameters()}
    weights = start.clone().requires_grad_()
    theta = weights
    for _ in range(STEPS):
        order = torch.randperm(len(x))
        parts = theta.split([shape.numel() for shape in named.values()])
        given = {
            name: part.view(shape) for (name, shape), part in zip(named.items(), parts, strict=True)
        }
        logits = torch.func.functional_call(network, given, (x[order],))
        loss = nn.functional.cross_entropy(logits, y[order])
        (grad,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - rate * grad
    value = (theta - goal).square().sum() / (start - goal).square().sum()
    return value, torch.autograd.grad(value, [x, rate])


class Shuffled:
    """All images, in another order at each step."""

    def __init__(self, x: Tensor, y: Tensor, steps: int) -> None:
        self.sources, self._y, self._steps = (x,), y, steps
        self._orders = [torch.randperm(len(x)) for _ in range(steps)]

    def __len__(self) -> int:
        return self._steps

    def __call__(self, step: int, *sources: Tensor) -> tuple[Tensor, Tensor]:
        order = self._orders[step]
        return sources[0][order], self._y[order]


def measure(said: Any, kind: str, steps: int) -> None:
    if kind != "published":
        keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build("convnet-d3", InputSpace((32, 32), 3), 10)
    flat = Flat(network)
    start = flat.vector()
    goal = start + 0.01 * torch.randn_like(start)
    x = torch.randn(IMAGES, 3, 32, 32, requires_grad=True)
    y = torch.arange(IMAGES) % 10
    rate = torch.tensor(0.01, requires_grad=True)
    # A small first call, so that code is loaded before memory is counted.
    unroll(flat, start, [(x[:2], y[:2])], cross_entropy, rate)[-1].sum().backward()
    torch.manual_seed(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    if kind != "adjoint":
        value, grads = published(network, start, goal, x, y, rate)
    else:
        end = unroll(flat, start, Shuffled(x, y, steps), cross_entropy, rate)[-1]
        value = relative_distance(end, goal, start)
        grads = torch.autograd.grad(value, [x, rate])
    seconds = time.process_time() - begun
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said.put((seconds, (after - before) / 2**20, float(value.detach()), float(grads[0].norm())))


def child(kind: str, steps: int) -> tuple[float, float, float, float]:
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    process = context.Process(target=measure, args=(said, kind, steps))
    process.start()
    found = said.get()
    process.join()
    return found


def main() -> None:
    rounds = [
        {kind: child(kind, STEPS) for kind in ("published", "adjoint")} for _ in range(ROUNDS)
    ]
    theirs, ours = (
        {name: min(one[kind][place] for one in rounds) for place, name in enumerate(("s", "gib"))}
        for kind in ("published", "adjoint")
    )
    same = abs(rounds[0]["published"][3] / rounds[0]["adjoint"][3] - 1)
    kept = child("published, freed memory kept", STEPS)
    long = child("adjoint", LONG)
    memory, seconds = ours["gib"] / theirs["gib"], ours["s"] / theirs["s"]
    print(
        f"{STEPS} steps: {ours['s']:.1f} s and {ours['gib']:.2f} GiB against {theirs['s']:.1f} s "
        f"and {theirs['gib']:.2f} GiB: time {seconds:.2f} (target {TIME_TARGET}), memory "
        f"{memory:.3f} (target {MEMORY_TARGET}); gradients differ by {same:.1e}; {LONG} steps: "
        f"{long[1]:.2f} GiB (target {LONG_GIGABYTES}); against a loop that keeps what it frees: "
        f"time {ours['s'] / kept[0]:.2f}",
        file=sys.stderr,
    )
    if "--json" in sys.argv:
        held = memory <= MEMORY_TARGET and seconds <= TIME_TARGET and long[1] <= LONG_GIGABYTES
        facts = {
            "benchmark": "unroll",
            "figure": {
                "time": round(seconds, 3),
                "time_both_keeping": round(ours["s"] / kept[0], 3),
                "memory": round(memory, 4),
                "long_gib": round(long[1], 3),
            },
            "baseline": "the written-out loop that keeps all graphs",
            "target": {"time": TIME_TARGET, "memory": MEMORY_TARGET, "long_gib": LONG_GIGABYTES},
            "held": held,
            "threads": 1,
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
