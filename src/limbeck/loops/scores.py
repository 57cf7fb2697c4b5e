"""Scores: what denoisers say about noised samples, in one call and on one schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import NotFiniteError
from limbeck.functional.diffusion import add_noise, per_sample
from limbeck.loops.draws import Draws
from limbeck.outputs import unwrapped

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


def finite(prediction: Tensor, role: str) -> Tensor:
    """A prediction or sample as it is.

    Raises:
        NotFiniteError: it holds NaN or infinite values; whose it is, is said.
    """
    # Reading back stalls an accelerator: there the loop's own look at its rows has to do.
    if prediction.device.type == "cpu" and not bool(torch.isfinite(prediction).all()):
        raise NotFiniteError(
            f"what the {role} says is NaN or infinite; a {role} in half precision may overflow: "
            "take float32, or bf16 in place of fp16; lower the learning rates otherwise"
        )
    return prediction
