"""Force fields against an ensemble, or against their own past, on frames that have no labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.errors import ArgumentError
from limbeck.functional.forces import check_property_weights, property_error

BULK_WEIGHTS = {"energy": 0.01, "forces": 3.0, "virial": 0.01}


class EnsembleTarget(NamedTuple):
    """What an ensemble says on average, and how far its members are apart."""

    mean: Tensor
    deviation: Tensor


def ensemble_target(members: Tensor) -> EnsembleTarget:
    r"""Mean of what members say, and their standard deviation as uncertainty.

    .. math:: \bar F = \frac{1}{K} \sum_k F_k, \qquad
        s = \sqrt{\frac{1}{K - 1} \sum_k (F_k - \bar F)^2}

    Args:
        members: what each of K members says, ``(K, ...)``: energies, forces or virials.

    Returns:
        Mean and deviation, ``(...)``; one member has a deviation of 0.

    Raises:
        ArgumentError: there is no member.

    Example:
        >>> ensemble_target(torch.tensor([[1.0], [3.0], [5.0]]))
        EnsembleTarget(mean=tensor([3.]), deviation=tensor([2.]))

    Source: BAMBOO, arXiv 2404.07181.
    """
    if not members.ndim or not len(members):
        raise ArgumentError(
            f"members has shape {tuple(members.shape)}, expected (K, ...): one row a member"
        )
    mean = members.mean(0)
    if len(members) == 1:
        return EnsembleTarget(mean, torch.zeros_like(mean))
    return EnsembleTarget(mean, members.std(0))


def bulk_distillation_terms(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    counts: Tensor,
    *,
    weights: Mapping[str, float] = BULK_WEIGHTS,
) -> dict[str, Tensor]:
    """The terms of `bulk_distillation_loss` by name, each with its weight; their sum is the loss.

    Args:
        student: as in `bulk_distillation_loss`.
        teacher: as in `bulk_distillation_loss`.
        counts: as in `bulk_distillation_loss`.
        weights: as in `bulk_distillation_loss`.

    Returns:
        Scalars by name, a term for each weight above 0.

    Raises:
        ArgumentError: as in `bulk_distillation_loss`.

    Example:
        >>> student, teacher = {"energy": torch.tensor([10.0])}, {"energy": torch.zeros(1)}
        >>> bulk_distillation_terms(student, teacher, torch.tensor([4]), weights={"energy": 0.01})
        {'energy': tensor(0.2500)}

    Source: BAMBOO, arXiv 2404.07181.
    """
    check_property_weights(weights, BULK_WEIGHTS)
    terms = {}
    for name in BULK_WEIGHTS:
        if weights.get(name, 0) > 0:
            square = property_error(name, student, teacher, "teacher").square()
            if name != "forces":
                if len(square) != len(counts):
                    raise ArgumentError(
                        f"counts has shape {tuple(counts.shape)} and {name} "
                        f"{tuple(square.shape)}, expected the number of atoms of each frame"
                    )
                square = square / counts.to(square.dtype).reshape(-1, *[1] * (square.ndim - 1))
            terms[name] = weights[name] * square.mean()
    return terms


@loss(
    "bulk-forces",
    "Squared distance from the mean energies, forces and virials of an ensemble of force fields",
    student="energies and forces",
    teacher=("energies and forces",),
    source="arXiv 2404.07181",
)
def bulk_distillation_loss(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    counts: Tensor,
    *,
    weights: Mapping[str, float] = BULK_WEIGHTS,
) -> Tensor:
    r"""Squared distance of a student from an ensemble's mean on frames of molecular dynamics.

    .. math:: w_F \, \mathrm{mean}\big(\Delta F^2\big)
        + w_E \, \mathrm{mean}\big(\Delta E^2 / n\big)
        + w_W \, \mathrm{mean}\big(\Delta W^2 / n\big)

    The same holds a student to its own past, with weights of that use.

    Args:
        student: a network's outputs: ``"energy"`` ``(N,)``, ``"forces"`` ``(A, 3)``, ``"virial"``
            ``(N, 3, 3)``.
        teacher: the mean of the members, by the same names; see `ensemble_target`.
        counts: n, atoms of each frame ``(N,)``.
        weights: w by property; one that is missing is 0.

    Returns:
        A scalar.

    Raises:
        ArgumentError: shapes differ, a weight is unknown or below 0, a property with a weight is
            missing, the teacher requires grad, or an error is NaN.

    Example:
        >>> student, teacher = {"forces": torch.ones(4, 3)}, {"forces": torch.zeros(4, 3)}
        >>> bulk_distillation_loss(student, teacher, torch.tensor([4]), weights={"forces": 3.0})
        tensor(3.)

    Source: BAMBOO, arXiv 2404.07181.
    """
    terms = bulk_distillation_terms(student, teacher, counts, weights=weights)
    return torch.stack([*terms.values()]).sum()
