"""Denoiser: a network that looks at noised samples, with the schedule that says how noised."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn

from limbeck.checks import check_choice, check_class_indices, is_traced
from limbeck.errors import ArgumentError, ModelError, NoEffectWarning
from limbeck.functional.diffusion import Prediction, convert_prediction, guided, per_sample
from limbeck.functional.noise_levels import precondition as preconditioning
from limbeck.networks.noise_schedule import NoiseSchedule

if TYPE_CHECKING:
    from limbeck.data.data import Data


class Denoiser(nn.Module):
    r"""A network that sees :math:`x_t = \alpha x_0 + \sigma e` and says what is sample or noise.

    It owns its schedule, so whoever asks gives a level from 0 (clean) to 1 (noisiest) and says in
    which form the answer shall come.

    Args:
        network: called with x_t ``(N, ...)``, time ``(N,)`` as `NoiseSchedule.time` gives it, and
            conditions ``(N,)`` as int64 or None; gives a tensor of the shape of x_t.
        schedule: what levels mean.
        prediction: what the network's output is: ``"x0"``, ``"eps"``, ``"v"``, ``"flow"`` or
            ``"score"``.
        shape: of one sample.
        conditions: C classes with the ids 0 to C - 1; the id C is the null condition, under which
            the network knows of no class. 0 is a network without conditions.
        precondition: standard deviation of the data; the network is then wrapped as in EDM, scaled
            on both sides, and gives x0. None leaves it as it is.

    Raises:
        ArgumentError: an option is unknown or outside its range, or does not fit the schedule.

    Example:
        >>> class Still(nn.Module):
        ...     def forward(self, x, time, condition):
        ...         return torch.zeros_like(x)
        >>> denoiser = Denoiser(Still(), NoiseSchedule(), prediction="eps", shape=(2,))
        >>> denoiser.predict(torch.ones(1, 2), 0.5).tolist()
        [[2.0, 2.0]]

    Source: Karras et al., arXiv 2206.00364, table 1 (preconditioning); Ho and Salimans,
    arXiv 2207.12598 (guidance).
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        *,
        prediction: Prediction = "flow",
        shape: Sequence[int],
        conditions: int = 0,
        precondition: float | None = None,
    ) -> None:
        super().__init__()
        check_choice(prediction, "prediction", get_args(Prediction))
        if type(conditions) is not int or conditions < 0:
            raise ArgumentError(f"conditions is {conditions!r}, expected a number of classes or 0")
        if prediction == "flow":
            schedule.rates(1.0)
        if precondition is not None:
            _check_precondition(precondition, schedule, prediction)
        self.network, self.schedule = network, schedule
        self.prediction: Prediction = prediction
        self.shape, self.conditions, self.precondition = tuple(shape), conditions, precondition

    @property
    def conditional(self) -> bool:
        """Whether the network takes classes."""
        return self.conditions > 0

    @property
    def null(self) -> int | None:
        """Id of the null condition, or None without conditions."""
        return self.conditions or None

    def alpha_sigma(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Shares of signal and noise at levels `t`; see `NoiseSchedule.alpha_sigma`."""
        return self.schedule.alpha_sigma(t)

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor] | None:
        """Derivatives of `alpha_sigma` where the network says velocities, else None."""
        return self.schedule.rates(t) if self.prediction == "flow" else None

    def loss_weight(self, sigma: Tensor) -> Tensor | None:
        """What each sample's denoising loss counts, ``(N,)``: as in EDM where the network is
        preconditioned, else None: all the same."""
        if self.precondition is None:
            return None
        return 1 / sigma.square() + 1 / self.precondition**2

    def check_data(self, data: Data, name: str) -> None:
        """Raise `ModelError` unless the denoiser takes samples of some data and its classes."""
        space = data.input_space
        shape = None if space is None else space.shape
        if shape != self.shape:
            raise ModelError(
                f"{name} denoises samples of shape {self.shape} and {data.name} has {shape}; give "
                "one for this shape, or resize the data"
            )
        if self.conditional and self.conditions != len(data.classes):
            raise ModelError(
                f"{name} knows {self.conditions} classes and {data.name} has {len(data.classes)}; "
                "give one for these classes, or one without conditions"
            )

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
        """Ask the network about noised samples.

        Args:
            x_t: ``(N, *shape)``.
            t: levels from 0 to 1, ``(N,)`` or one for all.
            condition: class ids ``(N,)``, among which may be the null condition; None is the null
                condition for all.
            as_: form of the answer; None is that of the network.
            guidance: w of u + w (c - u), where u is said under the null condition, in the same call
                of the network as c; 1 asks for c alone.

        Returns:
            ``(N, *shape)`` in the dtype of `x_t`.

        Raises:
            ArgumentError: shapes do not fit, a level or a class lies outside its range, or classes
                or guidance are asked of a network without conditions.
        """
        self._check(x_t, guidance)
        if guidance != 1.0 and condition is None:
            warnings.warn(
                "guidance has no effect on the null condition; give condition, a class a sample",
                NoEffectWarning,
                stacklevel=2,
            )
            guidance = 1.0
        t, condition = levels_of(t, x_t), self._ids(condition, x_t)
        if guidance == 1.0 or condition is None:
            said = self._asked(x_t, t, condition)
        else:
            both = torch.cat([condition, torch.full_like(condition, self.conditions)])
            answers = self._asked(torch.cat([x_t, x_t]), torch.cat([t, t]), both)
            said = guided(answers[: len(x_t)], answers[len(x_t) :], guidance)
        if as_ is None or as_ == self.prediction:
            return said
        alpha, sigma = self.alpha_sigma(t)
        rates = self.schedule.rates(t) if "flow" in (self.prediction, as_) else None
        return convert_prediction(said, x_t, alpha, sigma, self.prediction, as_, rates=rates)

    def extra_repr(self) -> str:
        return (
            f"{self.schedule}, prediction={self.prediction!r}, shape={self.shape}, "
            f"conditions={self.conditions}, precondition={self.precondition}"
        )

    def _asked(self, x_t: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """What the network says under the conditions given, in its own form."""
        # Half precision cannot tell 999 from 1000.
        time = self.schedule.time(t).to(torch.promote_types(x_t.dtype, torch.float32))
        if self.precondition is None:
            return self._said(x_t, time, condition)
        _, sigma = self.alpha_sigma(t)
        scales = preconditioning(sigma, sigma_data=self.precondition)
        inside = self._said(per_sample(scales.input, x_t) * x_t, time, condition)
        return per_sample(scales.skip, x_t) * x_t + per_sample(scales.out, x_t) * inside

    def _said(self, x: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        """What the network says, asked in the precision of its weights, in that of `x`."""
        weights = (one.dtype for one in self.network.parameters() if one.is_floating_point())
        return self.network(x.to(next(weights, x.dtype)), time, condition).to(x.dtype)

    def _ids(self, condition: Tensor | None, x_t: Tensor) -> Tensor | None:
        if not self.conditional:
            if condition is not None:
                raise ArgumentError(
                    f"condition has shape {tuple(condition.shape)} and the network takes no "
                    "classes; leave condition out"
                )
            return None
        if condition is None:
            return x_t.new_full((len(x_t),), self.conditions, dtype=torch.long)
        if condition.shape != x_t.shape[:1]:
            raise ArgumentError(
                f"condition has shape {tuple(condition.shape)} and x_t {tuple(x_t.shape)}, "
                f"expected {tuple(x_t.shape[:1])}: one class a sample"
            )
        if condition.device.type == "cpu":  # elsewhere a look at the values would wait for them
            check_class_indices(condition, self.conditions + 1, "condition")
        return condition.to(x_t.device, torch.long)

    def _check(self, x_t: Tensor, guidance: float) -> None:
        if tuple(x_t.shape[1:]) != self.shape or not x_t.ndim:
            raise ArgumentError(
                f"x_t has shape {tuple(x_t.shape)} and samples have shape {self.shape}, expected "
                f"(N, {', '.join(map(str, self.shape))})"
            )
        if not 0 <= guidance < math.inf:
            raise ArgumentError(f"guidance is {guidance}, expected a finite number of at least 0")
        if guidance != 1.0 and not self.conditional:
            raise ArgumentError(
                f"guidance is {guidance} and the network takes no classes, so there is no null "
                "condition to guide away from; use guidance=1 or a network with conditions"
            )


def levels_of(t: Tensor | float, x_t: Tensor) -> Tensor:
    """One level a sample, ``(N,)`` in float64, on the device of `x_t` ``(N, ...)``."""
    levels = torch.as_tensor(t, dtype=torch.float64)
    if levels.ndim and levels.shape != x_t.shape[:1]:
        raise ArgumentError(
            f"t has shape {tuple(levels.shape)} and x_t {tuple(x_t.shape)}, expected one level or "
            f"{tuple(x_t.shape[:1])}: one a sample"
        )
    checked = levels.device.type == "cpu" and levels.numel() and not is_traced(levels)
    if checked and not 0 <= float(levels.min()) <= float(levels.max()) <= 1:
        raise ArgumentError(
            f"t goes from {float(levels.min()):.4g} to {float(levels.max()):.4g}, expected levels "
            "from 0 (clean) to 1 (noisiest); for steps divide by their number"
        )
    return levels.to(x_t.device).expand(len(x_t))


def _check_precondition(deviation: float, schedule: NoiseSchedule, prediction: str) -> None:
    if not 0 < deviation < math.inf:
        raise ArgumentError(f"precondition is {deviation}, expected a standard deviation above 0")
    if schedule.kind != "edm" or prediction != "x0":
        raise ArgumentError(
            f"precondition is {deviation} with a schedule of {schedule.kind!r} and prediction "
            f"{prediction!r}; it belongs to 'edm' and 'x0'"
        )
