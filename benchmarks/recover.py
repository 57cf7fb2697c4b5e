"""What it takes to recover images from a network's statistics: one step, ours and the published.

A step shifts the batch, passes it through a frozen network, takes the gradient of cross-entropy and
0.01 times the distances of all BatchNorm layers, and moves the pixels by Adam. The published way
computes each layer's statistics in a hook, of a copy with the channels in front. Images are 3x32x32
in both layouts of ours; the target is for the layout that the published way has. Steps of all kinds
take turns, in the time of the processor; a figure is the median, over three networks, of the median
ratio of neighbouring steps. Peak memory is that of a child process, above what stands before the
step, and its figure is the worst of the three.

Run it: python benchmarks/recover.py [--json]
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.data.space import InputSpace
from limbeck.functional import recovery_terms, statistics_regulariser
from limbeck.networks.batch_norm import batch_norms, statistics_matched
from limbeck.networks.names import build

NETWORKS = ("convnet-d3?norm=batch", "resnet18?norm=batch", "torchvision:mobilenet_v2")
ROUNDS = {10: 9, 100: 5}
FASTER, MEMORY, STATISTICS_WEIGHT, FIRST_WEIGHT = 1.15, 1.0, 0.01, 10.0
LOW, HIGH = -2.0, 2.0
KINDS = ("published", "ours", "ours_channels_last", "plain", "plain_channels_last")
Objective = Callable[[Tensor, Tensor], Tensor]


@contextlib.contextmanager
def published(network: nn.Module) -> Iterator[Objective]:
    """Hooks that compute the statistics of every layer's input once more."""
    said: list[Tensor] = []

    def hook(layer: Any, given: tuple[Tensor, ...], _output: Tensor) -> None:
        (x,) = given
        channels = x.shape[1]
        mean = x.mean([0, 2, 3])
        rows = x.permute(1, 0, 2, 3).contiguous().view(channels, -1)
        off_variance = torch.norm(layer.running_var - rows.var(1, unbiased=False), 2)
        said.append(off_variance + torch.norm(layer.running_mean - mean, 2))

    def objective(x: Tensor, y: Tensor) -> Tensor:
        said.clear()
        loss = F.cross_entropy(network(x), y)
        weights = [FIRST_WEIGHT] + [1.0] * (len(said) - 1)
        weighted = (weight * one for weight, one in zip(weights, said, strict=True))
        return loss + STATISTICS_WEIGHT * sum(weighted)

    handles = [layer.register_forward_hook(hook) for layer in batch_norms(network)]
    yield objective
    for handle in handles:
        handle.remove()


@contextlib.contextmanager
def ours(network: nn.Module) -> Iterator[Objective]:
    with statistics_matched(network) as matched:

        def objective(x: Tensor, y: Tensor) -> Tensor:
            loss = F.cross_entropy(network(x), y)
            regulariser = statistics_regulariser(matched.distances(), first_weight=FIRST_WEIGHT)
            terms = recovery_terms([loss], [regulariser], statistics_weight=STATISTICS_WEIGHT)
            return terms["label"] + terms["statistics"]

        yield objective


@contextlib.contextmanager
def plain(network: nn.Module) -> Iterator[Objective]:
    yield lambda x, y: F.cross_entropy(network(x), y)


class Step:
    """One step of recovery, of a kind, from the same images and weights for all kinds."""

    def __init__(self, kind: str, name: str, images: int) -> None:
        layout = torch.channels_last if kind.endswith("_last") else torch.contiguous_format
        torch.manual_seed(0)
        network = build(name, InputSpace((32, 32), 3), 10).eval().requires_grad_(False)
        network = network.to(memory_format=layout)
        self._x = torch.randn(images, 3, 32, 32).to(memory_format=layout).requires_grad_()
        self._y = torch.arange(images) % 10
        self._optimiser = torch.optim.Adam([self._x], lr=0.25, betas=(0.5, 0.9))
        maker = {"published": published, "ours": ours, "plain": plain}[kind.partition("_")[0]]
        self._block = contextlib.ExitStack()
        self._objective = self._block.enter_context(maker(network))

    def __call__(self) -> float:
        shifted = torch.roll(self._x, (1, 2), (2, 3))
        loss = self._objective(shifted, self._y)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        with torch.no_grad():
            self._x.clamp_(LOW, HIGH)
        return float(loss.detach())

    def grad(self) -> Tensor:
        assert self._x.grad is not None
        return self._x.grad


