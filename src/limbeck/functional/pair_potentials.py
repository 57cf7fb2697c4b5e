"""Pair potentials with their forces in closed form: electrostatics and dispersion."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.checks import check_floating
from limbeck.errors import ArgumentError
from limbeck.functional.units import COULOMB

# Where softplus is a straight line to the last bit of float64.
STRAIGHT = 40.0
SHARPNESS, RADIUS = 18.7, 2.2
# Distance at which the dispersion of two touching atoms levels off, and the shape of its damping.
LEVELLED, NEAR, EXTRA, SPREAD = 4.5, 0.85, 0.82, 2.5


class PairPotential(NamedTuple):
    """Energy of each pair in kcal/mol, and the force that pushes its atoms apart, minus its slope
    in kcal/mol/Angstrom; negative where they attract each other. Both ``(P,)``."""

    energy: Tensor
    force: Tensor


def damped_coulomb(
    distance: Tensor,
    *,
    sharpness: float = SHARPNESS,
    radius: float = RADIUS,
    splitting: float | None = None,
) -> PairPotential:
    r"""Coulomb energy of two unit charges that levels off where atoms overlap.

    .. math:: E(r) = \frac{k_e}{r_0 (1 + s)}, \qquad
        s = \frac{1}{\beta} \log\big(1 + e^{\beta (r - r_0) / r_0}\big)

    which is :math:`k_e / r` a little above :math:`r_0` and :math:`k_e / r_0` below. Of charges
    q_i and q_j both results are multiplied by :math:`q_i q_j`.

    Args:
        distance: r ``(P,)``, above 0, in Angstrom.
        sharpness: :math:`\beta` above 0, of the step at the radius.
        radius: :math:`r_0` above 0, in Angstrom.
        splitting: :math:`\alpha` in 1/Angstrom, of the part that an Ewald sum leaves to the mesh:
            :math:`k_e (\mathrm{erfc}(\alpha r) - 1) / r` is added. None for the whole interaction.

    Returns:
        Energy in kcal/mol/e², force in kcal/mol/Angstrom/e².

    Raises:
        ArgumentError: distances are no floating-point numbers, or an option is not above 0.

    Example:
        >>> far = damped_coulomb(torch.tensor([10.0]))
        >>> round(far.energy.item(), 3), round(far.force.item(), 3)
        (33.206, 3.321)

    Source: BAMBOO, arXiv 2404.07181.
    """
    check_floating(distance, "distance")
    _check_positive(sharpness=sharpness, radius=radius)
    reduced = (distance - radius) / radius
    softened = radius * (1 + F.softplus(reduced, beta=sharpness, threshold=STRAIGHT))
    energy = COULOMB / softened
    force = torch.sigmoid(sharpness * reduced) * energy / softened
    if splitting is None:
        return PairPotential(energy, force)
    _check_positive(splitting=splitting)
    scaled = splitting * distance
    # What of a point charge is seen at once is erfc; the rest is taken off.
    hidden = COULOMB * torch.erf(scaled) / distance
    slope = COULOMB * (2 * splitting / math.sqrt(math.pi)) * torch.exp(-scaled.square())
    return PairPotential(energy - hidden, force - (hidden - slope) / distance)


def shifted_coulomb(
    distance: Tensor,
    *,
    cutoff: float,
    splitting: float = 0.2,
    sharpness: float = SHARPNESS,
    radius: float = RADIUS,
) -> PairPotential:
    r"""Electrostatics of periodic frames at a fixed cutoff: a damped-shifted-force (Wolf) sum.

    .. math:: E(r) = E_d(r) - k_e \Big(\frac{\mathrm{erf}(\alpha r)}{r}
        + \frac{\mathrm{erfc}(\alpha r_c)}{r_c} - g\,(r - r_c)\Big), \qquad
        g = \frac{\mathrm{erfc}(\alpha r_c)}{r_c^2}
        + \frac{2 \alpha}{\sqrt{\pi}} \frac{e^{-\alpha^2 r_c^2}}{r_c}

    with :math:`E_d` as in `damped_coulomb`. Energy and force go to 0 together at the cutoff and are
    0 beyond it, so that a force is minus the slope of the energy everywhere. Each charge is
    neutralised within its sphere; `shifted_coulomb_self` is what it sees of that itself.

    Args:
        distance: r ``(P,)``, above 0, in Angstrom; each pair of images is a pair.
        cutoff: :math:`r_c` in Angstrom, above twice the radius, where the damping is gone.
        splitting: :math:`\alpha` in 1/Angstrom.
        sharpness: :math:`\beta` of `damped_coulomb`.
        radius: :math:`r_0` of `damped_coulomb`.

    Returns:
        Energy in kcal/mol/e², force in kcal/mol/Angstrom/e².

    Raises:
        ArgumentError: distances are no floating-point numbers, or an option is outside its range.

    Example:
        >>> both = shifted_coulomb(torch.tensor([10.0, 12.0]), cutoff=10.0)
        >>> both.energy.abs().amax().item() < 1e-4, both.force[1].item()
        (True, 0.0)

    Source: Fennell and Gezelter, J. Chem. Phys. 124, 234104 (2006), eq. 18; Wolf et al.,
    J. Chem. Phys. 110, 8254 (1999); damping BAMBOO, arXiv 2404.07181.
    """
    _check_cutoff(cutoff, radius)
    near = damped_coulomb(distance, sharpness=sharpness, radius=radius, splitting=splitting)
    shift, slope = _at_cutoff(cutoff, splitting)
    inside = distance < cutoff
    energy = near.energy - COULOMB * shift + (COULOMB * slope) * (distance - cutoff)
    return PairPotential(
        torch.where(inside, energy, 0.0),
        torch.where(inside, near.force - COULOMB * slope, 0.0),
    )


def shifted_coulomb_self(*, cutoff: float, splitting: float = 0.2) -> float:
    r"""What a unit charge adds to the energy of a `shifted_coulomb` sum by itself.

    .. math:: -k_e \Big(\frac{\alpha}{\sqrt{\pi}} + \frac{\mathrm{erfc}(\alpha r_c)}{2 r_c}
        + \frac{g\, r_c}{2}\Big)

    which is half of what the shifted interaction has beyond :math:`1/r` at distance 0. It does not
    depend on positions, so it has no force; multiply it by :math:`\sum_i q_i^2`.

    Args:
        cutoff: :math:`r_c` in Angstrom.
        splitting: :math:`\alpha` in 1/Angstrom.

    Returns:
        In kcal/mol/e².

    Raises:
        ArgumentError: an option is not above 0.

    Example:
        >>> round(shifted_coulomb_self(cutoff=10.0), 3)
        -38.311

    Source: Fennell and Gezelter, J. Chem. Phys. 124, 234104 (2006); Wolf et al., J. Chem. Phys.
    110, 8254 (1999), eq. 5.13, with the shift of the force.
    """
    _check_positive(cutoff=cutoff, splitting=splitting)
    shift, slope = _at_cutoff(cutoff, splitting)
    return -COULOMB * (splitting / math.sqrt(math.pi) + 0.5 * shift + 0.5 * slope * cutoff)


def cso_dispersion(
    distance: Tensor, c6: Tensor, radius: Tensor, *, cutoff: float = 10.0
) -> PairPotential:
    r"""Dispersion energy with the damping of D3-CSO.

    .. math:: E(r) = -\frac{C_6}{r^6 + 4.5^6} \Big(0.85
        + \frac{0.82}{1 + e^{r - 2.5 R_0}}\Big) + \frac{C_6}{r_c^6}

    The constant brings the energy near 0 at the cutoff, from where on pairs are to be left out.

    Args:
        distance: r ``(P,)``, in Angstrom.
        c6: C_6 of each pair ``(P,)``, the geometric mean of both elements, in kcal/mol Angstrom^6.
        radius: R_0 of each pair ``(P,)``, the arithmetic mean of both elements, in Angstrom.
        cutoff: :math:`r_c` in Angstrom.

    Returns:
        Energy in kcal/mol, force in kcal/mol/Angstrom.

    Raises:
        ArgumentError: shapes differ, distances are no floating-point numbers, or the cutoff is not
            above 0.

    Example:
        >>> near = cso_dispersion(*torch.tensor([[3.0], [500.0], [2.2]]))
        >>> round(near.energy.item(), 4), near.force.item() < 0
        (-0.0885, True)

    Source: Schröder, Creon and Schwabe, J. Chem. Theory Comput. 11, 3163 (2015); as in BAMBOO,
    arXiv 2404.07181.
    """
    check_floating(distance, "distance")
    _check_positive(cutoff=cutoff)
    if not distance.shape == c6.shape == radius.shape:
        raise ArgumentError(
            f"distance has shape {tuple(distance.shape)}, c6 {tuple(c6.shape)} and radius "
            f"{tuple(radius.shape)}, expected one shape: one number a pair"
        )
    sixth = distance**6
    level = 1 / (sixth + LEVELLED**6)
    step = torch.sigmoid(SPREAD * radius - distance)
    damping = NEAR + EXTRA * step
    energy = c6 * (cutoff**-6 - level * damping)
    slope = c6 * level * (6 * level * (sixth / distance) * damping + EXTRA * step * (1 - step))
    return PairPotential(energy, -slope)


def _at_cutoff(cutoff: float, splitting: float) -> tuple[float, float]:
    """What erfc(a r) / r is at the cutoff, and minus its slope there."""
    shift = math.erfc(splitting * cutoff) / cutoff
    bell = math.exp(-((splitting * cutoff) ** 2))
    return shift, shift / cutoff + 2 * splitting / math.sqrt(math.pi) * bell / cutoff


def _check_cutoff(cutoff: float, radius: float) -> None:
    _check_positive(cutoff=cutoff)
    if not cutoff >= 2 * radius:
        raise ArgumentError(
            f"cutoff is {cutoff} and radius {radius}, expected a cutoff of at least twice the "
            "radius: the damping must be gone where the sum ends"
        )


def _check_positive(**options: float) -> None:
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ArgumentError(f"{name} is {value}, expected a finite number above 0")
