"""Time of the Plackett-Luce loss, forward and backward, for 1024 samples and 1000 classes.

One unit is cross-entropy forward and backward plus one sort of the teacher's logits. All are
measured in turn in one process, and the figure is the median over rounds of the ratio within a
round. The baseline is a loop over ranks as the formula stands, in the same unit. Held means: the
figure is at most the target and a tenth of the baseline.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.functional.ranking import label_first_ranking, plackett_luce_loss

SAMPLES, CLASSES = 1024, 1000
ROUNDS = 21
LOOP_ROUNDS = 2
TARGET = 1.6
SPEED_UP = 10
THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(SAMPLES, CLASSES, generator=generator).requires_grad_()
    teacher = 3 * torch.randn(SAMPLES, CLASSES, generator=generator)
    target = torch.randint(CLASSES, (SAMPLES,), generator=generator)

    def unit() -> None:
        F.cross_entropy(student, target).backward()
        teacher.sort(dim=1, descending=True)

    def ours() -> None:
        plackett_luce_loss(student, teacher, target).backward()

    def loop() -> None:
        written_out(student, teacher, target).backward()

    def running() -> None:
        running_sum(student, teacher, target).backward()

    agree(student, teacher, target)
    figure = ratio(ours, unit, student, ROUNDS)
    baseline = ratio(loop, unit, student, LOOP_ROUNDS)
    kept = ratio(running, unit, student, LOOP_ROUNDS)
    print(
        f"ours {figure:.2f}, loop over ranks {baseline:.1f}, loop that keeps the running sum "
        f"{kept:.1f} times cross-entropy and a sort",
        file=sys.stderr,
    )
    result = {
        "benchmark": "pld",
        "figure": round(figure, 3),
        "baseline": round(baseline, 3),
        "target": TARGET,
        "held": figure <= TARGET and baseline >= SPEED_UP * figure,
        "threads": THREADS,
    }
    print(json.dumps(result) if arguments.json else result)


def ratio(
    first: Callable[[], None], second: Callable[[], None], leaf: Tensor, rounds: int
) -> float:
    """Median over rounds of first's time over second's, which alternate."""
    found = []
    for number in range(rounds + 1):
        times = [timed(first, leaf), timed(second, leaf)]
        if number:  # the first round warms up
            found.append(times[0] / times[1])
    return statistics.median(found)


def timed(call: Callable[[], None], leaf: Tensor) -> float:
    leaf.grad = None
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def written_out(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """The formula, rank by rank."""
    ranking = label_first_ranking(teacher, target)
    weights = teacher.softmax(1).gather(1, ranking)
    scores = student.gather(1, ranking)
    value = torch.zeros(len(student))
    for k in range(student.shape[1]):
        value = value + weights[:, k] * (scores[:, k:].logsumexp(1) - scores[:, k])
    return value.mean()


def running_sum(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """A loop from the worst rank to the best, which keeps the sum so far."""
    ranking = label_first_ranking(teacher, target).flip(1)
    weights = teacher.softmax(1).gather(1, ranking).unbind(1)
    scores = student.gather(1, ranking).unbind(1)
    total = scores[0]
    value = torch.zeros(len(student))
    for weight, score in zip(weights[1:], scores[1:], strict=True):
        total = torch.logaddexp(total, score)
        value = value + weight * (total - score)
    return value.mean()


def agree(student: Tensor, teacher: Tensor, target: Tensor) -> None:
    """All three compute the same number."""
    few = student[:8].detach(), teacher[:8], target[:8]
    value = plackett_luce_loss(*few)
    torch.testing.assert_close(written_out(*few), value)
    torch.testing.assert_close(running_sum(*few), value)


if __name__ == "__main__":
    main()
