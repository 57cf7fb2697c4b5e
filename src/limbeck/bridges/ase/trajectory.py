"""What a simulation leaves: frames and rows in memory, and on disk where it shall go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck import files
from limbeck.data.atoms import from_atoms
from limbeck.data.frames import Floats, Frames
from limbeck.data.xyz_files import frame_text, read_atoms
from limbeck.errors import CorruptFileError, RunError

FRAMES, ROWS, STATE = "trajectory.xyz", "thermo.jsonl", "state.safetensors"
LAST = "last-good.xyz"


@dataclass(frozen=True)
class Trajectory:
    """How a simulation went, a row every so many steps, the start among them.

    Args:
        frames: positions and cells; atoms are not put back into the cell, so that their paths are
            whole.
        atoms: ASE's `Atoms` of the last good step, with velocities, to go on from.
        rows: by name a number for each frame: ``step``, ``time_ps``, ``temperature_k``,
            ``potential_kcal_mol``, ``total_kcal_mol`` (with the kinetic energy), and of periodic
            frames ``volume_a3``, ``density_g_cm3``, and ``pressure_atm`` where the calculator says
            stress.
        steps: done.
        stopped: why it ended early; None where it did all its steps.
    """

    frames: Frames
    atoms: Any
    rows: Mapping[str, Floats]
    steps: int
    stopped: str | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def times(self) -> Floats:
        """Time of each frame ``(N,)`` in ps."""
        return self.rows["time_ps"]

    @property
    def temperatures(self) -> Floats:
        """Temperature of each frame ``(N,)`` in K."""
        return self.rows["temperature_k"]

    @property
    def energies(self) -> Floats:
        """Potential energy of each frame ``(N,)`` in kcal/mol."""
        return self.rows["potential_kcal_mol"]

    @property
    def totals(self) -> Floats:
        """Potential and kinetic energy of each frame ``(N,)`` in kcal/mol."""
        return self.rows["total_kcal_mol"]

    @property
    def densities(self) -> Floats:
        """Density of each frame ``(N,)`` in g/cm3; none of frames that do not repeat."""
        return self.rows.get("density_g_cm3", np.empty(0))

    def __repr__(self) -> str:
        end = f", stopped={self.stopped!r}" if self.stopped else ""
        return f"Trajectory(frames={len(self)}, steps={self.steps}{end})"


@dataclass
class Record:
    """Frames and rows as they come, and the files that they are written to.

    Args:
        folder: for the files; None keeps everything in memory.
        identity: stands for everything that decides the trajectory.
    """

    folder: Path | None
    identity: str
    images: list[Any] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    written: int = 0

    def add(self, atoms: Any, row: dict[str, float]) -> None:
        """Keep a frame; a copy leaves the calculator behind."""
        self.images.append(atoms.copy())
        self.rows.append(row)

    def save(self, atoms: Any, step: int, extra: float, stopped: str | None) -> None:
        """Write what is new, and then the state that tells how much of it is whole.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        if self.folder is None:
            return
        new = range(self.written, len(self.images))
        columns = [_columns(self.images[place]) for place in new]
        text = [
            frame_text(self.images[place], one, {**self.images[place].info, **self.rows[place]})
            for place, one in zip(new, columns, strict=True)
        ]
        files.append_text(self.folder / FRAMES, "".join(text))
        lines = [json.dumps(self.rows[place]) + "\n" for place in new]
        files.append_text(self.folder / ROWS, "".join(lines))
        self.written = len(self.images)
        if stopped:
            facts = {**atoms.info, "step": step}
            files.write_text(self.folder / LAST, frame_text(atoms, _columns(atoms), facts))
        self._save_state(atoms, step, extra, stopped)

    def _save_state(self, atoms: Any, step: int, extra: float, stopped: str | None) -> None:
        assert self.folder is not None
        tensors = {
            "positions": torch.from_numpy(atoms.positions.copy()),
            "momenta": torch.from_numpy(atoms.get_momenta()),
            "cell": torch.from_numpy(np.array(atoms.cell)),
            "extra": torch.tensor([extra], dtype=torch.float64),
        }
        facts = {
            "identity": self.identity,
            "step": str(step),
            "stopped": stopped or "",
            "frames": str(_size(self.folder / FRAMES)),
            "rows": str(_size(self.folder / ROWS)),
        }
        files.save_tensors(self.folder / STATE, tensors, facts)

    def restore(self, atoms: Any) -> tuple[int, float, str | None]:
        """Put atoms where a simulation was left, and read what it had written.

        Args:
            atoms: of the start; changed in place.

        Returns:
            Steps done, what else the state holds, and why it was stopped; 0 steps where there was
            no state.

        Raises:
            RunError: the folder holds another simulation, or files of these names that no
                simulation wrote.
        """
        if self.folder is None:
            return 0, 0.0, None
        self._check_ours()
        if not (self.folder / STATE).is_file():
            return self._begin(atoms)
        try:
            tensors, facts = files.load_tensors(self.folder / STATE)
            cut_short = any(
                _size(self.folder / name) < int(facts[key])
                for name, key in ((FRAMES, "frames"), (ROWS, "rows"))
            )
        except CorruptFileError:
            cut_short = True
            facts = {"identity": self.identity}
        if facts["identity"] != self.identity:
            raise RunError(
                f"{self.folder} holds a simulation of other atoms, settings or force field; choose "
                "another folder, or delete it"
            )
        # Begun anew where a part of the path is lost, or nothing was done yet.
        if cut_short or facts["step"] == "0":
            return self._begin(atoms)
        # What was written after the state is of steps that are done again.
        os.truncate(self.folder / FRAMES, int(facts["frames"]))
        os.truncate(self.folder / ROWS, int(facts["rows"]))
        self.images = [one.copy() for one in read_atoms(self.folder / FRAMES)]
        self.rows = [json.loads(line) for line in (self.folder / ROWS).read_text().splitlines()]
        self.written = len(self.images)
        atoms.set_cell(tensors["cell"].numpy(), scale_atoms=False)
        atoms.positions = tensors["positions"].numpy()
        atoms.set_momenta(tensors["momenta"].numpy())
        return int(facts["step"]), float(tensors["extra"]), facts["stopped"] or None

    def trajectory(self, atoms: Any, steps: int, stopped: str | None) -> Trajectory:
        """What is there, as a result."""
        names = self.rows[0]
        rows = {name: np.array([row[name] for row in self.rows]) for name in names}
        images = [one.copy() for one in self.images]
        for one in images:
            one.info = {"charge": atoms.info.get("charge", 0)}
            for name in set(one.arrays) - {"numbers", "positions", "mol"}:
                del one.arrays[name]
        frames = from_atoms(images, check=False, what="the trajectory")
        return Trajectory(frames, atoms, rows, steps, stopped)

    def _check_ours(self) -> None:
        """Raise `RunError` where files of these names are somebody else's."""
        assert self.folder is not None
        state = self.folder / STATE
        if not state.is_file():
            found = [name for name in (FRAMES, ROWS, LAST) if (self.folder / name).exists()]
        else:
            # At the head of the file, so that a state that was cut short is known too.
            with state.open("rb") as file:
                found = [] if b'"identity"' in file.read(2048) else [STATE]
        if found:
            raise RunError(
                f"{self.folder} holds {', '.join(found)}, which no simulation of limbeck wrote; "
                "choose another folder"
            )

    def _begin(self, atoms: Any) -> tuple[int, float, str | None]:
        """Clear what an earlier start left, and write a state first: it tells whose files are."""
        assert self.folder is not None
        for name in (FRAMES, ROWS, LAST):
            (self.folder / name).unlink(missing_ok=True)
        self._save_state(atoms, 0, 0.0, None)
        return 0, 0.0, None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _columns(atoms: Any) -> dict[str, Any]:
    """What is written of each atom beside its place."""
    numbered = {"mol": atoms.arrays["mol"]} if "mol" in atoms.arrays else {}
    return {**numbered, "momenta": atoms.get_momenta()}
