"""Time of a cascade whose window holds 20 % of the samples, over the time of its first model.

Both answer 2,048 images in batches of 256, in one process and one thread, in alternating blocks;
the figure is the ratio of medians. A CNN that takes at least 2 ms a batch is held against the
target; an MLP near 2 ms and a small one, where what routing takes weighs more, are shown. The ideal
is 1.2: the second model is as large as the first. Beside it stands the ratio where batches are
answered one by one, so that the second model sees 51 images at a time.

Run it: python benchmarks/cascade.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

from limbeck.data import Batch, InputSpace
from limbeck.networks.names import build
from limbeck.products import WindowCascade
from limbeck.products.cascading import cascaded
from limbeck.products.members import members_of
from limbeck.products.stages import MemberStages, asked
from limbeck.selection import ExitPolicy

BATCH, BATCHES, BLOCKS, TARGET, LEAST_MS = 256, 8, 15, 1.35, 2.0
SPACE = InputSpace(size=(16, 16), channels=1)
NETWORKS = {
    "cnn": "cnn?width=16&stages=3",
    "large mlp": "mlp?hidden=512x512",
    "small mlp": "mlp?hidden=32",
}


def milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3 / BATCHES


@torch.no_grad()
def cascade_of(name: str, x: torch.Tensor) -> WindowCascade:
    """Two untrained networks, with a window that holds 20 % of the images."""
    torch.manual_seed(0)
    models = MemberStages(members_of([build(name, SPACE, 10) for _ in range(2)]))
    cascade = WindowCascade(models, SPACE, tuple("0123456789"))
    said = asked(models, Batch({"x": x}, space=SPACE))
    return cascade.calibrate((said, torch.arange(len(x)) % 10), ExitPolicy(half_width=0.1))


@torch.no_grad()
def measured(name: str) -> dict[str, float]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * BATCHES, *SPACE.shape, generator=draw)
    cascade = cascade_of(name, x)
    batches = [Batch({"x": part}, space=SPACE) for part in x.split(BATCH)]
    first = cascade.models.members[0]
    calls = {
        "cascade": lambda: cascaded(cascade.models, cascade.calibrated, batches),
        "one by one": lambda: [cascade.outputs(batch) for batch in batches],
        "first model": lambda: [first(batch) for batch in batches],
    }
    times: dict[str, list[float]] = {label: [] for label in calls}
    for block in range(BLOCKS + 2):
        for label, call in calls.items():
            took = milliseconds(call)
            # The first rounds choose kernels and allocate.
            if block >= 2:
                times[label].append(took)
    medians = {label: statistics.median(each) for label, each in times.items()}
    said = cascaded(cascade.models, cascade.calibrated, batches)
    return {
        **medians,
        "ratio": medians["cascade"] / medians["first model"],
        "ratio one by one": medians["one by one"] / medians["first model"],
        "share": float(said.read("extra.reached").double().mean()),
    }


def main() -> None:
    torch.set_num_threads(1)
    found = {label: measured(name) for label, name in NETWORKS.items()}
    for label, one in found.items():
        print(
            f"{label:9} {one['first model']:7.3f} ms a batch, {one['cascade']:7.3f} the cascade, "
            f"{one['share']:.0%} in the window: {one['ratio']:.3f}, "
            f"one by one {one['ratio one by one']:.3f}",
            file=sys.stderr,
        )
    held = found["cnn"]
    result = {
        "benchmark": "cascade",
        "figure": round(held["ratio"], 4),
        "baseline": 1.0,
        "target": TARGET,
        "held": held["ratio"] <= TARGET and held["first model"] >= LEAST_MS,
        "threads": 1,
        "milliseconds": {
            label: {name: round(value, 4) for name, value in one.items()}
            for label, one in found.items()
        },
    }
    print(json.dumps(result) if "--json" in sys.argv else result)


if __name__ == "__main__":
    main()
