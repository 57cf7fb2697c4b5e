"""Time of the risk-coverage curve of a million samples with the figures that are read off it.

One call sorts the samples, makes the curve, and reads from it both areas, both coverages at 5 %
risk and both risks at 80 % coverage. The baseline is the curve and one area written out in NumPy,
without checks. One thread; medians of alternating blocks in one process.

Run it: python benchmarks/selective.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from limbeck.functional.detection import auroc
from limbeck.functional.selective import (
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
)

SAMPLES, TARGET, BLOCKS = 1_000_000, 0.3, 7


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    confidence = draw.random(SAMPLES)
    correct = draw.random(SAMPLES) < 0.6 + 0.4 * confidence

    def figures() -> list[object]:
        curve = risk_coverage_curve(correct, confidence)
        return [
            *(aurc(curve, variant=one) for one in ("with_origin", "without_origin")),
            *(coverage_at_risk(curve, 0.05, variant=one) for one in ("attained", "closest")),
            *(risk_at_coverage(curve, 0.8, variant=one) for one in ("attained", "closest")),
        ]

    def written_out() -> float:
        wrong = ~correct[np.argsort(-confidence, kind="stable")]
        risk = np.concatenate([[0.0], wrong.cumsum() / np.arange(1, SAMPLES + 1)])
        return float(np.trapezoid(risk, dx=1 / SAMPLES))

    calls = {
        "figures": figures,
        "curve": lambda: risk_coverage_curve(correct, confidence),
        "written out": written_out,
        "auroc of errors": lambda: auroc(confidence[correct], confidence[~correct]),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(BLOCKS):
        for name, call in calls.items():
            times[name].append(seconds(call))
    medians = {name: round(statistics.median(each), 4) for name, each in times.items()}
    for name, value in medians.items():
        print(f"{name:16} {value:.3f} s for {SAMPLES} samples", file=sys.stderr)
    result = {
        "benchmark": "selective",
        "figure": medians["figures"],
        "baseline": medians["written out"],
        "target": TARGET,
        "held": medians["figures"] <= TARGET,
        "threads": 1,
        "seconds": medians,
    }
    print(json.dumps(result) if "--json" in sys.argv else result)


if __name__ == "__main__":
    main()
