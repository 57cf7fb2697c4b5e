"""What the loop costs over a plain hand-written one, for a step of about 10 ms.

Both train the same student from the same teacher with the same loss functions, and read their
batches from the same tensors. They alternate block by block in one process; the figure is the
median of the ratios of neighbouring blocks. A block of ours includes the start (dry run of both
models) and the end (a checkpoint, synced to disk).

Run it: python benchmarks/loop_overhead.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time

import numpy as np
import torch
from torch import nn

from limbeck.data import from_arrays
from limbeck.functional import cross_entropy, soft_target_loss
from limbeck.loops import Optim, fit
from limbeck.objectives import label_term, soft_term
from limbeck.run import Run
from limbeck.teachers import teacher

TARGET = 1.05
STEPS, BLOCKS, BATCH, WIDTH = 500, 9, 256, 640


def network(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(256, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def main() -> None:
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((4096, 256)).astype(np.float32)
    data = from_arrays(x, np.arange(4096) % 10)
    big, student, plain_student = network(WIDTH), network(WIDTH), network(WIDTH)
    told = teacher(big)
    objective = 0.9 * soft_term("classification", temperature=4.0) + 0.1 * label_term(data.task)
    optim = Optim("sgd", lr=0.01, momentum=0.9)
    plain_optimiser = torch.optim.SGD(plain_student.parameters(), lr=0.01, momentum=0.9)
    columns = data.train.take(np.arange(len(data.train)))
    plain_x, plain_y = columns["x"], columns["y"]
    folder = tempfile.mkdtemp()

    def house(number: int) -> float:
        begun = time.perf_counter()
        fit(
            Run(folder), f"block-{number}", student, data, told, objective, optim, STEPS,
            batch_size=BATCH,
        )  # fmt: skip
        return time.perf_counter() - begun

    def plain(number: int) -> float:
        begun = time.perf_counter()
        for step in range(STEPS):
            if step % (len(plain_x) // BATCH) == 0:
                order = torch.randperm(len(plain_x))
            place = step % (len(plain_x) // BATCH) * BATCH
            index = order[place : place + BATCH]
            x, y = plain_x[index], plain_y[index]
            with torch.no_grad():
                z_t = big(x)
            z = plain_student(x)
            soft = soft_target_loss(z, z_t, temperature=4.0)
            loss = 0.9 * soft + 0.1 * cross_entropy(z, y)
            plain_optimiser.zero_grad()
            loss.backward()
            plain_optimiser.step()
        return time.perf_counter() - begun

    house(-1), plain(-1)
    pairs = []
    for number in range(BLOCKS):
        # Who begins changes, so that a drift of the machine's speed favours neither.
        took = {one: one(number) for one in ((house, plain) if number % 2 else (plain, house))}
        pairs.append((took[house], took[plain]))
    figure = statistics.median(ours / theirs for ours, theirs in pairs)
    step_ms = statistics.median(theirs for _, theirs in pairs) / STEPS * 1e3
    facts = {
        "benchmark": "loop_overhead",
        "figure": round(figure, 3),
        "baseline": f"hand-written loop, {step_ms:.1f} ms a step",
        "target": TARGET,
        "held": figure <= TARGET,
        "threads": 1,
    }
    print(f"loop over hand-written loop: {figure:.3f} (target {TARGET})", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
