"""ForceField: one network that says energies and forces of atoms, and moves them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from limbeck import files
from limbeck.data.atoms import from_atoms
from limbeck.data.elements import symbols
from limbeck.data.force_data import ForceData
from limbeck.data.frames import Frames
from limbeck.errors import ArgumentError, ModelError, UnknownNameError
from limbeck.evaluate.force_exhibits import force_charts, force_sheets
from limbeck.evaluate.force_fields import force_row, force_rows
from limbeck.evaluate.forces import answers
from limbeck.loops.force_fields import check_force_field
from limbeck.naming import split_name
from limbeck.products.described import Described
from limbeck.products.export_folder import FACTS
from limbeck.products.network_files import read_network, spec_of, write_network
from limbeck.run.exhibits import write_exhibits

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.run.run import Run


class ForceField(Described):
    """A network with what it needs to say energies and forces, and to be moved by ASE.

    Args:
        network: takes graphs of atoms, such as `limbeck.networks.GET`.
        free_atoms: energies in eV by atomic number, which the network's energies leave out.
        facts: how it came about, plain values that are kept with it.
    """

    def __init__(
        self,
        network: Any,
        free_atoms: Mapping[int, float] | Sequence[tuple[int, float]] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.free_atoms = dict(free_atoms)
        self.facts = dict(facts or {})

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers that it knows."""
        return tuple(self.network.species)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The network."""
        return (self.network,)

    def calculator(self, **options: Any) -> Any:
        """A calculator of ASE: energies, forces, stress, charges and dipoles.

        Args:
            options: of `limbeck.bridges.ase.ForceFieldCalculator`, such as ``charge=1``.

        Returns:
            The calculator; its energies hold those of the free atoms, as labels do.

        Raises:
            DataError: ASE is not installed.
        """
        from limbeck.bridges.ase import ForceFieldCalculator

        free = self.free_atoms or None
        return ForceFieldCalculator(self.network, **{"free_atoms": free, **options})

    def simulate(self, atoms: Any, *, settling: float = 1.0, **options: Any) -> Any:
        """Move atoms by the force field.

        Args:
            atoms: ASE's `Atoms` to start from; they are relaxed first unless they move already.
            settling: ps at constant volume before constant pressure, unless they move already.
            options: of `limbeck.bridges.ase.simulate`, such as ``ensemble="npt"`` and ``steps``.

        Returns:
            A `limbeck.bridges.ase.Trajectory`.

        Raises:
            DataError: ASE is not installed, or the force field cannot be used for the atoms.
        """
        from limbeck.bridges.ase import simulate

        breathing = options.get("ensemble") == "npt"
        return simulate(
            atoms, self.calculator(), settling=settling if breathing else 0.0, **options
        )

    def predict(self, x: Any) -> Frames:
        """Energies (kcal/mol, less free atoms), forces, charges and dipoles of atoms.

        Args:
            x: `Frames`, one of ASE's `Atoms`, or a list of them.

        Returns:
            The frames with what the network says as labels.

        Raises:
            ArgumentError: it is none of these, or holds an element that the network does not know.
        """
        if not isinstance(x, Frames):
            several = list(x) if isinstance(x, (list, tuple)) else [x]
            if not several or not all(hasattr(one, "get_positions") for one in several):
                raise ArgumentError(
                    f"x is a {type(x).__name__}, expected limbeck.data.Frames or ASE's Atoms"
                )
            x = from_atoms([one.copy() for one in several])
        return answers(self.network, x.without_labels())

    def predictions(self, x: Any) -> dict[str, Any]:
        """What it says, a row a frame: energies and largest forces.

        Args:
            x: data, whose test frames are asked about, or what `predict` takes.

        Raises:
            ModelError: data are no frames, or of other elements.
        """
        if hasattr(x, "test"):
            self.see(x)
            x = x.test
        said = self.predict(x)
        forces = np.linalg.norm(np.asarray(said.forces), axis=1)
        return {
            "id": np.arange(len(said)),
            "atoms": said.counts,
            "energy_kcal_mol": said.energy,
            "largest_force_kcal_mol_a": np.maximum.reduceat(forces, said.bounds[:-1]),
        }

    def evaluate(self, data: ForceData) -> dict[str, float]:
        """Errors on the test frames of some data."""
        return self.measure(data)["quality"]

    def measure(self, data: ForceData) -> dict[str, Any]:
        """A row of quality beside cost, on the test frames of some data."""
        self.see(data)
        return force_row("force field", "product", self.network, data)

    def see(self, data: Any) -> None:
        """Raise `ModelError` unless data are labelled frames of elements that it knows."""
        if not isinstance(data, ForceData):
            raise ModelError(
                f"the force field reads atoms and {getattr(data, 'name', data)} has none; give "
                "labelled frames, such as xyz:FILE"
            )
        check_force_field(self.network, data, "the force field")

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, ForceField],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this force field, those it is compared with, and the members that taught.

        Charts of errors, and tables of members and alignment, are put beside the run's files.

        Args:
            run: the folder.
            name: of this one's row.
            baselines: others by name; the first is the baseline.
            inputs: of the method: ``teacher`` and ``data``.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        entries = {name: self.network, **{one: it.network for one, it in baselines.items()}}
        members, told = inputs["teacher"], inputs["data"].test
        rows = force_rows(entries, members, inputs["data"])
        each = [answers(one, told) for one in members]
        charts = force_charts(each, answers(self.network, told), told)
        write_exhibits(run.dir, charts, force_sheets(self.facts))
        return rows, {}

    def summary(self) -> str:
        """One line about the force field."""
        count = sum(one.numel() for one in self.network.parameters())
        known = " ".join(symbols(self.species))
        cut = f"edges to {self.network.cutoff:g} A, pairs to {self.network.pair_cutoff:g} A"
        return f"{type(self.network).__name__}: {count:,} parameters for {known}, {cut}"

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name."""
        return {name: one.detach().cpu() for name, one in self.network.state_dict().items()}

    def save(self, dir: str | Path) -> None:
        """Write the force field: weights and facts, no code, no time, no path.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the files into a folder that `limbeck.files.new_folder` makes whole."""
        facts = {
            "kind": "force-field",
            "spec": spec_of(self.network),
            "network": type(self.network).__name__,
            "species": list(self.species),
            "cutoff": self.network.cutoff,
            "pair_cutoff": self.network.pair_cutoff,
            "units": {"energy": "kcal/mol", "length": "Angstrom", "charge": "e"},
            "free_atoms_ev": {str(number): one for number, one in self.free_atoms.items()},
            "facts": self.facts,
        }
        write_network(self.network, part)
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")

    @classmethod
    def load(cls, dir: str | Path, network: nn.Module | None = None) -> ForceField:
        """Read what `save` wrote.

        Args:
            dir: the folder.
            network: to fill with the weights, where it was an object of your own class.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: the network is needed, or does not fit the weights.
        """
        dir = Path(dir)
        files.check_folder(dir)
        facts = json.loads((dir / FACTS).read_text())
        made = read_network(dir, facts, None, 1, network, who=f"the force field in {dir}")
        free = {int(number): one for number, one in facts["free_atoms_ev"].items()}
        return cls(made, free, facts["facts"])

    def export(
        self, dir: str | Path, *, to: str, data: Any = None, origin: Origin | None = None
    ) -> dict[str, Any]:
        """Write the force field in a form that other programs read.

        Args:
            dir: the folder; an earlier export of the same one is replaced.
            to: ``"safetensors"`` (weights and facts, which `limbeck.load` reads), or
                ``"torch-export"`` (``force_field.pt2``: energy and forces of one graph).
            data: not needed.
            origin: not needed.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
            written was run beside the force field.

        Raises:
            ArgumentError: the format is unknown.
            ModelError: the network has no such form.
            RunError: the folder holds something else or cannot be written.
        """
        # Here, because the exporter reads what this module defines.
        from limbeck.products.force_field_exporting import export

        return export(self, dir, to=to)


def force_fields(given: Any, data: ForceData) -> list[nn.Module]:
    """What the user gave as teachers, as networks.

    Args:
        given: ``file:FOLDER`` of a run or a product, a `ForceField`, a network, or a list of them.
        data: whose elements they must know.

    Raises:
        ArgumentError: there is none, or one is no force field for the data.
        UnknownNameError: a name stands for no folder.
    """
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    if not several:
        raise ArgumentError(
            "there are zero teachers; give at least one, such as --teacher file:RUN, or leave the "
            "input out to have members trained here"
        )
    found = []
    for place, one in enumerate(several):
        made = _loaded(one) if isinstance(one, str) else one
        network = made.network if isinstance(made, ForceField) else made
        check_force_field(network, data, f"teacher {place}")
        found.append(network)
    return found


def _loaded(name: str) -> ForceField:
    prefix, rest, _ = split_name(name)
    folder = Path(rest).expanduser()
    place = folder if (folder / FACTS).is_file() else folder / "product"
    if prefix != "file" or not (place / FACTS).is_file():
        raise UnknownNameError(
            f"{name} stands for no force field, expected file:FOLDER of a run or a product"
        )
    return ForceField.load(place)
