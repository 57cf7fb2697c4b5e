"""Charges of atoms and what they do to each other, at charges that are held fixed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.checks import is_traced
from limbeck.functional.graph_sums import sum_to
from limbeck.functional.pair_potentials import (
    PairPotential,
    damped_coulomb,
    shifted_coulomb,
    shifted_coulomb_self,
)


class Electrostatics(NamedTuple):
    """What charges say of each other.

    Args:
        energy: share of each atom, ``(A,)``, in kcal/mol.
        potential: derivative of the energy by each charge, ``(A,)``, in kcal/mol/e.
        push: force that pushes the atoms of each pair apart, ``(P,)``, in kcal/mol/Angstrom.
    """

    energy: Tensor
    potential: Tensor
    push: Tensor


def balanced_charges(charges: Tensor, frame: Tensor, total: Tensor) -> Tensor:
    r"""Shift the charges of each frame alike, so that they sum to its total charge.

    .. math:: q_i = q'_i + \frac{1}{n} \Big(Q - \sum_j q'_j\Big)

    Args:
        charges: q' ``(A,)``, in e.
        frame: of each atom, ``(A,)``.
        total: Q of each frame, ``(N,)``, in e.

    Returns:
        ``(A,)``, in e.

    Example:
        >>> frame = torch.tensor([0, 0, 1])
        >>> balanced_charges(torch.zeros(3), frame, torch.tensor([1.0, -1.0]))
        tensor([ 0.5000,  0.5000, -1.0000])

    Source: BAMBOO, arXiv 2404.07181.
    """
    counts = sum_to(torch.ones_like(charges), frame, total.shape[0])
    missing = (total - sum_to(charges, frame, total.shape[0])) / counts
    return charges + missing.index_select(0, frame)


def coulomb_of_pairs(
    distance: Tensor, periodic: Tensor, *, cutoff: float, splitting: float
) -> PairPotential:
    """Electrostatics of two unit charges: damped in clusters, of a shifted sum in periodic frames.

    Args:
        distance: of each pair, ``(P,)``, in Angstrom.
        periodic: whether its frame is periodic, ``(P,)``.
        cutoff: of periodic frames, in Angstrom.
        splitting: of periodic frames, in 1/Angstrom; see `shifted_coulomb`.

    Returns:
        Energy and force of each pair, ``(P,)``.

    Example:
        >>> distance, both = torch.tensor([12.0, 12.0]), torch.tensor([False, True])
        >>> coulomb_of_pairs(distance, both, cutoff=10.0, splitting=0.2).energy.round(decimals=2)
        tensor([27.6700,  0.0000])

    Source: BAMBOO, arXiv 2404.07181; see `shifted_coulomb` for periodic frames.
    """
    known = not is_traced(periodic)
    if known and not bool(periodic.any()):
        return damped_coulomb(distance)
    shifted = shifted_coulomb(distance, cutoff=cutoff, splitting=splitting)
    if known and bool(periodic.all()):
        return shifted
    damped = damped_coulomb(distance)
    pairs = (torch.where(periodic, *both) for both in zip(shifted, damped, strict=True))
    return PairPotential(*pairs)


def charge_interaction(
    charges: Tensor,
    pairs: Tensor,
    unit: PairPotential,
    periodic: Tensor,
    *,
    cutoff: float,
    splitting: float,
) -> Electrostatics:
    r"""Energy, potentials and pair forces of charges, from what unit charges do.

    .. math:: E = \sum_{ij} q_i q_j \phi_{ij} + \phi_0 \sum_i q_i^2

    with :math:`\phi_0` of `shifted_coulomb_self` for atoms of periodic frames.

    Args:
        charges: q ``(A,)``, in e.
        pairs: both atoms of each pair, each pair once, ``(2, P)``.
        unit: :math:`\phi` and its force, see `coulomb_of_pairs`.
        periodic: whether the frame of an atom is periodic, ``(A,)``.
        cutoff: as in `coulomb_of_pairs`.
        splitting: as in `coulomb_of_pairs`.

    Returns:
        Energy and potential of atoms, push of pairs.

    Example:
        >>> unit = PairPotential(torch.tensor([10.0]), torch.tensor([2.0]))
        >>> pairs, charges = torch.tensor([[0], [1]]), torch.tensor([1.0, -1.0])
        >>> cluster = torch.tensor([False, False])
        >>> charge_interaction(charges, pairs, unit, cluster, cutoff=10.0, splitting=0.2).energy
        tensor([-5., -5.])

    Source: BAMBOO, arXiv 2404.07181; see `shifted_coulomb` for periodic frames.
    """
    first, second = pairs
    ours, theirs = charges.index_select(0, first), charges.index_select(0, second)
    felt = sum_to(unit.energy * theirs, first, charges.shape[0])
    felt = felt.index_add(0, second, unit.energy * ours)
    itself = 2 * shifted_coulomb_self(cutoff=cutoff, splitting=splitting)
    potential = felt + itself * torch.where(periodic, charges, 0.0)
    return Electrostatics(0.5 * charges * potential, potential, unit.force * ours * theirs)
