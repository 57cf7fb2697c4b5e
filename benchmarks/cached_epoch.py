"""What stored teacher outputs save: an epoch with an ensemble of three, online and from the store.

The student costs about a tenth of what the ensemble does. The second figure compares a step that
reads the store with one whose targets lie in memory. Blocks alternate in one process; the figures
are medians of the ratios of neighbouring blocks.

Run it: python benchmarks/cached_epoch.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from limbeck.cache import cached
from limbeck.data import Batch, Loader, from_arrays
from limbeck.functional import soft_target_loss
from limbeck.outputs import Outputs
from limbeck.teachers import ensemble, teacher

FASTER, CLOSE = 3.5, 1.15
SAMPLES, CLASSES, BATCH, BLOCKS = 8192, 100, 256, 9


def network(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(256, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, CLASSES),
    )  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((SAMPLES, 256)).astype(np.float32)
    y = np.arange(SAMPLES) % CLASSES
    data = from_arrays(x, y, test=(x[:100], y[:100]), validation=(x[:100], y[:100]))
    # A look at the student costs a twelfth of one at the ensemble, a training step a quarter.
    big, student = ensemble(*(teacher(network(1024)) for _ in range(3))), network(448)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.01)
    loader = Loader(data, data.train, BATCH)
    stored = cached(big, tempfile.mkdtemp()).bind(loader)
    table = torch.cat(
        [
            big(loader.read(places, np.zeros_like(places))).read("logits")
            for places in np.split(np.arange(SAMPLES), SAMPLES // BATCH)
        ]
    )

    def in_memory(batch: Batch) -> Outputs:
        return Outputs(logits=table[batch["id"]])

    def epoch(told: Callable[[Batch], Outputs]) -> float:
        begun = time.perf_counter()
        for batch in loader.batches(0, SAMPLES // BATCH):
            logits = told(batch).read("logits")
            soft_target_loss(student(batch["x"]), logits, temperature=4.0).backward()
            optimiser.step()
            optimiser.zero_grad()
        return time.perf_counter() - begun

    ways = {"online": big, "stored": stored, "memory": in_memory}
    for told in ways.values():
        epoch(told)
    blocks = [{name: epoch(told) for name, told in ways.items()} for _ in range(BLOCKS)]
    faster = statistics.median(one["online"] / one["stored"] for one in blocks)
    close = statistics.median(one["stored"] / one["memory"] for one in blocks)
    print(f"stored epoch: {faster:.2f} times faster (target {FASTER})", file=sys.stderr)
    print(f"stored step over targets in memory: {close:.3f} (target {CLOSE})", file=sys.stderr)
    if "--json" in sys.argv:
        facts = {
            "benchmark": "cached_epoch",
            "figure": round(faster, 2),
            "baseline": "the same epoch asking three teachers",
            "target": FASTER,
            "held": faster >= FASTER and close <= CLOSE,
            "threads": 1,
            "over_memory": round(close, 3),
            "over_memory_target": CLOSE,
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
