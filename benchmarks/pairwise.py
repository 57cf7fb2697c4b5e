"""Peak memory of pair-wise ranking losses, forward and backward, for 256 lists of 200 candidates.

A child process for each loss makes the inputs, runs the loss once on a tiny list so that all code
is loaded, and measures the peak of its resident memory above that state. The unit is the minimum
of a loss that holds all pairs: one matrix of differences, measured in the same way. The figure is
the largest of the losses; the baseline is the logistic loss written out over all pairs at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.functional.pairwise import lambda_loss, pairwise_hinge_loss, ranknet_loss
from limbeck.functional.soft_ranks import approximate_ndcg_loss, rank_mse_loss

LISTS, CANDIDATES = 256, 200
TARGET = 2.0
THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    parser.add_argument("--child", metavar="WHAT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measured(arguments.child)))
        return
    rows = {what: in_child(what) for what in (*CALLS, *LOSSES)}
    unit = rows["one matrix"]["peak"]
    for what, row in rows.items():
        print(
            f"{what:16} {row['peak'] / 2**20:6.1f} MiB, {row['peak'] / unit:5.2f} times one "
            f"matrix of pairs, {row['seconds']:.2f} s",
            file=sys.stderr,
        )
    figure = max(rows[what]["peak"] for what in LOSSES) / unit
    result = {
        "benchmark": "pairwise",
        "figure": round(figure, 3),
        "baseline": round(rows["written out"]["peak"] / unit, 3),
        "target": TARGET,
        "held": figure <= TARGET,
        "threads": THREADS,
    }
    print(json.dumps(result) if arguments.json else result)


def in_child(what: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", what]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(what: str) -> dict[str, float]:
    """Peak resident memory above the inputs in bytes, and the time, of one call."""
    torch.set_num_threads(THREADS)
    generator = torch.Generator().manual_seed(0)
    shape = (LISTS, CANDIDATES)
    scores = torch.randn(shape, generator=generator).requires_grad_()
    relevance = torch.randint(4, shape, generator=generator)
    call = CALLS.get(what) or both_ways(LOSSES[what])
    call(scores[:2, :4].detach().requires_grad_(), relevance[:2, :4])
    before = start_of_peak()
    start = time.perf_counter()
    call(scores, relevance)
    seconds = time.perf_counter() - start
    return {"peak": resident("VmHWM") - before, "seconds": seconds}


def both_ways(loss: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], None]:
    return lambda scores, relevance: loss(scores, relevance).backward()


def one_matrix(scores: Tensor, relevance: Tensor) -> None:
    with torch.no_grad():
        _ = scores[:, :, None] - scores[:, None, :]


def written_out(scores: Tensor, relevance: Tensor) -> Tensor:
    """RankNet over all pairs at once."""
    value = F.softplus(scores[:, None, :] - scores[:, :, None])
    return value[relevance[:, :, None] > relevance[:, None, :]].mean()


LOSSES: dict[str, Callable[..., Tensor]] = {
    "ranknet": ranknet_loss,
    "hinge": pairwise_hinge_loss,
    "lambda": lambda_loss,
    "rank mse": rank_mse_loss,
    "approximate ndcg": approximate_ndcg_loss,
}
CALLS: dict[str, Callable[[Tensor, Tensor], None]] = {
    "one matrix": one_matrix,
    "written out": both_ways(written_out),
}


def start_of_peak() -> int:
    """Forget the peak of resident memory so far; returns what is resident now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(name: str) -> int:
    """An entry of the process's memory account, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
