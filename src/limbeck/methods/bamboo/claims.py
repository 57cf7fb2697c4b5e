"""What must hold for BAMBOO, on clusters of carbonates labelled by GFN2-xTB."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.claims import Claim, Trial, Verdict, by_means
from limbeck.methods.bamboo.exactness import physics_of_a_seed

if TYPE_CHECKING:
    from limbeck.data.force_data import ForceData
    from limbeck.products import ForceField

DATA = "electrolyte-xtb?files=solvent_clusters+liquid_start"
STUDENT = "get?width=32&heads=8&layers=3&radial=16"
# Short: batches of 8, because a member that has taken few steps may still say that there are no
# forces.
TRAINING: dict[str, Any] = {
    "epochs": 14,
    "batch_size": 8,
    "optim": {"lr": 0.008, "weight_decay": 0.0, "decay": 0.87, "clip": 1000.0},
    "weights": {"charges": 1e5, "charge_response": 10.0, "dipole": 1.0},
}
SETTINGS: dict[str, Any] = {
    "members": 3,
    "training": TRAINING,
    # Clusters alone leave holes at close contacts, through which liquids fly apart.
    "rounds": {
        "count": 1,
        "clusters": 100,
        "epochs": 5,
        "sampling": {
            "temperature": 400.0,
            "ensemble": "npt",
            "settling": 0.2,
            "picoseconds": 0.4,
            "every": 0.01,
        },
    },
    "sampling": {"picoseconds": 0.15, "clusters": 40, "cluster_picoseconds": 0.05, "every": 0.01},
    "distillation": {"epochs": 6, "frames": 4, "batch_size": 16, "optim": {"lr": 3e-4}},
}
# Of dynamics in which force fields are compared: of the liquid at rest, and of hot clusters.
PICOSECONDS, HOT_PICOSECONDS, HOT = 1.0, 0.3, 600.0
CHANGE = -1000.0
ALIGNMENT: dict[str, Any] = {
    "pressure_change": [CHANGE],
    "frames": 30,
    "epochs": 6,
    "batch_size": 16,
    "rates": [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7],
}
DENSITIES: dict[str, Any] = {"settling": 0.3, "picoseconds": 1.2}
# Epochs of members that tell what the penalty does.
SHORT = 4


def force_fields_of_a_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Errors of members, of their mean and of students, what their dynamics say, and alignment.

    Args:
        folder: of the runs.
        seed: of all draws.
    """
    from limbeck.evaluate.force_fields import force_rows, mean_of
    from limbeck.evaluate.forces import answers

    product, baselines, ready = _made(folder / "run", seed)
    data, members = ready["data"], ready["teacher"]
    entries = {"distilled": product.network, "labels alone": baselines["student alone"].network}
    rows = force_rows(entries, members, data)
    errors = {row["name"]: row["quality"]["force_rmse_kcal_mol_a"] for row in rows}
    each = [error for name, error in errors.items() if name.startswith("member")]
    mean = mean_of([answers(one, data.test) for one in members])
    found: dict[str, Any] = {
        "predicting zero": rows[0]["quality"]["force_zero_rmse_kcal_mol_a"],
        "distilled": errors["distilled"],
        "labels alone": errors["labels alone"],
        "first member": errors["member 0"],
        "mean of members": statistics.fmean(each),
        "ensemble": errors.get("ensemble", each[0]),
        "members": len(members),
    }
    for name, one in (("first member", members[0]), ("distilled", product.network)):
        found[f"to the ensemble, {name}"] = _apart(answers(one, data.test), mean)
        found |= _dynamics(name, seed, type(product)(one), data)
    alone = answers(entries["labels alone"], data.test)
    found["to the ensemble, labels alone"] = _apart(alone, mean)
    return found | _aligned(folder, seed, product, data)


def _made(
    folder: Path, seed: int, shared: Path | None = None, **changes: Any
) -> tuple[ForceField, dict[str, ForceField], dict[str, Any]]:
    from limbeck import cards
    from limbeck.method import complete
    from limbeck.run import Run

    method = cards.load_class("bamboo")(**SETTINGS, **changes)
    run = Run(folder, seed=seed, shared=shared)
    return complete(method, run, {"data": DATA, "student": STUDENT})


def _apart(one: Any, other: Any) -> float:
    return float(np.sqrt(np.square(one.forces - other.forces).mean()))


