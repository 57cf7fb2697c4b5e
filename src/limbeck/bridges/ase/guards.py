"""Signs that a simulation has left what its force field knows: heat, broken bonds, jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.data.atoms import from_atoms
from limbeck.data.elements import symbols
from limbeck.data.neighbours import bonds
from limbeck.errors import ArgumentError
from limbeck.functional.units import EV


@dataclass(frozen=True)
class Limits:
    """What a simulation may do at most; beyond that it is stopped with the last good frame.

    Args:
        heat: highest temperature, in K; None allows ten times the one that is set, at least 3000
            (that of a few atoms swings widely).
        bonds: shortest and longest length of a bond, over the length that it has at the start; None
            where bonds may break.
        jump: greatest change of the potential energy in one step, in kcal/mol an atom.
    """

    heat: float | None = None
    bonds: tuple[float, float] | None = (0.6, 1.7)
    jump: float = 20.0

    def __post_init__(self) -> None:
        low, high = self.bonds or (0.0, 2.0)
        if not (0 <= low < 1 < high) or not self.jump > 0 or not (self.heat or 1.0) > 0:
            raise ArgumentError(
                f"{self} cannot be kept; expected bonds from below 1 to above 1, and a jump and a "
                "heat above 0"
            )


class Guard:
    """Looks at atoms after every step.

    Args:
        atoms: at the start, with the bonds that they shall keep.
        limits: what is allowed.
        temperature: that is set, in K.
    """

    def __init__(self, atoms: Any, limits: Limits, temperature: float) -> None:
        self._limits = limits
        self._heat = limits.heat or max(3000.0, 10 * temperature)
        self._energy: float | None = None
        self._pairs = bonds(from_atoms([atoms.copy()]), 0)
        self._lengths = self._measure(atoms)

    def fault(self, atoms: Any, energy: float, temperature: float) -> str | None:
        """What is wrong after a step, in words, or None.

        Args:
            atoms: after the step.
            energy: potential, in eV.
            temperature: in K.
        """
        numbers = (energy, temperature, float(np.abs(atoms.positions).max()))
        if not np.isfinite(numbers).all():
            return "numbers are not finite"
        before, self._energy = self._energy, energy
        if temperature > self._heat:
            return f"the temperature is {temperature:.0f} K, above {self._heat:.0f} K"
        jump = 0.0 if before is None else EV * abs(energy - before) / len(atoms)
        if jump > self._limits.jump:
            return (
                f"the potential energy changed by {jump:.3g} kcal/mol an atom in one step, more "
                f"than {self._limits.jump:g}"
            )
        if self._limits.bonds is None or not len(self._lengths):
            return None
        ratio = self._measure(atoms) / self._lengths
        low, high = self._limits.bonds
        worst = int(np.argmax(np.abs(np.log(ratio))))
        if low <= ratio.min() and ratio.max() <= high:
            return None
        first, second = int(self._pairs.first[worst]), int(self._pairs.second[worst])
        names = [symbols([atoms.numbers[atom]])[0] for atom in (first, second)]
        return (
            f"the bond of atoms {first} ({names[0]}) and {second} ({names[1]}) is "
            f"{ratio[worst] * self._lengths[worst]:.3g} A long, {ratio[worst]:.2f} times what it "
            "was at the start"
        )

    def begin(self, energy: float) -> None:
        """Compare the next energy with this one, in eV."""
        self._energy = energy

    def _measure(self, atoms: Any) -> Any:
        # Atoms are never put back into the cell, so a bond keeps its image.
        vectors = self._pairs.vectors(atoms.positions, np.array(atoms.cell))
        return np.linalg.norm(vectors, axis=1)
