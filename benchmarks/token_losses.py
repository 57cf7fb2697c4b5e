"""Peak memory of token losses over (N, T, V), as a multiple of the student logits' bytes.

A child process for each divergence and dtype makes the two logit inputs and then measures the peak
of its resident memory above that state while the loss and its gradient are computed. The figure is
the largest in chunks; the baseline is the smallest for all tokens at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.tokens import token_divergence_loss

SHAPE = (4, 512, 16_384)
DIVERGENCES = ("kl", "reverse_kl", "js")
LOSSES = {"chunks": token_divergence_loss, "at once": soft_target_loss}
TARGET = 1.3
THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measured(*arguments.child)))
        return
    peaks: dict[str, list[float]] = {what: [] for what in LOSSES}
    for what, dtype in (("chunks", "float32"), ("chunks", "bfloat16"), ("at once", "float32")):
        for divergence in DIVERGENCES:
            row = in_child(what, divergence, dtype)
            peaks[what].append(row["peak"])
            line = f"{what:8} {divergence:11} {dtype:9} peak {row['peak']:5.2f}"
            print(f"{line}, {row['seconds']:.2f} s", file=sys.stderr)
    figure = max(peaks["chunks"])
    result = {
        "benchmark": "token_losses",
        "figure": round(figure, 3),
        "baseline": round(min(peaks["at once"]), 3),
        "target": TARGET,
        "held": figure <= TARGET,
        "threads": THREADS,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"peak beyond the inputs: {figure:.2f} times the student logits, target {TARGET}")


def in_child(what: str, divergence: str, dtype: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", what, divergence, dtype]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(what: str, divergence: str, dtype: str) -> dict[str, float]:
    """Peak resident memory above the inputs, and the time, of one loss and its gradient."""
    torch.set_num_threads(THREADS)
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        torch.randn(SHAPE, generator=generator, dtype=getattr(torch, dtype)) for _ in range(2)
    )
    student.requires_grad_()
    # Forget the peak so far, that of making the inputs.
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.perf_counter()
    loss = LOSSES[what](student, teacher, divergence=divergence)
    gradient = torch.autograd.grad(loss, student)[0]
    seconds = time.perf_counter() - start
    peak = resident("VmHWM") - before
    assert gradient.isfinite().all()
    return {"peak": peak / (student.numel() * student.element_size()), "seconds": seconds}


def resident(name: str) -> int:
    """An entry of the process's memory account, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
