"""What labelling costs beside the teacher, and how fast stored labels come back.

Labelling: 64 images of 3x32x32 in batches of 32, CutMix; the time of the whole against that of the
teacher's forward passes on batches that are there already. Replay: batches of 100 images with
logits of 1000 classes, megabytes of logits a second, draws and pictures rebuilt with them. One
thread; medians of alternating blocks in one process.

Run it: python benchmarks/relabel.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from limbeck.data import InputSpace
from limbeck.labels import Kept, LabelStore, LabelViews, labelled
from limbeck.networks.names import build

SHARE, MEGABYTES, BLOCKS, STEPS = 0.10, 50.0, 7, 16
SPACE = InputSpace((32, 32), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
NETWORKS = ("convnet-d3?norm=batch", "resnet18?norm=batch")


def store(classes: int, views: LabelViews, count: int) -> tuple[LabelStore, torch.Tensor]:
    """An empty store about random pictures."""
    pictures = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(count) % classes
    about = labelled(pictures, labels, SPACE, classes, views, seed=0, kept=Kept())
    return LabelStore(Path(tempfile.mkdtemp()), about), pictures


@torch.no_grad()
def data_path(name: str) -> float:
    """Share of the time of labelling that is not the teacher's."""
    network, shares = build(name, SPACE, 10).eval(), []
    for _ in range(BLOCKS):
        empty, pictures = store(10, LabelViews(steps=STEPS, batch_size=32), 64)
        spent = [0.0]

        def ask(x: torch.Tensor, spent: list[float] = spent) -> torch.Tensor:
            begun = time.perf_counter()
            said = network(x)
            spent[0] += time.perf_counter() - begun
            return said

        begun = time.perf_counter()
        empty.fill(pictures, SPACE, ask)
        whole = time.perf_counter() - begun
        shares.append(1 - spent[0] / whole)
    return statistics.median(shares)


def replay_speed() -> float:
    """Megabytes of logits a second, with the images they are about."""
    full, pictures = store(1000, LabelViews(steps=64, batch_size=100), 200)
    full.fill(pictures, SPACE, lambda x: torch.randn(len(x), 1000))
    labels, speeds = torch.arange(200) % 1000, []
    for _ in range(BLOCKS):
        batches = full.replay(pictures, labels, SPACE)
        begun = time.perf_counter()
        for _ in batches.batches(0, 64):
            pass
        speeds.append(64 * 100 * 1000 * 2 / 1e6 / (time.perf_counter() - begun))
    return statistics.median(speeds)


def main() -> None:
    torch.set_num_threads(1)
    shares = {name: data_path(name) for name in NETWORKS}
    speed, worst = replay_speed(), max(shares.values())
    for name, share in shares.items():
        print(f"{name}: {share:.1%} of labelling is not the teacher", file=sys.stderr)
    print(f"replay: {speed:.0f} MB of logits a second (target {MEGABYTES:g})", file=sys.stderr)
    if "--json" in sys.argv:
        facts = {
            "benchmark": "relabel",
            "figure": round(worst, 4),
            "baseline": "the teacher's forward passes within the whole",
            "target": SHARE,
            "held": worst <= SHARE,
            "threads": 1,
            "shares": {name: round(share, 4) for name, share in shares.items()},
            "replay_megabytes_a_second": round(speed, 1),
            "replay_target": MEGABYTES,
            "replay_held": speed >= MEGABYTES,
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
