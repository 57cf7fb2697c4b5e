"""What jobs save where a small set is judged: five networks side by side, or one after another.

Both judge the same 100 images with the same networks, one thread each, in run folders of their
own; the worker processes are up before the first block, as they are in a run that has judged
before. On two cores five jobs take three turns, so that at best 1.67 is left. The second figure
compares the training of one network with a hand-written loop over tensors in memory. Blocks
alternate in one process; the figures are medians of the ratios of neighbouring blocks.

Run it: python benchmarks/evaluation_jobs.py [--json]
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time

import numpy as np
import torch
from torch.nn import functional as F

from limbeck.data import digits
from limbeck.data.splits import Subset
from limbeck.evaluate.protocol import Protocol
from limbeck.evaluate.synthetic_sets import judge
from limbeck.networks.fresh import fresh
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.selection import random_selection

FASTER, CLOSE = 1.5, 1.25
NETWORK, STEPS, REPEATS, BLOCKS = "convnet-d2?width=16", 400, 5, 3


def main() -> None:
    torch.set_num_threads(1)
    data = digits()
    small = dataclasses.replace(
        data, train=Subset(data.train, random_selection(data.train.y, 10, 0))
    )
    protocol = Protocol(network=NETWORK, repeats=REPEATS, steps=STEPS, augmentation="none")

    def judged(where: str, protocol: Protocol = protocol) -> float:
        run = Run(tempfile.mkdtemp(), options=Options(executor=where))
        begun = time.perf_counter()
        judge(run, "100 digits", small, protocol)
        return time.perf_counter() - begun

    def plain() -> float:
        network = fresh(NETWORK, small.input_space, 10, 0)
        columns = small.normalise(small.columns(small.train, np.arange(100)))
        x, y = columns["x"], columns["y"]
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        begun = time.perf_counter()
        for _ in range(STEPS):
            order = torch.randperm(len(x))
            loss = F.cross_entropy(network(x[order]), y[order])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return time.perf_counter() - begun

    def alone() -> float:
        run = Run(tempfile.mkdtemp(), options=Options(executor="serial"))
        one = judge(run, "100 digits", small, dataclasses.replace(protocol, repeats=1))
        return one.figures[NETWORK][0]["seconds"]

    brief = dataclasses.replace(protocol, steps=1)
    judged("local", brief), judged("serial", brief), plain()
    faster, close, step_ms = [], [], []
    for number in range(BLOCKS):
        # Who begins changes, so that a drift of the machine's speed favours neither.
        order = ("local", "serial") if number % 2 else ("serial", "local")
        took = {where: judged(where) for where in order}
        faster.append(took["serial"] / took["local"])
        ours, theirs = (alone(), plain()) if number % 2 else (plain(), alone())[::-1]
        close.append(ours / theirs)
        step_ms.append(theirs / STEPS * 1e3)
    figure, over = statistics.median(faster), statistics.median(close)
    print(f"five networks as jobs: {figure:.2f} times faster (target {FASTER})", file=sys.stderr)
    print(f"training over a hand-written loop: {over:.3f} (target {CLOSE})", file=sys.stderr)
    if "--json" in sys.argv:
        facts = {
            "benchmark": "evaluation_jobs",
            "figure": round(figure, 2),
            "baseline": "the five networks one after another",
            "target": FASTER,
            "held": figure >= FASTER,
            "threads": 1,
            "over_plain": round(over, 3),
            "over_plain_target": CLOSE,
            "over_plain_held": over <= CLOSE,
            "plain_step_ms": round(statistics.median(step_ms), 2),
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