def peak(said: Any, kind: str, name: str, images: int) -> None:
    torch.set_num_threads(1)
    # A small first step, so that code is loaded before memory is counted.
    Step(kind, name, 2)()
    step = Step(kind, name, images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    said.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)


def child(*given: Any) -> float:
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    process = context.Process(target=peak, args=(said, *given))
    process.start()
    found = said.get()
    process.join()
    return found


def timed(name: str, images: int) -> dict[str, float]:
    """Ratios of the time of neighbouring steps, and how far the first gradients differ."""
    steps = {kind: Step(kind, name, images) for kind in KINDS}
    losses = {kind: step() for kind, step in steps.items()}
    theirs, grad = steps["published"].grad(), steps["ours"].grad()
    differ = float((theirs - grad).norm() / theirs.norm())
    assert abs(losses["ours"] / losses["published"] - 1) < 1e-4, losses
    rows = []
    for number in range(ROUNDS[images]):
        # Who begins changes, so that a drift of the machine's speed favours none.
        order = KINDS if number % 2 else KINDS[::-1]
        row = {}
        for kind in order:
            begun = time.process_time()
            steps[kind]()
            row[kind] = time.process_time() - begun
        rows.append(row)

    def ratio(above: str, below: str) -> float:
        return round(median(row[above] / row[below] for row in rows), 3)

    return {
        "faster": ratio("published", "ours"),
        "faster_channels_last": ratio("published", "ours_channels_last"),
        "over_plain": ratio("ours", "plain"),
        "over_plain_channels_last": ratio("ours_channels_last", "plain_channels_last"),
        "step_ms": round(median(row["ours"] for row in rows) * 1e3, 1),
        "gradients_differ": float(f"{differ:.1e}"),
    }


def main() -> None:
    torch.set_num_threads(1)
    largest = max(ROUNDS)
    peaks = {
        name: {kind: child(kind, name, largest) for kind in ("published", "ours")}
        for name in NETWORKS
    }
    memory = max(one["ours"] / one["published"] for one in peaks.values())
    found = {images: {name: timed(name, images) for name in NETWORKS} for images in ROUNDS}
    middle = {
        images: {
            key: median(one[key] for one in rows.values()) for key in next(iter(rows.values()))
        }
        for images, rows in found.items()
    }
    for images, rows in found.items():
        for name, one in rows.items():
            print(f"{images} images, {name}: {one}", file=sys.stderr)
    for name, one in peaks.items():
        print(f"{name}: {one['ours']:.2f} of {one['published']:.2f} GiB", file=sys.stderr)
    figure = {f"faster_{images}": middle[images]["faster"] for images in ROUNDS}
    held = min(figure.values()) >= FASTER and memory <= MEMORY
    print(f"{figure} (target {FASTER}), memory {memory:.2f} (target {MEMORY})", file=sys.stderr)
    if "--json" in sys.argv:
        facts = {
            "benchmark": "recover",
            "figure": {**figure, "memory": round(memory, 3)},
            "baseline": "hooks that compute the statistics of each layer once more",
            "target": {**dict.fromkeys(figure, FASTER), "memory": MEMORY},
            "held": held,
            "threads": 1,
            "over_plain": {str(images): middle[images]["over_plain"] for images in ROUNDS},
            "channels_last": {
                str(images): middle[images]["faster_channels_last"] for images in ROUNDS
            },
            "networks": {str(images): rows for images, rows in found.items()},
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
