"""Time to score the 64 published students of ResNets beside a teacher of 56 layers, untrained.

Ours shows the batch to the teacher once an initialisation, takes the gradient of the last layer
from features and logits, and compares channels without a matrix of them. The baseline is the
definition written out, as released code does it: for each candidate teacher and student are made,
both go forward and backward, and the matrices of all classes are built. Both take one
initialisation, 32 images of 32 pixels and 100 classes; times are of the processor, so that
neighbours count little; one thread. `passes` is what a candidate takes in all, its cost and the
search for its last layer included, over one forward and backward pass of it. Held means: the 64
with two initialisations stay below 45 seconds, and a candidate takes at most three passes.

Run it: python benchmarks/search_scores.py [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck import keyed
from limbeck.data import InputSpace
from limbeck.evaluate.cost import architecture_cost
from limbeck.methods.diswot.similarity import Similarity
from limbeck.networks.initialised import initialised
from limbeck.networks.names import build
from limbeck.networks.spaces import Code, space_of

STUDENTS, TEACHER = space_of("resnet-s1"), "resnet?blocks=9x9x9"
SPACE, CLASSES, BATCH = InputSpace(size=(32, 32), channels=3), 100, 32
TARGETS = {"seconds": 45.0, "passes": 3.0}
# Of the 64, evenly spread over depths: what the baseline and passes are measured on.
SOME, ROUNDS, TIMES = 8, 3, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with keyed.torch_seeded(keyed.key(0)):
        x, y = torch.randn(BATCH, *SPACE.shape), torch.randint(CLASSES, (BATCH,))
    agree(x, y)
    seconds = processor(lambda: scored(list(STUDENTS.codes()), x, y, times=TIMES))
    some = list(STUDENTS.codes())[:: STUDENTS.size // SOME]
    ours = processor(lambda: scored(some, x, y, times=1))
    plain = processor(lambda: [written_out(code, x, y) for code in some])
    passes = statistics.median(passes_of(code, x, y) for code in some)
    print(
        f"64 candidates, {TIMES} initialisations: {seconds:.1f} s; {len(some)} of them once: ours "
        f"{ours:.2f} s, written out {plain:.2f} s; {passes:.2f} passes a candidate",
        file=sys.stderr,
    )
    result = {
        "benchmark": "search_scores",
        "figure": {
            "seconds": round(seconds, 2),
            "passes": round(passes, 2),
            "times_as_fast": round(plain / ours, 2),
        },
        "baseline": "teacher made anew for each candidate, backward passes, matrices of channels",
        "target": TARGETS,
        "held": seconds <= TARGETS["seconds"] and passes <= TARGETS["passes"],
        "threads": 1,
    }
    print(json.dumps(result) if arguments.json else result)


def scored(codes: list[Code], x: Tensor, y: Tensor, *, times: int) -> list[dict[str, float]]:
    """What a search does: candidates are made, their costs are counted, and they are scored."""
    similarity = Similarity(build(TEACHER, SPACE, CLASSES), x, y, CLASSES, SPACE, times=times)
    found = []
    for code in codes:
        network = STUDENTS.build(code, SPACE, CLASSES)
        cost = architecture_cost(network, x)
        found.append({**similarity.scores(network, STUDENTS.words(code)), **cost})
    return found


def written_out(code: Code, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Semantic and relation score as they are defined."""
    words = STUDENTS.words(code)
    student = initialised(STUDENTS.build(code, SPACE, CLASSES), "normal", _key("candidate", words))
    teacher = initialised(build(TEACHER, SPACE, CLASSES), "normal", _key("teacher"))
    maps, grads = zip(*(whole_pass(one, x, y) for one in (student, teacher)), strict=True)
    semantic = torch.zeros(())
    for one, other in zip(*grads, strict=True):
        rows = [F.normalize(torch.outer(g, g), dim=1) for g in (one, other)]
        semantic += (rows[0] - rows[1]).square().sum()
    rows = [F.normalize(value @ value.T, dim=1) for value in maps]
    relation = (rows[0] - rows[1]).square().sum() / len(x) ** 2
    return -float(semantic / grads[0].numel()), -float(relation)


def whole_pass(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward through all of a network: its last map and the last layer's gradient."""
    network.train()
    kept: list[Tensor] = []
    handle = network.features[-2].register_forward_hook(lambda *told: kept.append(told[2]))
    F.cross_entropy(network(x), y).backward()
    handle.remove()
    return kept[0].detach().flatten(1), network.head.weight.grad


def agree(x: Tensor, y: Tensor) -> None:
    """Both say the same of one candidate."""
    code = (0, 1, 0)
    (ours,) = scored([code], x, y, times=1)
    for one, other in zip(
        (ours["semantic"], ours["relation"]), written_out(code, x, y), strict=True
    ):
        assert abs(one - other) < 1e-3 * max(abs(other), 1e-2), (one, other)


def passes_of(code: Code, x: Tensor, y: Tensor) -> float:
    """Time of one candidate, scored once, in forward and backward passes of it."""
    similarity = Similarity(build(TEACHER, SPACE, CLASSES), x, y, CLASSES, SPACE, times=1)

    def ours() -> None:
        network = STUDENTS.build(code, SPACE, CLASSES)
        architecture_cost(network, x)
        similarity.scores(network, "one")

    plain = STUDENTS.build(code, SPACE, CLASSES)
    return processor(ours) / processor(lambda: whole_pass(plain, x, y))


def processor(call: Callable[[], object]) -> float:
    """Least time of the processor of a few calls; long ones are made once."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        found.append(time.process_time() - begun)
        if found[0] > 3:
            break
    return min(found)


def _key(*parts: str) -> int:
    return keyed.key(0, *parts, 0)


if __name__ == "__main__":
    main()
