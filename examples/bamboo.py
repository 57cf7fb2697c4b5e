"""A force field from quantum labels: members, their frames, one student, and a simulation.

Small molecules are labelled by GFN2-xTB when they are asked for, in a second. Two force fields
learn from them; a copy of the better one learns what both say of frames that they moved to; then it
moves a water molecule, and says how its energy drifts without a heat bath.
"""

import tempfile
from pathlib import Path

from ase.build import molecule

import limbeck
from limbeck.data.names import resolve
from limbeck.evaluate.liquids import energy_drift


def main() -> None:
    data = resolve("molecules?frames=60&box=4")
    print(data)
    method = limbeck.BAMBOO(
        members=2,
        gate=3.0,
        training={
            "epochs": 30,
            "batch_size": 4,
            "optim": {"lr": 0.01, "weight_decay": 0.0, "decay": 0.9, "clip": 1000.0},
            "weights": {"charges": 300.0, "charge_response": 10.0, "dipole": 1.0},
        },
        sampling={"picoseconds": 0.0, "clusters": 6, "cluster_picoseconds": 0.01, "every": 0.002},
        distillation={"epochs": 2, "frames": 4, "batch_size": 8, "optim": {"lr": 3e-4}},
    )
    folder = Path(tempfile.mkdtemp())
    field = method.distill(
        folder, data=data, student="get?width=12&heads=2&layers=2&radial=8&pair_cutoff=6"
    )
    figures = field.evaluate(data)
    print(f"forces err by {figures['force_rmse_kcal_mol_a']:.1f} kcal/mol/A, ", end="")
    print(f"saying 0 by {figures['force_zero_rmse_kcal_mol_a']:.1f}")

    water = molecule("H2O")
    water.calc = field.calculator()
    print(f"water: {water.get_potential_energy():.2f} eV, charges {water.get_charges().round(2)}")
    path = field.simulate(water, ensemble="nve", temperature=50, timestep=0.2, steps=50, every=5)
    drift = energy_drift(path.times, path.totals, len(water))
    print(f"{path.times[-1]:.2f} ps, stopped: {path.stopped}, drift {drift:.3g} kcal/mol/atom/ns")

    # Anywhere else it is loaded by its folder, or taken as a graph of torch.
    again = limbeck.load(folder)
    told = again.export(folder / "graph", to="torch-export")
    print(f"as a graph: {told['bytes']} bytes, differs by {told['largest_difference']:.1g}")


if __name__ == "__main__":
    main()
