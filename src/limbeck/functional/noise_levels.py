"""Noise levels of diffusion and flow models: schedules, and what networks need at a level."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError
from limbeck.functional.guards import widened

Betas = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]


class Preconditioning(NamedTuple):
    """What a network's input, output and time are multiplied by or set to, each ``(N,)``."""

    skip: Tensor
    out: Tensor
    input: Tensor
    noise: Tensor


def beta_schedule(
    name: Betas, *, steps: int = 1000, start: float = 1e-4, end: float = 0.02
) -> Tensor:
    """Variances that each step of a discrete diffusion adds.

    Args:
        name: ``"linear"`` from `start` to `end`; ``"scaled_linear"``, whose roots are linear;
            ``"squaredcos_cap_v2"``, a squared cosine that needs neither.
        steps: K, how many.
        start: the first, above 0.
        end: the last, below 1.

    Returns:
        Variances ``(K,)`` in float64.

    Raises:
        ArgumentError: the name is unknown, there is no step, or `start` and `end` are not between
            0 and 1 in this order.

    Example:
        >>> beta_schedule("linear", steps=3, start=0.1, end=0.3).tolist()
        [0.1, 0.2, 0.3]

    Source: Ho et al., arXiv 2006.11239; Nichol and Dhariwal, arXiv 2102.09672 (the cosine).
    """
    check_choice(name, "name", get_args(Betas))
    if steps < 1:
        raise ArgumentError(f"steps is {steps}, expected at least 1")
    if not 0 < start <= end < 1:
        raise ArgumentError(f"start is {start} and end is {end}, expected 0 < start <= end < 1")
    if name == "linear":
        return torch.linspace(start, end, steps, dtype=torch.float64)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64).square()
    places = torch.arange(steps + 1, dtype=torch.float64) / steps
    kept = ((places + 0.008) / 1.008 * math.pi / 2).cos().square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


def vp_alpha_sigma(betas: Tensor) -> tuple[Tensor, Tensor]:
    r"""Scale of sample and noise after each step of a variance-preserving diffusion.

    .. math:: \alpha_k = \sqrt{\prod_{i \le k} (1 - \beta_i)}, \quad \sigma_k = \sqrt{1-\alpha_k^2}

    Args:
        betas: such as `beta_schedule`, ``(K,)``.

    Returns:
        alpha and sigma, ``(K,)`` each; place 0 is the least noisy.

    Raises:
        ArgumentError: `betas` is not one number a step.

    Example:
        >>> alpha, sigma = vp_alpha_sigma(torch.tensor([0.36, 0.0]))
        >>> [round(one, 4) for one in (*alpha.tolist(), *sigma.tolist())]
        [0.8, 0.8, 0.6, 0.6]

    Source: Ho et al., arXiv 2006.11239, equation 4.
    """
    if betas.ndim != 1 or not betas.is_floating_point():
        raise ArgumentError(
            f"betas has shape {tuple(betas.shape)} and dtype {betas.dtype}, expected "
            "floating-point numbers (K,)"
        )
    kept = (1 - widened(betas)).cumprod(0)
    return kept.sqrt(), (1 - kept).sqrt()


def karras_sigmas(
    count: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Tensor:
    r"""Noise levels whose roots of order rho are evenly spread, in increasing order.

    .. math:: \sigma_i = \big( \sigma_{min}^{1/\rho} +
        \tfrac{i}{n-1} (\sigma_{max}^{1/\rho} - \sigma_{min}^{1/\rho}) \big)^\rho

    Args:
        count: n, at least 2.
        sigma_min: the lowest level, above 0.
        sigma_max: the highest.
        rho: the larger, the denser the low levels.

    Returns:
        Levels ``(n,)`` in float64.

    Raises:
        ArgumentError: an option is outside its range.

    Example:
        >>> [round(one, 3) for one in karras_sigmas(3).tolist()]
        [0.002, 2.515, 80.0]

    Source: Karras et al., arXiv 2206.00364, equation 5, turned round.
    """
    if count < 2 or not 0 < sigma_min < sigma_max < math.inf or not 0 < rho < math.inf:
        raise ArgumentError(
            f"count is {count}, sigma_min {sigma_min}, sigma_max {sigma_max} and rho {rho}, "
            "expected count of at least 2, 0 < sigma_min < sigma_max and rho above 0"
        )
    ends = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigmas = torch.linspace(*ends, count, dtype=torch.float64).pow(rho)
    sigmas[0], sigmas[-1] = sigma_min, sigma_max  # without what the powers round off
    return sigmas


def shift_levels(t: Tensor | float, shift: float) -> Tensor | float:
    """Move the levels of a flow towards noise: ``c t / (1 + (c - 1) t)``.

    Args:
        t: levels from 0 to 1, any shape or one number.
        shift: c above 0; 1 leaves the levels as they are.

    Returns:
        The same shape; 0 stays 0 and 1 stays 1.

    Raises:
        ArgumentError: `shift` is not above 0.

    Example:
        >>> shift_levels(torch.tensor([0.0, 0.5, 1.0]), 3.0).tolist()
        [0.0, 0.75, 1.0]

    Source: Esser et al., arXiv 2403.03206, equation 23.
    """
    if not 0 < shift < math.inf:
        raise ArgumentError(f"shift is {shift}, expected a finite number above 0")
    # The usual one, of which every evaluation of a denoiser asks twice.
    return t if shift == 1 else shift * t / (1 + (shift - 1) * t)


def precondition(sigma: Tensor, *, sigma_data: float = 0.5) -> Preconditioning:
    r"""Factors that give a network inputs and targets of unit size at every level.

    The denoised sample is :math:`c_{skip} x + c_{out} F(c_{in} x, c_{noise})` with

    .. math:: d = \sigma^2 + \sigma_d^2, \quad c_{skip} = \sigma_d^2 / d, \quad
        c_{out} = \sigma \sigma_d / \sqrt d, \quad c_{in} = 1 / \sqrt d, \quad
        c_{noise} = \tfrac14 \ln \sigma

    Args:
        sigma: levels ``(N,)``, above 0.
        sigma_data: standard deviation of the data, above 0.

    Returns:
        ``skip, out, input, noise``, each of the shape of `sigma`.

    Raises:
        ArgumentError: `sigma_data` is not above 0.

    Example:
        >>> [round(one.item(), 3) for one in precondition(torch.tensor([1.0]), sigma_data=1.0)]
        [0.5, 0.707, 0.707, 0.0]

    Source: Karras et al., arXiv 2206.00364, table 1.
    """
    if not 0 < sigma_data < math.inf:
        raise ArgumentError(f"sigma_data is {sigma_data}, expected a finite number above 0")
    total = sigma.square() + sigma_data**2
    root = total.sqrt()
    return Preconditioning(
        skip=sigma_data**2 / total, out=sigma * sigma_data / root, input=1 / root,
        noise=sigma.log() / 4,
    )  # fmt: skip
