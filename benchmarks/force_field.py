"""Forces of GET beside GFN2-xTB, its growth with the size of a liquid, and batches in training.

Forces: frames of about 30, 50 and 80 atoms of `electrolyte-xtb` in the data root, or made of
methyl formate without one, each by itself and, beside it, as steps of molecular dynamics; the time
of ours holds its search for neighbours. Liquid: a periodic box repeated to about 5,000 atoms,
electrostatics at a fixed cutoff; the exponent is that of a line through the logarithms, memory the
growth of the peak by atom. Training: forward, backward through the forces and update of 16 clusters
in one graph, beside the same frame by frame. Time is that of the processor, so that neighbours
count little, in turns; one thread. `--compiled` also turns the network into machine code, which
takes a minute or more.

Run it: python benchmarks/force_field.py [--json] [--compiled]
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.functional import force_field_loss
from limbeck.networks.get import GET
from limbeck.networks.traced import TracedForceField
from limbeck.run.processor import keep_freed_memory

SPEED_TARGETS = {30: 4.0, 50: 8.0, 80: 15.0}
EXPONENT_TARGET, TRAINING_TARGET = 1.15, 3.0
SMALL = {"width": 32, "heads": 8, "layers": 3, "radial": 16}
PAPER = {"width": 64, "heads": 16, "layers": 3, "radial": 32}
ROUNDS, TURNS, STEPS, FRAMES, BATCH = 5, 2, 4, 5, 16
SPECIES, RANDOM = "HLiCOFP", np.random.default_rng(0)
SPACING = 4.8  # of molecules, in Angstrom
Graph = dict[str, Tensor]


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # before tblite is loaded
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clusters, liquid = frames()
    compiled = "--compiled" in sys.argv
    speeds = {size: speed_of(clusters, size, compiled) for size in SPEED_TARGETS}
    exponent, memory, seconds = growth(liquid)
    training = batches(clusters)
    held = (
        all(found["small"] >= SPEED_TARGETS[size] for size, found in speeds.items())
        and exponent <= EXPONENT_TARGET
        and training >= TRAINING_TARGET
    )
    said = (
        f"A liquid of {min(seconds)} to {max(seconds)} atoms takes time as the power "
        f"{exponent:.2f} of their number (aimed at: {EXPONENT_TARGET}) and {memory / 1024:.0f} KiB "
        "an atom. Time is that of the processor, on one thread."
    )
    print(f"{said} Training in batches: {training:.2f} times as fast.", file=sys.stderr)
    row = {
        "benchmark": "force_field",
        "figure": {
            **{f"speed_{size}": rounded(found) for size, found in speeds.items()},
            "exponent": round(exponent, 3),
            "kib_per_atom": round(memory / 1024, 1),
            "training": round(training, 2),
        },
        "baseline": "GFN2-xTB of tblite; a box of the same liquid; training frame by frame",
        "held": held,
        "threads": 1,
        "said": said,
        **compared(speeds, training),
    }
    if "--json" in sys.argv:
        print(json.dumps(row))


def compared(speeds: dict[int, dict[str, float]], training: float) -> dict[str, Any]:
    """Times of ours over those of others, as pages show them, with what is aimed at."""
    names = {"small": "D = 32", "paper": "D = 64", "compiled": "D = 32, compiled"}
    ratios, targets = {}, {}
    for size, found in speeds.items():
        for kind, name in names.items():
            if kind in found:
                ratios[f"forces of {size} atoms, {name}"] = round(1 / found[kind], 4)
        targets[f"forces of {size} atoms, {names['small']}"] = 1 / SPEED_TARGETS[size]
    against: dict[str, str] = dict.fromkeys(ratios, "GFN2-xTB")
    step = f"training step of {BATCH} clusters"
    ratios[step], targets[step], against[step] = 1 / training, 1 / TRAINING_TARGET, "by frame"
    return {"ratios": ratios, "target": targets, "aimed": list(targets), "against": against}


def frames() -> tuple[list[Any], Any]:
    """Clusters and a periodic liquid."""
    from ase import Atoms
    from ase.build import molecule
    from ase.io import read

    root = os.environ.get("LIMBECK_DATA")
    folder = Path(root) / "electrolyte-xtb" if root else None
    if folder is not None and folder.is_dir():
        clusters = read(folder / "solvent_clusters.xyz.gz", ":")
        return clusters, read(folder / "liquid_start.xyz.gz")
    formate, random = molecule("HCOOCH3"), np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3) * SPACING

    def some(count: int) -> Any:
        whole = Atoms()
        for place in places[:count]:
            one = formate.copy()
            one.translate(place)
            whole += one
        whole.rattle(0.05, rng=random)
        return whole

    clusters = [some(count) for count in (4, 4, 4, 6, 6, 6, 10, 10, 10, 3, 3, 5, 5, 5, 7, 7)]
    liquid = some(27)
    liquid.set_cell([3 * SPACING] * 3)
    liquid.pbc = True
    return clusters, liquid


def graph_of(atoms: Any, cutoff: float, pair_cutoff: float) -> Graph:
    """A frame as a graph, neighbours by vesin."""
    from vesin import NeighborList

    periodic = bool(atoms.pbc.all())
    positions, cell = atoms.positions, np.asarray(atoms.cell)

    def found(reach: float, both: bool) -> tuple[Tensor, Tensor]:
        search = NeighborList(cutoff=reach, full_list=both)
        first, second, shift = search.compute(positions, cell, periodic, "ijS")
        # A vector of vesin leads from the first to the second atom.
        ends = torch.from_numpy(np.stack([first, second]).astype(np.int64))
        return ends, torch.from_numpy((shift @ cell).astype(np.float32))

    edges, edge_shifts = found(cutoff, True)
    if periodic:
        pairs, pair_shifts = found(pair_cutoff, False)
    else:
        pairs = torch.triu_indices(len(atoms), len(atoms), 1)
        pair_shifts = torch.zeros(pairs.shape[1], 3)
    return {
        "species": torch.from_numpy(atoms.numbers.astype(np.int64)),
        "positions": torch.from_numpy(positions.astype(np.float32)),
        "frame": torch.zeros(len(atoms), dtype=torch.long),
        "charge": torch.zeros(1),
        "edges": edges,
        "edge_shifts": edge_shifts,
        "pairs": pairs,
        "pair_shifts": pair_shifts,
        "periodic": torch.tensor([periodic]),
    }


def speed_of(clusters: list[Any], size: int, compiled: bool) -> dict[str, float]:
    """How many times as fast as GFN2-xTB the forces of frames of about a size are.

    Of frames by themselves, and, beside it, of steps of molecular dynamics, where each side goes on
    from the last one: GFN2-xTB begins with its last density then.
    """
    from tblite.ase import TBLite

    chosen = sorted(clusters, key=lambda one: abs(len(one) - size))[:FRAMES]
    networks = {"small": GET(SPECIES, **SMALL).eval(), "paper": GET(SPECIES, **PAPER).eval()}
    calls: dict[str, Callable[[Graph], Any]] = dict(networks)
    if compiled:
        example = graph_of(chosen[0], 5.0, 10.0)
        traced = TracedForceField(networks["small"], example)
        traced.operations = torch.compile(traced.operations, dynamic=True)
        calls["compiled"] = traced
        traced(example)
    frames: dict[str, list[float]] = {name: [] for name in ("xtb", *calls)}
    steps: dict[str, list[float]] = {name: [] for name in frames}
    for atoms in chosen:
        moved = atoms.copy()
        sides = {name: partial(ours, call, moved) for name, call in calls.items()}
        for turn in range(TURNS + 1):
            moved.calc = TBLite(method="GFN2-xTB", verbosity=0)
            for name, side in {"xtb": moved.get_forces, **sides}.items():
                first, *others = [stepped(moved, atoms.positions, side) for _ in range(STEPS)]
                if turn:
                    # Ours begins each frame anew whatever came before.
                    frames[name] += [first] if name == "xtb" else others
                    steps[name] += others
    by_frame, by_step = (
        {name: statistics.median(values) for name, values in times.items()}
        for times in (frames, steps)
    )
    said = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in by_frame.items())
    print(
        f"{len(chosen[0])} atoms: {said}; steps of xtb {1e3 * by_step['xtb']:.1f} ms",
        file=sys.stderr,
    )
    ratios = {name: by_frame["xtb"] / by_frame[name] for name in calls}
    return ratios | {f"{name}_steps": by_step["xtb"] / by_step[name] for name in calls}


def ours(call: Callable[[Graph], Any], atoms: Any) -> Tensor:
    """Forces by a network, neighbours included."""
    return call(graph_of(atoms, 5.0, 10.0))["forces"]


def stepped(atoms: Any, start: Any, side: Callable[[], Any]) -> float:
    """Seconds of forces after atoms have moved a little from where they started."""
    atoms.positions = start + RANDOM.normal(scale=0.01, size=start.shape)
    return timed(side)


def growth(liquid: Any) -> tuple[float, float, dict[int, float]]:
    """Exponent of time over atoms, bytes an atom at the largest size, and seconds by atoms."""
    network = GET(SPECIES, **SMALL).eval()
    shapes = [(2, 2, 1), (2, 2, 2), (3, 2, 2), (3, 3, 2), (3, 3, 3), (4, 4, 2)]
    boxes = [liquid.repeat(shape) for shape in shapes]
    largest = 5200
    boxes = [box for box in boxes if 600 <= len(box) <= largest] or boxes[:2]
    graphs = {len(box): graph_of(box, network.cutoff, network.pair_cutoff) for box in boxes}
    first, *_, last = sorted(graphs)
    network(graphs[first])
    before = start_of_peak()
    network(graphs[last])
    memory = (resident("VmHWM") - before) / last
    times: dict[int, list[float]] = {size: [] for size in graphs}
    for _ in range(3):
        for size, graph in graphs.items():
            times[size].append(timed(lambda graph=graph: network(graph)))
    seconds = {size: min(values) for size, values in times.items()}
    slope, _ = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)
    return float(slope), memory, seconds


def batches(clusters: list[Any]) -> float:
    """Time of training steps frame by frame over that of the same frames in one graph."""
    network = GET(SPECIES, **SMALL).train()
    optimiser = torch.optim.Adamax(network.parameters(), lr=1e-4, foreach=True)
    graphs = [graph_of(one, network.cutoff, network.pair_cutoff) for one in clusters[:BATCH]]

    def learn(parts: list[Graph]) -> None:
        optimiser.zero_grad()
        for graph in parts:
            found = network(graph)
            labels = {name: torch.zeros_like(found[name]) for name in ("energy", "forces")}
            (force_field_loss(found, labels, response_weight=10.0) / len(parts)).backward()
        optimiser.step()

    whole = [joined(graphs)]
    spent: dict[str, list[float]] = {"single": [], "batch": []}
    for number in range(ROUNDS + 1):
        for name, parts in (("single", graphs), ("batch", whole)):
            seconds = timed(lambda parts=parts: learn(parts))
            if number:
                spent[name].append(seconds)
    single, batch = (statistics.median(values) for values in spent.values())
    print(f"training step: {1e3 * batch:.0f} ms, by frame {1e3 * single:.0f} ms", file=sys.stderr)
    return single / batch


def joined(graphs: list[Graph]) -> Graph:
    """Several graphs as one."""
    starts = np.cumsum([0, *(len(one["species"]) for one in graphs)]).tolist()
    whole = {}
    for name in graphs[0]:
        parts = [one[name] for one in graphs]
        if name in ("edges", "pairs"):
            parts = [part + start for part, start in zip(parts, starts, strict=False)]
        elif name == "frame":
            parts = [part + number for number, part in enumerate(parts)]
        whole[name] = torch.cat(parts, 1 if name in ("edges", "pairs") else 0)
    return whole


def timed(call: Callable[[], Any]) -> float:
    """Seconds of the processor."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}


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
