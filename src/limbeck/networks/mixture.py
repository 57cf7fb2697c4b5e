"""Mixture: the denoiser that knows its data are Gaussians, in closed form and without weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from limbeck.data.problems import MIXTURES, Mixture
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, UnknownNameError, nearest
from limbeck.functional.diffusion import per_sample
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.making import mark
from limbeck.networks.noise_schedule import Kind, NoiseSchedule


class MixtureNetwork(nn.Module):
    r"""The mean of the clean samples that a noised sample may come from.

    .. math:: E[x_0 | x_t] = \sum_m p(m | x_t) \Big( \mu_m + \frac{\alpha d^2}
        {\alpha^2 d^2 + \sigma^2} (x_t - \alpha \mu_m) \Big)

    Args:
        mixture: the modes, their deviation d and their classes.
        schedule: that reads time as levels.
        name: what to call the mixture.

    Example:
        >>> network = MixtureNetwork(MIXTURES["ring8-2c"], NoiseSchedule(), "ring8-2c")
        >>> network(torch.zeros(1, 2), torch.ones(1), torch.tensor([2])).abs().max() < 1e-6
        tensor(True)

    Source: Bayes' rule with x_t normal in every mode; Karras et al., arXiv 2206.00364, appendix
    B.3, has the same for points.
    """

    def __init__(self, mixture: Mixture, schedule: NoiseSchedule, name: str) -> None:
        super().__init__()
        self.mixture, self.schedule, self.name = mixture, schedule, name
        labels: list[int | None] = [*range(mixture.count), None]
        # By the id of the condition: all classes, and the null condition behind them.
        self.shares = torch.stack([mixture.shares(label) for label in labels])

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map samples ``(N, D)``, times and classes ``(N,)`` to x0 ``(N, D)``; None is all."""
        alpha, sigma = self.schedule.alpha_sigma(self.schedule.level_at(time))
        x_t, variance = x.double(), self.mixture.deviation**2
        a = per_sample(alpha, x_t)
        means, shares = self.mixture.means.to(x.device), self.shares.to(x.device)
        away = x_t[:, None] - a[..., None] * means
        spread = a.square() * variance + per_sample(sigma, x_t).square()
        weight = shares[-1] if condition is None else shares[condition]
        odds = weight.log() - away.square().sum(-1) / (2 * spread)
        modes = means + (a * variance / spread)[..., None] * away
        return (odds.softmax(-1)[..., None] * modes).sum(1).to(x.dtype)

    def extra_repr(self) -> str:
        return f"of={self.name}, {self.schedule}"


def mixture(
    space: InputSpace, outputs: int, *, of: str, schedule: Kind = "flow", shift: float = 1.0
) -> nn.Module:
    """Make the exact denoiser of a set of points that are Gaussians.

    It predicts x0, is computed in float64, and has nothing to train.

    Args:
        space: of the points.
        outputs: classes of the data.
        of: name of the data, such as ``ring8-2c``.
        schedule: ``flow``, ``vp`` or ``edm``.
        shift: of flow matching.

    Returns:
        The denoiser.

    Raises:
        UnknownNameError: the data are no Gaussians, or unknown.
        ArgumentError: points or classes are others than those of the data.

    Example:
        >>> exact = mixture(InputSpace((2,)), 2, of="ring8-2c")
        >>> exact.predict(torch.tensor([[1.5, 0.0]]), 0.0, torch.tensor([0])).tolist()
        [[1.5, 0.0]]
    """
    if of not in MIXTURES:
        raise UnknownNameError(f"of is {of!r}, which is no mixture of Gaussians; "
                               f"{nearest(of, MIXTURES)}")  # fmt: skip
    known = MIXTURES[of]
    shape = (known.means.shape[1],)
    if space.shape != shape or outputs != known.count:
        raise ArgumentError(
            f"inputs have shape {space.shape} in {outputs} classes, and {of} has {shape} in "
            f"{known.count}; give data={of}"
        )
    levels = NoiseSchedule(schedule, shift=shift)
    network = MixtureNetwork(known, levels, of)
    denoiser = Denoiser(network, levels, prediction="x0", shape=shape, conditions=outputs)
    return mark(denoiser, fresh=False)


MIXTURE: dict[str, Callable[..., nn.Module]] = {"mixture": mixture}
