"""How good a force field is: errors of forces, energies, charges and dipoles, with units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn

from limbeck.data.elements import symbols
from limbeck.data.frames import LABELS, Floats, Frames
from limbeck.errors import ArgumentError, NotFiniteError
from limbeck.loops.force_fields import predicted

Figures = dict[str, float]


def answers(model: nn.Module, frames: Frames, *, batch_size: int = 32) -> Frames:
    """What a force field says of frames, as frames with its labels.

    Args:
        model: takes a graph to labels by name; has ``cutoff`` and ``pair_cutoff``.
        frames: N of any kind.
        batch_size: frames at once.

    Returns:
        The frames, their labels those of the model, in double precision.

    Raises:
        NotFiniteError: the model says NaN.
    """
    said = predicted(model, frames, batch_size)
    labels = {name: value.numpy() for name, value in said.items() if name in LABELS}
    for name, value in labels.items():
        if not np.isfinite(value).all():
            raise NotFiniteError(f"the model says {name} that are not finite; did it diverge?")
    return frames.replace(**{name: labels.get(name) for name in LABELS})


def force_quality(said: Frames, told: Frames) -> Figures:
    """Errors of a force field against labels.

    Args:
        said: N frames as `answers` gives them.
        told: the same frames with labels.

    Returns:
        By name: ``force_rmse_kcal_mol_a`` over all components; ``force_mae_kcal_mol_a``;
        ``force_zero_rmse_kcal_mol_a``, that of saying 0; ``force_rmse_frame_median_kcal_mol_a``
        and ``..._frame_worst_...`` of single frames; ``energy_rmse_kcal_mol_atom``, of energies
        for an atom, after the mean error is taken off, ``energy_rmse_absolute_kcal_mol_atom``
        without that; and where both sides have them ``charge_rmse_e``, ``dipole_rmse_debye``.

    Raises:
        ArgumentError: the frames differ, or have no forces.

    Example:
        >>> told = Frames(
        ...     [8, 1], np.eye(2, 3), [2], energy=[-90.0], forces=[[0, 0, 3.0], [0, 0, -3.0]]
        ... )
        >>> said = told.replace(forces=told.forces / 2)
        >>> {name: round(value, 4) for name, value in force_quality(said, told).items()}[
        ...     "force_rmse_kcal_mol_a"
        ... ]
        0.866
    """
    if not np.array_equal(said.species, told.species) or not np.array_equal(
        said.counts, told.counts
    ):
        raise ArgumentError(f"said are {said} and told are {told}, expected the same frames")
    if said.forces is None or told.forces is None:
        raise ArgumentError("said and told must both have forces; label the frames first")
    errors = said.forces - told.forces
    frames = np.sqrt(_by_frame(np.square(errors).mean(1), told))
    figures = {
        "force_rmse_kcal_mol_a": _rms(errors),
        "force_mae_kcal_mol_a": float(np.abs(errors).mean()),
        "force_zero_rmse_kcal_mol_a": _rms(told.forces),
        "force_rmse_frame_median_kcal_mol_a": float(np.median(frames)),
        "force_rmse_frame_worst_kcal_mol_a": float(frames.max()),
    }
    if said.energy is not None and told.energy is not None:
        each = (said.energy - told.energy) / told.counts
        figures["energy_rmse_kcal_mol_atom"] = _rms(each - each.mean())
        figures["energy_rmse_absolute_kcal_mol_atom"] = _rms(each)
    for name, figure in (("charges", "charge_rmse_e"), ("dipole", "dipole_rmse_debye")):
        ours, theirs = getattr(said, name), getattr(told, name)
        if ours is not None and theirs is not None:
            figures[figure] = _rms(ours - theirs)
    return figures


def force_rmse_by_element(said: Frames, told: Frames) -> Mapping[str, float]:
    """Root mean square error of forces on each element in kcal/mol/A, by symbol."""
    errors = np.asarray(said.forces) - np.asarray(told.forces)
    return {symbols([number])[0]: _rms(errors[told.species == number]) for number in told.elements}


def spread(members: list[Frames]) -> Figures:
    """How far members of an ensemble are apart, as a sign of what it does not know.

    Args:
        members: what each of at least two says of the same frames.

    Returns:
        ``force_spread_kcal_mol_a``, the root mean square over components of the deviation among
        members (with one less than their number), and ``energy_spread_kcal_mol_atom``.

    Raises:
        ArgumentError: there are fewer than two members.
    """
    if len(members) < 2:
        raise ArgumentError(f"there are {len(members)} members, expected at least 2")
    forces = np.stack([np.asarray(one.forces) for one in members])
    energies = np.stack([np.asarray(one.energy) / one.counts for one in members])
    return {
        "force_spread_kcal_mol_a": float(np.sqrt(forces.var(0, ddof=1).mean())),
        "energy_spread_kcal_mol_atom": float(np.sqrt(energies.var(0, ddof=1).mean())),
    }


def _by_frame(values: Floats, frames: Frames) -> Floats:
    """Mean over the atoms of each frame."""
    return np.add.reduceat(values, frames.bounds[:-1]) / frames.counts


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.square(values).mean()))
