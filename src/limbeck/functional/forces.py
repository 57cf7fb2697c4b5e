"""Force fields against labels: errors of each property, and the loss of a member in training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_no_grad, check_same_shape
from limbeck.errors import ArgumentError, nearest
from limbeck.functional.guards import check_numbers

LABEL_WEIGHTS = {"energy": 0.01, "forces": 0.3, "virial": 0.01, "charges": 10.0, "dipole": 10.0}


def force_field_errors(
    student: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    r"""Errors of each property for which there are labels, element by element.

    Of the energy it is what remains after the batch mean of both sides is taken off:

    .. math:: \Delta E_n = (E_n - \bar E) - (E^*_n - \bar E^*)

    so a batch of one frame has an energy error of 0.

    Args:
        student: a network's outputs: ``"energy"`` ``(N,)`` in kcal/mol, ``"forces"`` ``(A, 3)`` in
            kcal/mol/Angstrom, ``"virial"`` ``(N, 3, 3)`` in kcal/mol, ``"charges"`` ``(A,)`` in e,
            ``"dipole"`` ``(N, 3)`` in Debye.
        target: labels by the same names, those that there are.

    Returns:
        Errors by name, of the shape of each label.

    Raises:
        ArgumentError: no property has a label, the student lacks one, shapes differ, a label
            requires grad, or an error is NaN.

    Example:
        >>> student, target = {"energy": torch.tensor([3.0, 5.0])}, {"energy": torch.zeros(2)}
        >>> force_field_errors(student, target)["energy"].tolist()
        [-1.0, 1.0]

    Source: BAMBOO, arXiv 2404.07181.
    """
    found = {}
    for name in LABEL_WEIGHTS:
        if name in target:
            found[name] = property_error(name, student, target, "target")
    if not found:
        raise ArgumentError(
            f"target has {', '.join(map(repr, target)) or 'nothing'}, expected at least one of "
            f"{', '.join(map(repr, LABEL_WEIGHTS))}"
        )
    if "energy" in found:
        found["energy"] = found["energy"] - found["energy"].mean()
    return found


def force_field_terms(
    student: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] = LABEL_WEIGHTS,
    response_weight: float = 300.0,
) -> dict[str, Tensor]:
    """The terms of `force_field_loss` by name, each with its weight; their sum is the loss.

    Args:
        student: as in `force_field_loss`.
        target: as in `force_field_loss`.
        weights: as in `force_field_loss`.
        response_weight: as in `force_field_loss`.

    Returns:
        Scalars: a term for each label with a weight above 0, and ``"charge_response"`` where
        `response_weight` is above 0.

    Raises:
        ArgumentError: as in `force_field_loss`.

    Example:
        >>> outputs = {"energy": torch.tensor([0.0, 20.0])}
        >>> labels = {"energy": torch.zeros(2)}
        >>> force_field_terms(outputs, labels, response_weight=0)
        {'energy': tensor(1.)}

    Source: BAMBOO, arXiv 2404.07181.
    """
    check_property_weights(weights, LABEL_WEIGHTS)
    wanted = {name: target[name] for name in target if weights.get(name, 0) > 0}
    errors = force_field_errors(student, wanted)
    terms = {name: weights[name] * error.square().mean() for name, error in errors.items()}
    if response_weight < 0:
        raise ArgumentError(f"response_weight is {response_weight}, expected at least 0")
    if response_weight:
        if "charge_response" not in student:
            raise ArgumentError(
                "student has no 'charge_response'; a network says it in training mode: call "
                "network.train(), or pass response_weight=0"
            )
        terms["charge_response"] = response_weight * student["charge_response"].square().mean()
    return terms


@loss(
    "force-field",
    "Squared errors of energies, forces, charges and dipoles, and of charges that are out of rest",
    student="energies and forces",
    labels=("energies and forces",),
    source="arXiv 2404.07181",
)
def force_field_loss(
    student: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] = LABEL_WEIGHTS,
    response_weight: float = 300.0,
) -> Tensor:
    r"""Weighted squared errors of what labels say, plus forces that charges out of rest would have.

    .. math:: \sum_p w_p \, \mathrm{mean}\big(\Delta_p^2\big) + w_q \, \mathrm{mean}\big(f_q^2\big)

    with :math:`\Delta_p` of `force_field_errors` and :math:`f_q` the force through the charges,
    which forces at fixed charges leave out.

    Args:
        student: a network's outputs in training mode, see `force_field_errors`, and
            ``"charge_response"`` ``(A, 3)`` in kcal/mol/Angstrom.
        target: labels by the same names; those that are missing do not count.
        weights: w by property; one that is missing is 0.
        response_weight: :math:`w_q`, at least 0.

    Returns:
        A scalar.

    Raises:
        ArgumentError: no property has a label and a weight, shapes differ, a weight is unknown or
            below 0, a label requires grad, or an error is NaN.

    Example:
        >>> outputs = {"forces": torch.ones(4, 3), "charge_response": torch.zeros(4, 3)}
        >>> labels = {"forces": torch.zeros(4, 3)}
        >>> round(force_field_loss(outputs, labels).item(), 4)
        0.3

    Source: BAMBOO, arXiv 2404.07181.
    """
    terms = force_field_terms(student, target, weights=weights, response_weight=response_weight)
    return torch.stack([*terms.values()]).sum()


def property_error(
    name: str, student: Mapping[str, Tensor], target: Mapping[str, Tensor], whose: str
) -> Tensor:
    """The difference of both sides in one property."""
    for side, said in ((student, "student"), (target, whose)):
        if name not in side:
            raise ArgumentError(
                f"{said} has no {name!r}, it has {', '.join(map(repr, side)) or 'nothing'}; give "
                f"it, or no weight to {name!r}"
            )
    names = (f"student[{name!r}]", f"{whose}[{name!r}]")
    check_same_shape(student[name], target[name], names)
    check_no_grad(target[name], names[1])
    error = student[name] - target[name]
    check_numbers(error, " and ".join(names), "places")
    return error


def check_property_weights(weights: Mapping[str, float], known: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if name not in known:
            raise ArgumentError(f"weights has no use for {name!r}; {nearest(name, known)}")
        if not weight >= 0:
            raise ArgumentError(f"weights[{name!r}] is {weight}, expected at least 0")
    if not any(weights.values()):
        raise ArgumentError("weights has nothing above 0, expected at least one property to count")
