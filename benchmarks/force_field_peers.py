"""A plain force field beside others: where its labels come from, a neighbour of that, and MACE.

All are asked through calculators of ASE for the same test frames of `electrolyte-xtb` in the data
root, or of 120 frames of `molecules` without one:

- GFN2-xTB of tblite, the label source, called a second time: how far labels are from themselves,
  at their accuracy of 0.1, where the library's own is 1.
- GFN1-xTB of tblite, an older method of the same kind, at the same accuracy.
- GET, one member as the claims of `bamboo` train it, by `limbeck.loops.force_fields`: no ensemble
  and no distillation.
- MACE, trained from nothing on energies and forces by its own command, `python -m
  mace.cli.run_train`. Without the library its row is left out; `pip install mace-torch` brings it.

Both networks see the same training frames for as many epochs in batches of the same size, choose
weights on the same validation frames, compute in single precision, and have edges up to 5 A. They
differ in what each recommends:

- MACE: Adam with amsgrad at 0.01, a rate that falls at plateaus of 50 epochs only and so stays,
  clipping at 10, an average of weights with decay 0.99, weights 1 of energies and 100 of forces,
  energies of free atoms as given; its validation loss chooses. The last batch of an epoch is left
  out where it is smaller. Its second stage, which weighs energies more, is not used, and it has 32
  invariant channels, where its larger recipes have 128.
- GET: Adamax with a rate that decays by epochs; it learns charges and dipoles too, and the error of
  forces chooses.

Neither was tuned here for so few steps but GET, whose settings are those of the claims. Time is
that of the processor on one thread, so that other work counts little: of energy and forces of the
largest test frames, each call beginning anew with its neighbours or its density, in turns. In
dynamics GFN2-xTB begins with its last density, and GET keeps neighbours for a while. MACE computes
stresses too. Training by MACE holds its start and the tables that it ends with.

Run it: python benchmarks/force_field_peers.py [--json]
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from limbeck import cards
from limbeck.data.atoms import to_atoms
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.data.labelling import Source, label_source, labelled
from limbeck.data.names import ROOT, resolve
from limbeck.evaluate.forces import force_quality
from limbeck.loops.force_fields import ForceTraining, fresh_force_field, trained_force_field
from limbeck.methods.bamboo.claims import STUDENT, TRAINING
from limbeck.products import ForceField
from limbeck.run import Run
from limbeck.run.processor import keep_freed_memory

DATA, MADE = "electrolyte-xtb?files=solvent_clusters", "molecules?frames=120"
SOURCE, NEIGHBOUR, MEMBER, PEER = "GFN2-xTB", "GFN1-xTB", "GET, one member", "MACE"
MACE_OPTIONS = {
    "model": "MACE",
    "num_channels": 32,
    "max_L": 0,
    "r_max": 5.0,
    "energy_weight": 1.0,
    "forces_weight": 100.0,
    "ema_decay": 0.99,
    "default_dtype": "float32",
    "device": "cpu",
    "seed": 0,
}
MACE_SWITCHES = ("--ema", "--amsgrad", "--save_cpu")
LARGEST, ROUNDS = 5, 3
# Mean of processes that wait or run, before this one begins.
BUSY = 0.5
# Of atoms between calls, in Angstrom: a calculator answers from memory where nothing has moved.
MOVED = 0.01
SHOWN = ("force_rmse_kcal_mol_a", "energy_rmse_kcal_mol_atom")


class Trained(NamedTuple):
    """What a calculator of a trained network cost.

    Args:
        calculator: of ASE; its energies hold those of the free atoms.
        parameters: of the network.
        seconds: of the processor, for training.
    """

    calculator: Any
    parameters: int
    seconds: float


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # before tblite is loaded, and for MACE's own process
    busy = os.getloadavg()[0] > BUSY
    keep_freed_memory()
    torch.set_num_threads(1)
    data = resolve(DATA if os.environ.get(ROOT) else MADE)
    training = cards.load_class("bamboo")(training=TRAINING).training
    networks = {MEMBER: plain_member(data, training)}
    if importlib.util.find_spec("mace") is not None:
        networks[PEER] = mace_force_field(data, training)
    sources = {name: label_source(f"tblite?method={name}") for name in (SOURCE, NEIGHBOUR)}
    free_atoms = dict(data.free_atoms)
    for name, one in networks.items():
        sources[name] = label_source(one.calculator, free_atoms=free_atoms)
    times, atoms = milliseconds(sources, data.test)
    rows = {
        name: {
            "force_ms": round(times[name], 3),
            **errors(source, data.test),
            **cost(networks.get(name)),
        }
        for name, source in sources.items()
    }
    for name, row in rows.items():
        words = ", ".join(f"{label} {value:,.5g}" for label, value in row.items())
        print(f"{name:15} {words}", file=sys.stderr)
    if "--json" in sys.argv:
        budget = f"{training.epochs} epochs in batches of {training.batch_size}"
        print(
            json.dumps(
                result(rows, atoms, f"{budget} on {len(data.train)} frames of {data.name}", busy)
            )
        )


def result(rows: Mapping[str, Any], atoms: float, budget: str, busy: bool) -> dict[str, Any]:
    """The line of this benchmark, as pages show it."""
    least = rows[SOURCE]["force_ms"]
    return {
        "benchmark": "force_field_peers",
        "figure": {name: row[SHOWN[0]] for name, row in rows.items()},
        "baseline": "GFN2-xTB of tblite, the label source",
        "target": None,
        "held": None,
        "threads": 1,
        "trained": budget,
        "beside_other_work": busy,
        "rows": rows,
        "against": "GFN2-xTB, the label source",
        "aimed": [],
        "ratios": {
            f"{name}, forces of {atoms:.0f} atoms": round(row["force_ms"] / least, 4)
            for name, row in rows.items()
            if name != SOURCE
        },
        "said": said(rows, budget, busy),
    }


def said(rows: Mapping[str, Any], budget: str, busy: bool) -> str:
    """Errors beside times, as a table."""
    heads = "| | forces, kcal/mol/A | energies, kcal/mol an atom | ms | parameters | training, s |"
    lines = [heads, "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        quality = " | ".join(f"{row[one]:.3g}" for one in SHOWN)
        weights = f"{row['parameters']:,}" if "parameters" in row else ""
        seconds = f"{row['training_s']:.0f}" if "training_s" in row else ""
        lines.append(f"| {name} | {quality} | {row['force_ms']:.1f} | {weights} | {seconds} |")
    told = (
        "Root mean square errors on test frames against labels of GFN2-xTB (of energies after the "
        f"mean error is taken off), through calculators of ASE; networks learned for {budget}. "
        f"Time is that of the processor{', beside other work' if busy else ''}."
    )
    return "\n".join(lines) + f"\n\n{told}"


def plain_member(data: ForceData, training: ForceTraining) -> Trained:
    """GET as the claims train it, by this library's loop."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder)
        network = fresh_force_field(run, STUDENT, data)
        begun = time.process_time()
        trained_force_field(run, "member", network, data, training)
        seconds = time.process_time() - begun
    # Neighbours are looked for anew at every call, as the others do.
    calculator = ForceField(network, data.free_atoms).calculator(skin=0.0)
    return Trained(calculator, parameters(network), seconds)


