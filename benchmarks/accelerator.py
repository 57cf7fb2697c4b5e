"""What limbeck does with a GPU: the loop, differentiation through training, and a force field.

Loop: `fit` of a ResNet-18 from a ResNet-50 on photographs of 224 pixels beside a written-out loop
of the same precision on batches that are on the device already. Unroll: the adjoint beside a
written-out loop that keeps the graphs of all steps, ConvNet-D3, 100 images, 20 steps; memory is the
peak of what is allocated. Force field: forces of a periodic liquid once its neighbours are known,
as written and, of the small one, as machine code; nanoseconds a day are of steps of 0.5 fs without
the search for neighbours. Without a GPU nothing is measured.

Run it: python benchmarks/accelerator.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from force_field import PAPER, SMALL, SPECIES, frames, graph_of
from torch import Tensor
from unroll import IMAGES, STEPS, Shuffled, published

from limbeck.data import from_arrays
from limbeck.data.space import InputSpace
from limbeck.functional import cross_entropy, relative_distance, soft_target_loss
from limbeck.loops import Optim, fit
from limbeck.loops.unroll import unroll
from limbeck.networks.flat import Flat
from limbeck.networks.get import GET
from limbeck.networks.names import build
from limbeck.networks.traced import TracedForceField
from limbeck.objectives import label_term, soft_term
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.teachers import teacher

SIDE, SAMPLES, BATCH, LEARNED, ROUNDS = 224, 1024, 128, 100, 3
REPEATS = ((2, 2, 1), (4, 4, 2), (8, 4, 4), (8, 8, 4))
DAY = 86400 * 0.5e-6  # nanoseconds of a day of steps that take a second each
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16}


def main() -> None:
    if not torch.cuda.is_available():
        print("this machine has no GPU that torch knows; nothing is measured", file=sys.stderr)
        return
    torch.manual_seed(0)
    figure: dict[str, Any] = {}
    for name, measure in {"loop": loops, "unroll": unrolled, "force_field": forces}.items():
        figure[name] = measure()
        print(f"{name}: {figure[name]}", file=sys.stderr, flush=True)
    facts = {
        "benchmark": "accelerator",
        "figure": figure,
        "baseline": "written-out loops on the same device",
        "target": {"loop": 1.05, "unroll_memory": 1 / 8, "unroll_time": 1.0},
        "held": max(one["ratio"] for one in figure["loop"].values()) <= 1.05
        and figure["unroll"]["memory"] <= 1 / 8
        and figure["unroll"]["time"] <= 1.0,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(0),
    }
    if "--json" in sys.argv:
        print(json.dumps(facts))


def timed(call: Callable[[], Any]) -> float:
    """Seconds until the device has done what a call asks for."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def loops() -> dict[str, dict[str, float]]:
    """Images a second and time over that of a written-out loop, by precision."""
    x = np.random.default_rng(0).integers(0, 256, (SAMPLES, 3, SIDE, SIDE), dtype=np.uint8)
    data = from_arrays(x, np.arange(SAMPLES) % 100)
    return {precision: loop(data, precision, dtype) for precision, dtype in PRECISIONS.items()}


def loop(data: Any, precision: str, dtype: torch.dtype | None) -> dict[str, float]:
    space = data.input_space
    big = build("torchvision:resnet50", space, 100)
    student, plain_student = (build("torchvision:resnet18", space, 100) for _ in range(2))
    objective = 0.9 * soft_term("classification", temperature=4.0) + 0.1 * label_term(data.task)
    optim, told = Optim("sgd", lr=0.01, momentum=0.9), teacher(big)
    folder = tempfile.mkdtemp()

    def house(number: int, steps: int = LEARNED) -> None:
        run = Run(folder, options=Options(device="cuda", precision=precision))
        fit(
            run, f"block-{number}", student, data, told, objective, optim, steps, batch_size=BATCH
        )  # fmt: skip

    plain_big = build("torchvision:resnet50", space, 100).cuda().eval()
    plain_student.cuda()
    optimiser = torch.optim.SGD(plain_student.parameters(), lr=0.01, momentum=0.9)
    held = data.train.take(np.arange(len(data.train)))
    x, y = held["x"].cuda(), held["y"].cuda()

    def plain(steps: int = LEARNED) -> None:
        for _ in range(steps):
            index = torch.randint(len(x), (BATCH,), device="cuda")
            images, target = x[index].float() / 255, y[index]
            with torch.autocast("cuda", dtype, enabled=dtype is not None):
                with torch.no_grad():
                    said = plain_big(images)
                logits = plain_student(images)
            soft = soft_target_loss(logits.float(), said.float(), temperature=4.0)
            loss = 0.9 * soft + 0.1 * cross_entropy(logits.float(), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    house(-1, 5), plain(5)
    pairs = [(timed(lambda at=at: house(at)), timed(plain)) for at in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    seconds = statistics.median(ours for ours, _ in pairs)
    return {"images_s": round(BATCH * LEARNED / seconds), "ratio": round(ratio, 3)}


def unrolled() -> dict[str, float]:
    """Time and memory of the adjoint over those of graphs of all steps."""
    network = build("convnet-d3", InputSpace((32, 32), 3), 10).cuda()
    flat = Flat(network)
    start = flat.vector()
    goal = start + 0.01 * torch.randn_like(start)
    x = torch.randn(IMAGES, 3, 32, 32, device="cuda", requires_grad=True)
    y = (torch.arange(IMAGES) % 10).cuda()
    rate = torch.tensor(0.01, device="cuda", requires_grad=True)

    def ours() -> None:
        shown = Shuffled(x, y, STEPS)
        end = unroll(flat, start, shown, cross_entropy, rate)[-1]
        torch.autograd.grad(relative_distance(end, goal, start), [x, rate])

    def theirs() -> None:
        published(network, start, goal, x, y, rate)

    found = {}
    for name, call in (("ours", ours), ("theirs", theirs)):
        call()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        seconds = min(timed(call) for _ in range(ROUNDS))
        found[name] = seconds, torch.cuda.max_memory_allocated() - before
    return {
        "seconds": round(found["ours"][0], 3),
        "time": round(found["ours"][0] / found["theirs"][0], 3),
        "memory": round(found["ours"][1] / found["theirs"][1], 4),
        "gib": round(found["ours"][1] / 2**30, 3),
    }


def forces() -> dict[str, dict[str, float]]:
    """Milliseconds of forces by width and atoms."""
    _, liquid = frames()
    found = {}
    for name, sizes in (("64", PAPER), ("32", SMALL)):
        network = GET(SPECIES, **sizes).eval()
        graphs = [graph_of(liquid.repeat(one), network.cutoff, 10.0) for one in REPEATS]
        network.cuda()
        graphs = [{key: value.cuda() for key, value in graph.items()} for graph in graphs]
        calls: dict[str, Any] = {"ms": network}
        if name == "32":
            calls["compiled_ms"] = TracedForceField(network, graphs[0])
            recorded = calls["compiled_ms"].operations
            calls["compiled_ms"].operations = torch.compile(recorded, dynamic=True)
        for graph in graphs:
            size = len(graph["species"])
            seconds = {kind: best(call, graph) for kind, call in calls.items()}
            found[f"{name}-{size}"] = {kind: round(1e3 * one, 2) for kind, one in seconds.items()}
            found[f"{name}-{size}"]["ns_a_day"] = round(DAY / min(seconds.values()), 2)
    return found


def best(call: Callable[[Any], Any], graph: dict[str, Tensor]) -> float:
    call(graph)
    return min(timed(lambda: call(graph)) for _ in range(5))


if __name__ == "__main__":
    main()
