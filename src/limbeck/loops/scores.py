"""Scores: what denoisers say about noised samples, in one call and on one schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import NotFiniteError
from limbeck.functional.diffusion import add_noise, per_sample
from limbeck.loops.draws import Draws
from limbeck.outputs import unwrapped

NEVER = 2**62
Question = tuple[Tensor, Tensor, Tensor | None]


def noised(
    denoiser: Any, x: Tensor, draws: Draws, levels: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Samples with fresh noise at levels drawn from a range: ``(N, ...)`` and levels ``(N,)``."""
    t, noise = draws.uniform(*levels), draws.normal(*x.shape[1:])
    return add_noise(x, noise, *denoiser.alpha_sigma(t)), t


def heard(
    denoiser: nn.Module,
    source: Any,
    x_t: Tensor,
    t: Tensor,
    condition: Tensor | None,
    *,
    guidance: float = 1.0,
) -> Tensor:
    """The clean prediction of a denoiser about samples at levels of another one's schedule.

    Where schedules differ it is asked at its own level with the same ratio of signal to noise, the
    samples being scaled to it.

    Args:
        denoiser: asked, without its wrapper.
        source: whose schedule the samples were noised by.
        x_t: ``(N, ...)``.
        t: levels of `source`, ``(N,)``.
        condition: ids ``(N,)``, or None.
        guidance: of `denoiser`.

    Returns:
        ``(N, ...)``.
    """
    own: Any = unwrapped(denoiser)
    if own.schedule != source.schedule:
        level = own.schedule.level_of(source.schedule, t)
        ratio = own.alpha_sigma(level)[0] / source.alpha_sigma(t)[0]
        x_t, t = x_t * per_sample(ratio, x_t), level
    prediction: Tensor = own.predict(x_t, t, condition, guidance=guidance)
    return prediction


def asked(denoiser: Any, questions: Sequence[Question]) -> list[Tensor]:
    """Clean predictions for several batches of one size, in a single call.

    Args:
        denoiser: the network.
        questions: noised samples ``(N, ...)``, levels ``(N,)`` and conditions ``(N,)`` or None, in
            all of them or in none.

    Returns:
        One ``(N, ...)`` a question.
    """
    if not questions:
        return []
    x, t, conditions = zip(*questions, strict=True)
    known = [one for one in conditions if one is not None]
    condition = torch.cat(known) if known else None
    return list(denoiser.predict(torch.cat(x), torch.cat(t), condition).chunk(len(questions)))


class Spoken:
    """Whether what each role says is finite, noted where reading it back would stall a device.

    Example:
        >>> spoken, step = Spoken(), {"student": torch.tensor(True), "fake": torch.tensor(False)}
        >>> spoken.note(step, 6)
        >>> spoken.note({"student": torch.tensor(False)}, 7)
        >>> spoken.first()
        ('fake', 6)
    """

    def __init__(self) -> None:
        self._since: dict[str, Tensor] = {}

    def note(self, whole: Mapping[str, Tensor], step: int) -> None:
        """Note for some roles, in the order of asking them, whether all they said was finite."""
        for role, one in whole.items():
            now = torch.where(one, NEVER, step)
            known = self._since.get(role)
            self._since[role] = now if known is None else torch.minimum(known, now)

    def first(self) -> tuple[str, int] | None:
        """Who said something else first, and in which step; None where nobody did."""
        since = {role: int(step) for role, step in self._since.items()}
        role = min(since, key=lambda one: since[one], default="")
        return (role, since[role]) if role and since[role] < NEVER else None


def finite(prediction: Tensor, role: str, noted: dict[str, Tensor] | None = None) -> Tensor:
    """A prediction or sample as it is.

    Args:
        prediction: what is said.
        role: who says so.
        noted: gets on an accelerator, by role, whether all was finite; see `Spoken`.

    Raises:
        NotFiniteError: it holds NaN or infinite values; whose it is, is said.
    """
    if not read_back(prediction):
        if noted is not None:
            whole = torch.isfinite(prediction.detach()).all()
            noted[role] = noted[role] & whole if role in noted else whole
    elif not bool(torch.isfinite(prediction).all()):
        raise NotFiniteError(not_finite(role))
    return prediction


def read_back(prediction: Tensor) -> bool:
    """Whether values can be looked at in passing: it stalls an accelerator."""
    return prediction.device.type == "cpu"


def not_finite(role: str) -> str:
    """What is said of a role whose answers are NaN or infinite."""
    return (
        f"what the {role} says is NaN or infinite; a {role} in half precision may overflow: "
        "take float32, or bf16 in place of fp16; lower the learning rates otherwise"
    )
