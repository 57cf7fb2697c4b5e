"""A force field as a calculator of ASE: energies, forces, stress, charges and dipoles."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from torch import Tensor, nn

from limbeck.bridges.ase.verlet import Near, VerletList
from limbeck.data.elements import symbols
from limbeck.data.frame_checks import CLOSEST
from limbeck.data.frames import Floats
from limbeck.errors import ArgumentError, DataError, NotFiniteError
from limbeck.features import evaluating
from limbeck.fingerprint import fingerprint
from limbeck.functional.units import DEBYE, EV

# Rows and columns of a stress tensor in Voigt's order.
VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))


class ForceFieldCalculator(Calculator):
    r"""ASE's view of a network that reads graphs: eV, Angstrom, e, and e A.

    The stress is :math:`-W / V` with the virial W of the network. The total charge of atoms is
    ``charge``, else ``atoms.info["charge"]``, else the sum of their initial charges. Cells may be
    smaller than the cutoffs.

    Args:
        model: a module that takes a graph to ``"energy"`` (kcal/mol), ``"forces"``, and perhaps
            ``"virial"``, ``"charges"``, ``"dipole"`` (Debye), with the attributes ``cutoff`` and
            ``pair_cutoff`` in Angstrom, and ``species``, the atomic numbers that it knows. It is
            evaluated in the precision of its parameters.
        free_atoms: energies in eV by atomic number that are added; None tells energies less free
            atoms, as the network does.
        charge: total charge in e, for all atoms that are asked for.
        skin: see `VerletList`, in Angstrom.
        dtype: precision of a model without parameters.

    Raises:
        ArgumentError: the model lacks a cutoff, or the skin is negative.

    Example:
        >>> from ase.build import molecule
        >>> class Springs(nn.Module):
        ...     cutoff = pair_cutoff = 5.0
        ...     def forward(self, graph):
        ...         first, second = graph["pairs"]
        ...         vector = graph["positions"][first] - graph["positions"][second]
        ...         forces = torch.zeros_like(graph["positions"])
        ...         forces = forces.index_add(0, first, -vector).index_add(0, second, vector)
        ...         return {"energy": 0.5 * vector.square().sum()[None], "forces": forces}
        >>> water = molecule("H2O")
        >>> water.calc = ForceFieldCalculator(Springs())
        >>> bool(abs(water.get_forces().sum()) < 1e-6)
        True
    """

    # ASE reads the list of the class.
    implemented_properties = [  # noqa: RUF012
        "energy",
        "free_energy",
        "forces",
        "stress",
        "charges",
        "dipole",
    ]

    def __init__(
        self,
        model: nn.Module,
        *,
        free_atoms: Mapping[int, float] | None = None,
        charge: float | None = None,
        skin: float = 0.5,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        for name in ("cutoff", "pair_cutoff"):
            if not isinstance(getattr(model, name, None), (int, float)):
                raise ArgumentError(
                    f"model is a {type(model).__name__} without a number {name}; expected a force "
                    "field, with its cutoffs in Angstrom"
                )
        if not skin >= 0:
            raise ArgumentError(f"skin is {skin}, expected at least 0 Angstrom")
        self.model = model
        first = next((one for one in model.parameters() if one.is_floating_point()), None)
        self._dtype = dtype if first is None else first.dtype
        self._device = torch.device("cpu") if first is None else first.device
        self._free_atoms = None if free_atoms is None else dict(free_atoms)
        self._charge = charge
        self.lists = VerletList(float(model.cutoff), float(model.pair_cutoff), skin)  # type: ignore[arg-type]

    @property
    def fingerprint(self) -> str:
        """Short name of what it computes."""
        return fingerprint("force field", self.model, self._free_atoms, self._charge)

    def forget(self) -> None:
        """Compute anew what is asked for next, from the positions alone."""
        self.reset()
        self.lists.forget()

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Compute everything at once; ASE calls this when atoms have changed.

        Raises:
            DataError: an element is unknown to the model, atoms overlap, or the frame is periodic
                in some directions only.
            NotFiniteError: the model says NaN.
        """
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        periodic = self._checked(atoms)
        cell = np.array(atoms.cell) if periodic else np.zeros((3, 3))
        middle = np.zeros(3) if periodic else atoms.get_center_of_mass()
        positions, edges, pairs = self.lists.at(atoms.positions - middle, cell, periodic)
        _check_apart(pairs, atoms.numbers)
        charge = self._total_charge(atoms)
        graph = self._graph(atoms, positions, cell, periodic, edges, pairs, charge)
        with torch.no_grad(), evaluating(self.model) if self.model.training else nullcontext():
            said = {name: one.detach().cpu().double() for name, one in self.model(graph).items()}
        for name in ("energy", "forces"):
            if not bool(torch.isfinite(said[name]).all()):
                raise NotFiniteError(f"the force field says {name} that are not finite")
        energy = float(said["energy"][0]) / EV + self._free(atoms)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": said["forces"].numpy() / EV,
        }
        if "charges" in said:
            self.results["charges"] = said["charges"].numpy()
        if "dipole" in said and not periodic:
            # Of a charged frame about the origin, as ASE has it, and not about the middle.
            self.results["dipole"] = said["dipole"][0].numpy() * DEBYE + charge * middle
        if "virial" in said and periodic:
            stress = -said["virial"][0].numpy() / EV / atoms.get_volume()
            self.results["stress"] = ((stress + stress.T) / 2)[VOIGT]

    def _checked(self, atoms: Any) -> bool:
        known: Any = getattr(self.model, "species", None)
        unknown = sorted(set(atoms.numbers.tolist()) - set(known)) if known is not None else []
        if unknown:
            raise DataError(
                f"the force field does not know {', '.join(symbols(unknown))}; it was made for "
                f"{', '.join(symbols(known))}"
            )
        if atoms.pbc.any() and not atoms.pbc.all():
            raise DataError(
                f"the atoms are periodic in some directions only ({atoms.pbc.tolist()}); set pbc "
                "to all or none"
            )
        if atoms.pbc.all() and not np.linalg.det(atoms.cell) > 1e-3:
            raise DataError(
                f"the cell {np.asarray(atoms.cell).tolist()} has no volume or is left-handed"
            )
        return bool(atoms.pbc.all())

    def _total_charge(self, atoms: Any) -> float:
        if self._charge is not None:
            return self._charge
        given = atoms.info.get("charge")
        return float(atoms.get_initial_charges().sum() if given is None else given)

    def _free(self, atoms: Any) -> float:
        if self._free_atoms is None:
            return 0.0
        missing = sorted(set(atoms.numbers.tolist()) - set(self._free_atoms))
        if missing:
            raise DataError(f"free_atoms has no energy of {', '.join(symbols(missing))}")
        return sum(self._free_atoms[number] for number in atoms.numbers.tolist())

    def _graph(
        self,
        atoms: Any,
        positions: Tensor,
        cell: Floats,
        periodic: bool,
        edges: Near,
        pairs: Near,
        charge: float,
    ) -> dict[str, Tensor]:
        columns = {
            "species": torch.from_numpy(atoms.numbers.astype(np.int64)),
            "positions": positions,
            "frame": torch.zeros(len(atoms), dtype=torch.int64),
            "charge": torch.tensor([charge], dtype=torch.float64),
            "edges": edges.ends,
            "edge_shifts": edges.shifts,
            "pairs": pairs.ends,
            "pair_shifts": pairs.shifts,
            "periodic": torch.tensor([periodic]),
            "cell": torch.from_numpy(cell)[None],
        }
        return {
            name: one.to(self._device, self._dtype if one.is_floating_point() else one.dtype)
            for name, one in columns.items()
        }


def _check_apart(near: Near, numbers: Any) -> None:
    if not len(near.squared):
        return
    squared, place = near.squared.min(0)
    if squared < CLOSEST**2:
        first, second = near.ends[:, place].tolist()
        names = [symbols([numbers[atom]])[0] for atom in (first, second)]
        raise DataError(
            f"atoms {first} ({names[0]}) and {second} ({names[1]}) are "
            f"{float(squared.sqrt()):.2g} A apart: they overlap"
        )
