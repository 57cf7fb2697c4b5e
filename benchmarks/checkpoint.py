"""How much memory writing a checkpoint takes beyond the model and its optimiser.

A model of a hundred megabytes and its momentum are saved in a child process; the figure is the peak
of the resident memory above what stood before, in sizes of the model. One is what is being written.

Run it: python benchmarks/checkpoint.py [--json]
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from limbeck.run import checkpoints

TARGET, MEGABYTES = 1.1, 100


def save(said: Any) -> None:
    torch.set_num_threads(1)
    count = MEGABYTES * 250_000 // 4
    model = {f"layer{number}.weight": torch.randn(count) for number in range(4)}
    momentum = {number: torch.randn(count) for number in range(4)}
    folder = Path(tempfile.mkdtemp())
    checkpoints.save(folder, 0, {"small": {"weight": torch.zeros(4)}}, {})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checkpoints.save(folder, 1, {"student": model}, {"optimiser": momentum})
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said.put((after - before) / 1024 / MEGABYTES)


def main() -> None:
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    child = context.Process(target=save, args=(said,))
    child.start()
    figure = said.get()
    child.join()
    print(f"peak beyond the model: {figure:.2f} models (target {TARGET})", file=sys.stderr)
    if "--json" in sys.argv:
        facts = {
            "benchmark": "checkpoint",
            "figure": round(figure, 3),
            "baseline": f"a model of {MEGABYTES} MB and its momentum",
            "target": TARGET,
            "held": figure <= TARGET,
            "threads": 1,
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