def _dynamics(name: str, seed: int, field: ForceField, data: ForceData) -> dict[str, Any]:
    """Pressure of the liquid at rest, and how long hot clusters hold."""
    from limbeck.data.atoms import to_atoms
    from limbeck.evaluate.liquids import time_to_failure

    def moved(atoms: Any, temperature: float, picoseconds: float) -> Any:
        steps = round(2000 * picoseconds)
        return field.simulate(atoms, temperature=temperature, steps=steps, every=20, seed=seed)

    assert data.liquid is not None
    path = moved(to_atoms(data.liquid.take([0]))[0], 300.0, PICOSECONDS)
    late = path.rows["pressure_atm"][len(path) // 2 :]
    clusters = to_atoms(data.test.take(range(0, 40, 10)).without_labels())
    hot = [moved(one, HOT, HOT_PICOSECONDS) for one in clusters]
    held = time_to_failure(
        [float(one.times[-1]) for one in hot], [bool(one.stopped) for one in hot]
    )
    return {
        f"pressure, {name}": float(late.mean()),
        f"picoseconds of the liquid, {name}": float(path.times[-1]),
        f"failures, {name}": held["failures"],
        f"shortest time, {name}": held["shortest_ps"],
    }


def _aligned(
    folder: Path, seed: int, before: ForceField, data: ForceData
) -> dict[str, float | None]:
    """How far the pressure of a student moves, and what becomes of its forces and density."""
    from limbeck.loops.force_densities import Densities, densities_of
    from limbeck.run import Run

    after, _, _ = _made(folder / "aligned", seed, folder / "run", alignment=ALIGNMENT)
    told = after.facts["alignment"]
    assert data.liquid is not None
    box = data.liquid.take([0]).without_labels()
    jobs = [(one.network, box, 1.0) for one in (before, after)]
    run = Run(folder / "densities", seed=seed)
    densities = densities_of(run, "aligned", jobs, Densities(**DENSITIES))
    errors = [one.evaluate(data)["force_rmse_kcal_mol_a"] for one in (before, after)]
    return {
        "share of the change of pressure": told["moved"][0] / CHANGE,
        "rate": told["rate"],
        "change of the error of forces": errors[1] / errors[0] - 1,
        "density before": _known(densities[0]),
        "density after": _known(densities[1]),
    }


def _known(density: float) -> float | None:
    """A density, or None of dynamics that broke off."""
    return density if math.isfinite(density) else None


def penalty_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Mean squared forces through the charges, of members with and without their penalty.

    Args:
        folder: of the runs.
        seed: of all draws.
    """
    import torch

    from limbeck import cards
    from limbeck.data.names import resolve
    from limbeck.loops.force_fields import fresh_force_field, shown, trained_force_field
    from limbeck.run import Run

    found = {}
    data = resolve(DATA)
    for name, weight in (("with the penalty", 10.0), ("without the penalty", 0.0)):
        weights = {**TRAINING["weights"], "charge_response": weight}
        short = {**TRAINING, "epochs": SHORT, "weights": weights}
        training = cards.load_class("bamboo")(training=short).training
        run = Run(folder / name.replace(" ", "-"), seed=seed)
        network = fresh_force_field(run, STUDENT, data)
        trained_force_field(run, "member", network, data, training)
        network.train().requires_grad_(False)
        said = [network(batch)["charge_response"].detach() for batch in shown(network, data.test)]
        found[name] = float(torch.cat(said).square().mean())
    return found


def unseen_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Errors on clusters that hold a molecule which no training cluster holds, and on the others.

    Args:
        folder: of the runs.
        seed: of all draws; each leaves out another solvent.
    """
    from limbeck import cards
    from limbeck.data.cutting import molecules_of
    from limbeck.data.names import resolve
    from limbeck.evaluate.forces import answers, force_quality
    from limbeck.loops.force_fields import fresh_force_field, trained_force_field
    from limbeck.run import Run

    whole = resolve(DATA)
    solvents = sorted(
        {
            name
            for place in range(len(whole.test))
            for name in molecules_of(whole.test, place).values()
        }
    )
    left_out = solvents[seed % len(solvents)]

    def with_and_without(frames: Any) -> tuple[Any, Any]:
        held = [left_out in molecules_of(frames, place).values() for place in range(len(frames))]
        return frames.take(np.flatnonzero(held)), frames.take(np.flatnonzero(np.invert(held)))

    train, validation = (with_and_without(one)[1] for one in (whole.train, whole.validation))
    data = dataclasses.replace(whole, train=train, validation=validation)
    run = Run(folder / left_out, seed=seed)
    network = fresh_force_field(run, STUDENT, data)
    trained_force_field(
        run, "member", network, data, cards.load_class("bamboo")(training=TRAINING).training
    )
    found: dict[str, float] = {"training clusters": float(len(train))}
    for name, frames in zip(("unseen", "seen"), with_and_without(whole.test), strict=True):
        figures = force_quality(answers(network, frames), frames)
        found[f"clusters, {name}"] = float(len(frames))
        found[f"forces, {name}"] = figures["force_rmse_kcal_mol_a"]
        found[f"predicting zero, {name}"] = figures["force_zero_rmse_kcal_mol_a"]
        found[f"energy an atom, {name}"] = figures["energy_rmse_kcal_mol_atom"]
    return found


def it_learns(trial: Trial) -> Verdict:
    """Compare the members' errors with those of saying that there are no forces."""
    found = _kept(trial, "predicting zero", "first member", "mean of members")
    return by_means(found, lambda mean: mean["mean of members"] < 0.3 * mean["predicting zero"])


def physics_is_exact(trial: Trial) -> Verdict:
    """Check invariance, and that forces are slopes."""
    found = trial.of_seeds(physics_of_a_seed)
    return Verdict(max(map(max, found.values())) < 1e-4, found)


def ensemble_teaches(trial: Trial) -> Verdict:
    """Compare members, their mean, and the student with the member that it was copied from."""
    found = _kept(
        trial, "distilled", "first member", "mean of members", "labels alone", "ensemble",
        "to the ensemble", "pressure", "picoseconds", "failures", "shortest", "members",
    )  # fmt: skip
    spread = {
        f"spread of pressures, {name}": statistics.stdev(found[f"pressure, {name}"])
        for name in ("first member", "distilled")
    }

    def holds(mean: Mapping[str, float]) -> bool:
        return (
            mean["ensemble"] < mean["mean of members"]
            and mean["to the ensemble, distilled"] < mean["to the ensemble, first member"]
            and mean["to the ensemble, distilled"] < mean["to the ensemble, labels alone"]
            and mean["distilled"] < mean["first member"]
            and mean["failures, distilled"] <= mean["failures, first member"]
            and mean["picoseconds of the liquid, distilled"]
            >= mean["picoseconds of the liquid, first member"]
            and spread["spread of pressures, distilled"]
            < spread["spread of pressures, first member"]
        )

    verdict = by_means(found, holds)
    return Verdict(verdict.held, {**verdict.figures, **spread})


def pressure_moves(trial: Trial) -> Verdict:
    """Check how far pressures move, which way densities go, and what forces lose."""
    found = _kept(trial, "share of", "rate", "change of", "density")
    near = all(abs(one - 1) <= 0.2 for one in found["share of the change of pressure"])
    kept = all(one < 0.05 for one in found["change of the error of forces"])
    sides = [found["density before"], found["density after"]]
    # Dynamics that broke off tell no density, and the claim does not hold.
    denser = None not in sides[0] + sides[1] and statistics.fmean(sides[1]) > statistics.fmean(
        sides[0]
    )
    return Verdict(near and kept and denser, found)


def penalty_keeps_charges_at_rest(trial: Trial) -> Verdict:
    """Compare members with and without the penalty of forces through the charges."""
    found = trial.of_seeds(penalty_of_a_seed, DATA, STUDENT, TRAINING, SHORT)
    return by_means(found, lambda mean: mean["with the penalty"] < mean["without the penalty"])


def molecules_may_be_new(trial: Trial) -> Verdict:
    """Compare errors on clusters with a molecule left out of training with saying nothing."""
    found = trial.of_seeds(unseen_of_a_seed, DATA, STUDENT, TRAINING)
    return by_means(
        found, lambda mean: mean["forces, unseen"] < 0.3 * mean["predicting zero, unseen"]
    )


def _kept(trial: Trial, *words: str) -> dict[str, list[Any]]:
    """Figures of the force fields whose names begin with a word."""
    key = (DATA, STUDENT, SETTINGS, ALIGNMENT, DENSITIES, PICOSECONDS, HOT_PICOSECONDS, HOT)
    found = trial.of_seeds(force_fields_of_a_seed, *key)
    return {name: one for name, one in found.items() if name.startswith(words)}


CLAIMS = [
    Claim(
        1,
        "It learns: errors of forces on unseen clusters are far below those of saying that there "
        "are none.",
        it_learns,
    ),
    Claim(
        2,
        "Energies do not change and forces turn with the atoms; charges sum to the total charge; "
        "forces are slopes.",
        physics_is_exact,
    ),
    Claim(
        3,
        "The mean of the members errs less than a member on average; the student is nearer to it "
        "than the member it was copied from, trained on with labels or not, errs less than that "
        "member, its dynamics hold as long, and pressures of the liquid differ less from "
        "seed to seed.",
        ensemble_teaches,
    ),
    Claim(
        4,
        "Alignment moves the pressure between molecules as asked, within a fifth, a lower pressure "
        "raises the density, and errors of forces grow by less than a twentieth.",
        pressure_moves,
    ),
    Claim(
        5,
        "Without the penalty forces through the charges are larger.",
        penalty_keeps_charges_at_rest,
    ),
    Claim(
        6,
        "It transfers: errors of forces on clusters that hold a molecule which no training cluster "
        "holds are far below those of saying that there are none.",
        molecules_may_be_new,
    ),
]
