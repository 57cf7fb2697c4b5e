"""Under what conditions atoms move: ensemble, heat bath and barostat, as ASE's integrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import units
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.verlet import VelocityVerlet

from limbeck.errors import ArgumentError
from limbeck.functional.units import DENSE, EV

ENSEMBLES = ("nvt", "npt", "nve")
ATMOSPHERE = 101325 * units.Pascal
PICOSECOND = 1000 * units.fs


@dataclass(frozen=True)
class Conditions:
    """What `simulate` is told, in its units: K, atm, fs for the time step, ps for other times."""

    ensemble: str
    temperature: float
    pressure: float
    timestep: float
    relaxation: float
    barostat: float

    def __post_init__(self) -> None:
        if self.ensemble not in ENSEMBLES:
            raise ArgumentError(
                f"ensemble is {self.ensemble!r}, expected one of {', '.join(ENSEMBLES)}"
            )
        for name in ("temperature", "timestep", "relaxation", "barostat"):
            if not 0 < getattr(self, name) < np.inf:
                raise ArgumentError(
                    f"{name} is {getattr(self, name)}, expected a finite number above 0"
                )

        if not np.isfinite(self.pressure):
            raise ArgumentError(f"pressure is {self.pressure}, expected a finite number of atm")

    def check(self, atoms: Any, calculator: Any) -> None:
        """Raise `ArgumentError` where the volume shall change and cannot."""
        if self.ensemble != "npt":
            return
        if not atoms.pbc.all():
            raise ArgumentError("ensemble is npt, and the atoms are not periodic; choose nvt")
        if "stress" not in calculator.implemented_properties:
            raise ArgumentError(
                f"ensemble is npt, and {type(calculator).__name__} says no stress; choose nvt"
            )

    def integrator(self, atoms: Any, key: int, momentum: float) -> Any:
        """Return what moves atoms step by step.

        Args:
            atoms: with a calculator.
            key: of the draws of the heat bath.
            momentum: of the volume, where it changes.
        """
        step = self.timestep * units.fs
        if self.ensemble == "nve":
            return VelocityVerlet(atoms, timestep=step)
        bath: dict[str, Any] = {
            "temperature_K": self.temperature,
            "T_tau": self.relaxation * PICOSECOND,
            "rng": np.random.Generator(np.random.Philox(key=key)),
        }
        if self.ensemble == "nvt":
            return LangevinBAOAB(atoms, timestep=step, **bath)
        follows = self.barostat * PICOSECOND
        heat = units.kB * self.temperature
        mover = LangevinBAOAB(
            atoms,
            timestep=step,
            externalstress=-self.pressure * ATMOSPHERE,
            hydrostatic=True,
            P_tau=follows,
            # Martyna, Tobias and Klein's, whose time is one of a whole swing here.
            P_mass=(3 * len(atoms) + 3) * heat * (follows / (2 * np.pi)) ** 2,
            **bath,
        )
        mover.p_eps = momentum
        return mover

    def is_still(self, atoms: Any) -> bool:
        """Whether the whole does not move; a bath pushes it as it pushes every atom."""
        return self.ensemble == "nve" and len(atoms) > 1

    def heat(self, atoms: Any) -> float:
        """Temperature in K."""
        degrees = 3 * len(atoms) - 3 * self.is_still(atoms)
        return float(2 * atoms.get_kinetic_energy() / (units.kB * degrees))

    def row(self, atoms: Any, step: int) -> dict[str, float]:
        """What is kept of a moment."""
        potential, kinetic = float(atoms.get_potential_energy()), float(atoms.get_kinetic_energy())
        row = {
            "step": step,
            "time_ps": step * self.timestep / 1000,
            "temperature_k": self.heat(atoms),
            "potential_kcal_mol": EV * potential,
            "total_kcal_mol": EV * (potential + kinetic),
        }
        if atoms.pbc.all():
            volume = float(atoms.get_volume())
            mass = float(atoms.get_masses().sum())
            row |= {"volume_a3": volume, "density_g_cm3": DENSE * mass / volume}
            if "stress" in atoms.calc.implemented_properties:
                stress = atoms.get_stress(voigt=False, include_ideal_gas=True)
                row["pressure_atm"] = -float(np.trace(stress)) / 3 / ATMOSPHERE
        return row


def draw_velocities(atoms: Any, temperature: float, key: int, *, still: bool) -> None:
    """Give atoms velocities of a temperature.

    Args:
        atoms: ASE's `Atoms`, changed in place.
        temperature: in K, exactly that of these velocities.
        key: of the draws.
        still: whether the whole does not move, which leaves three degrees of freedom less.
    """
    rng = np.random.Generator(np.random.Philox(key=key))
    mass = atoms.get_masses()[:, None]
    momenta = rng.standard_normal((len(atoms), 3)) * np.sqrt(mass * units.kB * temperature)
    if still:
        momenta -= mass * momenta.sum(0) / mass.sum()
    kinetic = (np.square(momenta) / mass).sum() / 2
    momenta *= np.sqrt((3 * len(atoms) - 3 * still) * units.kB * temperature / 2 / kinetic)
    atoms.set_momenta(momenta)
