"""Pressure of atomic frames, and the loss that moves it to where densities are as measured."""

from __future__ import annotations

from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_no_grad, check_same_shape
from limbeck.functional.guards import check_numbers
from limbeck.functional.reductions import Reduction, reduce
from limbeck.functional.units import ATMOSPHERES


def virial_pressure(virial: Tensor, volume: Tensor) -> Tensor:
    r"""The part of the pressure that forces make: :math:`\mathrm{tr}(W) / (3 V)`.

    Args:
        virial: its trace ``(N,)``, sums of f · d, in kcal/mol.
        volume: ``(N,)``, in cubic Angstrom.

    Returns:
        ``(N,)``, in atm.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> import torch
        >>> round(virial_pressure(torch.tensor([3.0]), torch.tensor([1000.0])).item(), 3)
        68.568

    Source: BAMBOO, arXiv 2404.07181.
    """
    check_same_shape(virial, volume, ("virial", "volume"))
    return virial * (ATMOSPHERES / 3) / volume


@loss(
    "alignment-pressure",
    "Squared distance of a change of the pressure between molecules from the wanted one",
    student="virials",
    teacher=("virials",),
    labels=("pressure changes",),
    source="arXiv 2404.07181",
)
def alignment_pressure_loss(
    student_virial: Tensor,
    teacher_virial: Tensor,
    target: Tensor,
    *,
    volume: Tensor,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Squared distance of the change of pressure between molecules from the wanted one.

    .. math:: \Big(\frac{W - W_0}{3 V} - \Delta P\Big)^2

    A negative change draws molecules together: the density rises.

    Args:
        student_virial: W ``(N,)``, the sum of f · d over pairs of atoms of different molecules, in
            kcal/mol.
        teacher_virial: :math:`W_0` ``(N,)``, the same before alignment, without gradient.
        target: :math:`\Delta P` ``(N,)``, in atm.
        volume: V ``(N,)``, in cubic Angstrom.
        reduction: ``"mean"`` over frames, ``"sum"`` or ``"none"``.

    Returns:
        A scalar in atm², or ``(N,)`` with ``"none"``.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a result is NaN, or the reduction
            is unknown.

    Example:
        >>> import torch
        >>> same, volume = torch.tensor([5.0]), torch.tensor([1000.0])
        >>> alignment_pressure_loss(same, same, torch.tensor([-100.0]), volume=volume).item()
        10000.0

    Source: BAMBOO, arXiv 2404.07181.
    """
    check_same_shape(student_virial, teacher_virial, ("student_virial", "teacher_virial"))
    check_same_shape(student_virial, target, ("student_virial", "target"))
    check_no_grad(teacher_virial, "teacher_virial")
    change = virial_pressure(student_virial - teacher_virial, volume)
    value = (change - target).square()
    check_numbers(value, "student_virial, teacher_virial and target", "frames")
    return reduce(value, reduction)