def mace_force_field(data: ForceData, training: ForceTraining) -> Trained:
    """MACE, trained by its own command on energies and forces alone.

    Raises:
        RuntimeError: the command fails; the end of what it said is told.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = {
            **MACE_OPTIONS,
            "name": "peer",
            "train_file": written(Path(folder, "train.xyz"), data.train, data),
            "valid_file": written(Path(folder, "validation.xyz"), data.validation, data),
            "E0s": {number: dict(data.free_atoms)[number] for number in data.elements},
            "batch_size": training.batch_size,
            "max_num_epochs": training.epochs,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "mace.cli.run_train", *words, *MACE_SWITCHES]
        before = seconds_of_children()
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        seconds = seconds_of_children() - before
        if ended.returncode:
            raise RuntimeError(f"mace.cli.run_train ended so: {ended.stderr[-2000:]}")
        # What the library says while it is loaded must not end up in the line of --json.
        with contextlib.redirect_stdout(sys.stderr):
            from mace.calculators import MACECalculator

            calculator = MACECalculator(
                model_paths=str(Path(folder, "peer.model")),
                device=MACE_OPTIONS["device"],
                default_dtype=MACE_OPTIONS["default_dtype"],
            )
    return Trained(calculator, parameters(calculator.models[0]), seconds)


def written(path: Path, frames: Frames, data: ForceData) -> Path:
    """Frames in a file, energies and forces under the names that MACE reads."""
    from ase.io import write

    told = to_atoms(frames, free_atoms=dict(data.free_atoms))
    for atoms in told:
        labels = atoms.calc.results
        atoms.info["REF_energy"], atoms.arrays["REF_forces"] = labels["energy"], labels["forces"]
        atoms.calc = None
    write(path, told, format="extxyz")
    return path


def milliseconds(sources: Mapping[str, Source], frames: Frames) -> tuple[dict[str, float], float]:
    """Median time of energy and forces of the largest frames by each, and their median size."""
    largest = np.argsort(frames.counts)[-LARGEST:]
    clusters = to_atoms(frames.take(largest).without_labels())
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(ROUNDS + 1):
        for atoms in clusters:
            moved = atoms.copy()
            moved.positions += random.normal(scale=MOVED, size=moved.positions.shape)
            for name, source in sources.items():
                moved.calc = source.calculator()
                seconds = processor_seconds(moved.get_forces)
                # The first round chooses kernels and allocates.
                if turn:
                    times[name].append(1e3 * seconds)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return medians, float(np.median(frames.counts[largest]))


def errors(source: Source, told: Frames) -> dict[str, float]:
    """Errors on labelled frames, asked one by one."""
    quality = force_quality(labelled(told, source), told)
    return {name: float(f"{quality[name]:.5g}") for name in SHOWN}


def cost(trained: Trained | None) -> dict[str, float]:
    """Parameters and seconds of training, of what was trained."""
    if trained is None:
        return {}
    return {"parameters": trained.parameters, "training_s": round(trained.seconds, 1)}


def parameters(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def processor_seconds(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
