"""Molecular dynamics that go on in the same bits after any stop, and end before they explode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase.optimize import FIRE

from limbeck import keyed
from limbeck.bridges.ase.conditions import Conditions, draw_velocities
from limbeck.bridges.ase.guards import Guard, Limits
from limbeck.bridges.ase.trajectory import Record, Trajectory
from limbeck.errors import ArgumentError, DataError, Interrupted, NotFiniteError
from limbeck.fingerprint import fingerprint, fingerprint_of_object
from limbeck.functional.units import EV

Ensemble = Literal["nvt", "npt", "nve"]
# Steps from one state on disk to the next.
CHUNK = 500


def simulate(
    atoms: Any,
    calculator: Any,
    *,
    ensemble: Ensemble = "nvt",
    temperature: float = 300.0,
    pressure: float = 1.0,
    timestep: float = 0.5,
    steps: int = 1000,
    every: int = 10,
    seed: int = 0,
    relaxation: float = 0.2,
    barostat: float = 1.0,
    settling: float | None = None,
    limits: Limits | None = None,
    out: str | Path | None = None,
    progress: Any = None,
    stop: Any = None,
) -> Trajectory:
    r"""Move atoms by a force field.

    ``nvt`` is Langevin dynamics in the splitting BAOAB, whose positions have the right
    distribution to high order in the time step; ``npt`` adds Langevin-Hoover dynamics of the volume
    of a cell that keeps its shape, which samples the isothermal-isobaric ensemble (a Berendsen
    barostat does not: its volume hardly fluctuates); ``nve`` is velocity Verlet.

    With ``out`` a state is written every 500 steps, however far apart frames are, and at the end;
    a call with the same arguments goes on from it: in the same bits as one that was never stopped,
    where the calculator depends on positions alone. Draws are keyed by seed and step.

    Args:
        atoms: ASE's `Atoms` to start from, which stay as they are. Velocities that they have are
            kept; else they are drawn for the temperature, in ``nve`` without motion of the whole.
        calculator: of ASE.
        ensemble: ``"nvt"``, ``"npt"`` or ``"nve"``.
        temperature: in K.
        pressure: in atm.
        timestep: in fs.
        steps: how many.
        every: steps from one frame that is kept to the next.
        seed: of velocities and of the heat bath.
        relaxation: time in which the bath takes up a velocity, in ps.
        barostat: time in which the volume follows, in ps.
        settling: relax the atoms first, and move them for so many ps at constant volume, of which
            nothing is kept: a box that was just packed pushes with tens of thousands of atm, and
            let loose flies apart before its molecules have found their places. None begins with
            the atoms as they are, and so do atoms with velocities.
        limits: what ends a simulation early; None takes the defaults of `Limits`.
        out: folder for ``trajectory.xyz``, ``thermo.jsonl``, the state, and the last good frame of
            a simulation that was stopped.
        progress: has ``advance(steps, text)``.
        stop: has ``asked``; where that turns true, the state is saved and `Interrupted` raised.

    Returns:
        Frames, rows, and why it was stopped if it was: NaN, heat, a broken bond, a jump of the
        energy, or words of the force field. The last good step is there to look at.

    Raises:
        ArgumentError: a setting is outside its range, or ``npt`` has no cell or no stress.
        DataError: the force field cannot be used for the atoms at the start.
        RunError: ``out`` holds another simulation, or cannot be written.
        Interrupted: the user asked to stop, and the state was saved.

    Source: Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013); Quigley and Probert,
    J. Chem. Phys. 120, 11432 (2004).

    Example:
        >>> from ase.build import bulk
        >>> from ase.calculators.lj import LennardJones
        >>> argon = bulk("Ar", cubic=True) * 2
        >>> calculator = LennardJones(epsilon=0.0104, sigma=3.4, rc=8.0)
        >>> simulate(argon, calculator, temperature=40, timestep=2, steps=20)
        Trajectory(frames=3, steps=20)
    """
    given = Conditions(ensemble, temperature, pressure, timestep, relaxation, barostat)
    given.check(atoms, calculator)
    for name, count, least in (("steps", steps, 0), ("every", every, 1)):
        if type(count) is not int or count < least:
            raise ArgumentError(f"{name} is {count!r}, expected a whole number of at least {least}")
    allowed = limits or Limits()
    settles = settling is not None and not np.any(atoms.get_momenta())
    moving = relaxed(atoms, calculator) if settles else atoms.copy()
    key = keyed.key(seed, "dynamics")
    guard = Guard(moving, allowed, temperature)
    record = Record(
        None if out is None else Path(out),
        fingerprint(
            [given, every, seed, allowed, settling], _content(moving), _calculator_name(calculator)
        ),
    )
    done, momentum, stopped = record.restore(moving)
    if done == 0:
        if settles and settling:
            moving, stopped = _settled(moving, calculator, given, settling, seed, allowed)
        if not np.any(moving.get_momenta()):
            draws = keyed.key(key, "velocities")
            draw_velocities(moving, temperature, draws, still=given.is_still(moving))
        moving.calc = calculator
        _forget(calculator)
        record.add(moving, given.row(moving, 0))
        if stopped is not None:
            record.save(moving, 0, 0.0, stopped)
    elif progress is not None:
        progress.advance(min(done, steps))
    moving.calc = calculator
    while done < steps and stopped is None:
        begun, last = done, min(done - done % CHUNK + CHUNK, steps)
        _forget(calculator)
        guard.begin(float(moving.get_potential_energy()))
        mover = given.integrator(moving, keyed.key(key, "bath", done), momentum)
        done, stopped = _advance(mover, moving, given, guard, record, done, last, every)
        momentum = float(getattr(mover, "p_eps", 0.0))
        record.save(moving, done, momentum, stopped)
        if progress is not None:
            row = record.rows[-1]
            words = f"{row['temperature_k']:.0f} K {row['potential_kcal_mol']:.4g} kcal/mol"
            progress.advance(done - begun, words)
        if stop is not None and stop.asked and done < steps and stopped is None:
            raise Interrupted(f"stopped at step {done} of {steps}; the state is saved in {out}")
    moving.calc = None
    return record.trajectory(moving, done, stopped)


def relaxed(atoms: Any, calculator: Any, *, force: float = 40.0, steps: int = 200) -> Any:
    """Move atoms downhill until none is pushed away by another, before dynamics begin.

    Args:
        atoms: ASE's `Atoms`, which stay as they are.
        calculator: of ASE.
        force: largest that may be left, in kcal/mol/A; bonds pull about as much as the default at
            300 K. Far below it a force field is led to places that it has learned nothing of.
        steps: at most.

    Returns:
        The atoms where they came to, without velocities; where the force field breaks down on the
        way, the last place before that.

    Raises:
        DataError: the force field cannot be used for the atoms at the start.
    """
    moving = atoms.copy()
    moving.calc = calculator
    moving.get_forces()
    good = moving.positions.copy()
    try:
        for _ in FIRE(moving, logfile=None).irun(fmax=force / EV, steps=steps):
            good = moving.positions.copy()
    except (DataError, NotFiniteError):
        moving.positions = good
    moving.calc = None
    return moving


def _settled(
    atoms: Any, calculator: Any, given: Conditions, picoseconds: float, seed: int, limits: Limits
) -> tuple[Any, str | None]:
    """Atoms moved at constant volume, and why that broke off, if it did."""
    steps = round(1000 * picoseconds / given.timestep)
    path = simulate(
        atoms,
        calculator,
        temperature=given.temperature,
        timestep=given.timestep,
        steps=steps,
        every=max(steps, 1),
        seed=keyed.key(seed, "settling") % 2**31,
        limits=limits,
    )
    return path.atoms, path.stopped and f"while settling, {path.stopped}"


def _advance(
    mover: Any,
    atoms: Any,
    given: Conditions,
    guard: Guard,
    record: Record,
    step: int,
    last: int,
    every: int,
) -> tuple[int, str | None]:
    """Do steps up to the last of a chunk, or up to the last good one."""
    while step < last:
        good = (atoms.positions.copy(), atoms.get_momenta(), np.array(atoms.cell))
        try:
            mover.step()
            # What the step ended with; asking the atoms has ASE compare all of them once more.
            energy = float(atoms.calc.results["energy"])
            fault = guard.fault(atoms, energy, given.heat(atoms))
        except (DataError, NotFiniteError, FloatingPointError, np.linalg.LinAlgError) as error:
            fault = str(error)
        if fault is not None:
            atoms.set_cell(good[2], scale_atoms=False)
            atoms.positions = good[0]
            atoms.set_momenta(good[1])
            return step, f"after step {step + 1}: {fault}"
        step += 1
        if step % every == 0:
            record.add(atoms, given.row(atoms, step))
    return step, None


def _content(atoms: Any) -> list[Any]:
    """Everything of atoms that decides how they move."""
    return [
        atoms.numbers,
        atoms.positions,
        atoms.get_momenta(),
        atoms.get_masses(),
        np.array(atoms.cell),
        np.array(atoms.pbc),
        # What force fields take for the total charge and the spin.
        atoms.info.get("charge"),
        atoms.get_initial_charges(),
        atoms.get_initial_magnetic_moments(),
        [repr(one.todict()) for one in atoms.constraints],
    ]


def _calculator_name(calculator: Any) -> Any:
    """What stands for a calculator: its fingerprint, else its class, name and parameters."""
    own = getattr(calculator, "fingerprint", None)
    if own is not None:
        return own
    kind = type(calculator)
    said = {
        name: _readable(value)
        for name, value in (getattr(calculator, "parameters", None) or {}).items()
    }
    return [kind.__module__, kind.__qualname__, str(getattr(calculator, "name", "")), said]


def _readable(value: Any) -> str:
    try:
        return fingerprint_of_object(value)
    except ArgumentError:  # a connection, or a library's handle: its class is all there is
        return type(value).__qualname__


def _forget(calculator: Any) -> None:
    """Have a calculator begin from positions alone, as it would in a new process."""
    getattr(calculator, "forget", calculator.reset)()
