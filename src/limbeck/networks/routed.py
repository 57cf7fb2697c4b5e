"""Routed: several denoisers, each for its own range of noise levels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from limbeck.errors import ArgumentError
from limbeck.functional.diffusion import Prediction
from limbeck.networks.denoiser import Denoiser, levels_of
from limbeck.networks.noise_schedule import NoiseSchedule

if TYPE_CHECKING:
    from limbeck.data.data import Data


class Routed(nn.Module):
    """Denoisers called as one: the level of a sample chooses who is asked.

    The first expert has the levels above the first bound. A bound itself belongs to the next,
    cleaner expert: its first step starts there.

    Args:
        experts: K, from the noisiest to the cleanest, alike in all but their networks.
        bounds: K - 1 levels between 1 and 0, descending.

    Raises:
        ArgumentError: there is no expert, bounds do not fit, or experts differ in schedule, shape,
            classes or prediction.

    Example:
        >>> class Constant(nn.Module):
        ...     def __init__(self, value):
        ...         super().__init__()
        ...         self.value = value
        ...     def forward(self, x, time, condition):
        ...         return torch.full_like(x, self.value)
        >>> experts = [
        ...     Denoiser(Constant(value), NoiseSchedule(), prediction="x0", shape=(1,))
        ...     for value in (1.0, 2.0)
        ... ]
        >>> Routed(experts, (0.5,))(torch.zeros(3, 1), torch.tensor([1.0, 0.5, 0.2])).tolist()
        [[1.0], [2.0], [2.0]]

    Source: Balaji et al., arXiv 2211.01324 (experts by noise level).
    """

    def __init__(self, experts: Sequence[Denoiser], bounds: Sequence[float]) -> None:
        super().__init__()
        if not experts or len(bounds) != len(experts) - 1:
            raise ArgumentError(
                f"there are {len(experts)} experts and {len(bounds)} bounds, expected one bound "
                "between any two experts"
            )
        ends = (1.0, *bounds, 0.0)
        if any(above <= below for above, below in itertools.pairwise(ends)):
            raise ArgumentError(
                f"bounds are {tuple(bounds)}, expected descending levels below 1 and above 0"
            )
        _check_alike(experts)
        self.experts, self.bounds = nn.ModuleList(experts), tuple(bounds)

    @property
    def first(self) -> Denoiser:
        """The expert of the noisiest levels."""
        return cast(Denoiser, self.experts[0])

    @property
    def schedule(self) -> NoiseSchedule:
        """What levels mean."""
        return self.first.schedule

    @property
    def prediction(self) -> Prediction:
        """What the networks' output is."""
        return self.first.prediction

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.first.shape

    @property
    def conditions(self) -> int:
        """How many classes there are; 0 without conditions."""
        return self.first.conditions

    @property
    def conditional(self) -> bool:
        """Whether the networks take classes."""
        return self.first.conditional

    @property
    def null(self) -> int | None:
        """Id of the null condition, or None without conditions."""
        return self.first.null

    def alpha_sigma(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Shares of signal and noise at levels `t`; see `NoiseSchedule.alpha_sigma`."""
        return self.schedule.alpha_sigma(t)

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor] | None:
        """As of the experts; see `Denoiser.rates`."""
        return self.first.rates(t)

    def loss_weight(self, sigma: Tensor) -> Tensor | None:
        """As of the experts; see `Denoiser.loss_weight`."""
        return self.first.loss_weight(sigma)

    def check_data(self, data: Data, name: str) -> None:
        """Raise `ModelError` unless the experts take samples of some data and its classes."""
        self.first.check_data(data, name)

    def expert_of(self, t: Tensor | float) -> Tensor:
        """Number of the expert that has the levels `t`, int64 in the shape of `t`.

        Example:
            >>> from limbeck.networks.denoisers import denoiser_mlp
            >>> from limbeck.data.space import InputSpace
            >>> experts = [denoiser_mlp(InputSpace((2,)), 1, width=4) for _ in range(2)]
            >>> Routed(experts, (0.5,)).expert_of(torch.tensor([0.6, 0.5])).tolist()
            [0, 1]
        """
        # In single precision on both sides: a level of 0.3 is as often a float32 as not.
        levels = torch.as_tensor(t, dtype=torch.float32)
        bounds = torch.tensor(self.bounds, dtype=torch.float32, device=levels.device)
        return (levels[..., None] <= bounds).sum(-1)

    def predict(
        self,
        x_t: Tensor,
        t: Tensor | float,
        condition: Tensor | None = None,
        as_: Prediction | None = "x0",
        guidance: float = 1.0,
    ) -> Tensor:
        """The prediction in any form, the clean sample by default; see `forward`."""
        return self(x_t, t, condition, as_=as_, guidance=guidance)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor | float,
        condition: Tensor | None = None,
        as_: Prediction | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Ask each expert about the samples at its levels; who has none is not asked.

        Args:
            x_t: ``(N, *shape)``.
            t: levels from 0 to 1, ``(N,)`` or one for all.
            condition: as in `Denoiser.forward`.
            as_: as in `Denoiser.forward`.
            guidance: as in `Denoiser.forward`.

        Returns:
            ``(N, *shape)`` in the dtype of `x_t`.

        Raises:
            ArgumentError: as in `Denoiser.forward`.
        """
        levels = levels_of(t, x_t)
        chosen = self.expert_of(levels)
        numbers = sorted(set(chosen.tolist()))
        if len(numbers) < 2:
            expert = self.experts[numbers[0] if numbers else 0]
            return expert(x_t, levels, condition, as_=as_, guidance=guidance)
        rows, answers = [], []
        for number in numbers:
            own = (chosen == number).nonzero()[:, 0]
            told = None if condition is None else condition[own.to(condition.device)]
            rows.append(own)
            answers.append(
                self.experts[number](x_t[own], levels[own], told, as_=as_, guidance=guidance)
            )
        return torch.cat(answers)[torch.cat(rows).argsort()]

    def extra_repr(self) -> str:
        return f"bounds={self.bounds}"


def _check_alike(experts: Sequence[Denoiser]) -> None:
    for name in ("schedule", "prediction", "shape", "conditions"):
        found = [getattr(expert, name) for expert in experts]
        for number, one in enumerate(found):
            if one != found[0]:
                raise ArgumentError(
                    f"the {name} of expert {number} is {one} and that of expert 0 is {found[0]}, "
                    "expected the same for all"
                )
