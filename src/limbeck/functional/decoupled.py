"""Decoupled distillation: the true class and the others as two terms with weights of their own."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_no_grad, check_same_shape, check_temperature
from limbeck.functional.divergences import divergences, log_probabilities
from limbeck.functional.flat import FLAT_ABOVE
from limbeck.functional.guards import check_finite, check_labelled, widened
from limbeck.functional.reductions import Reduction, reduce


@loss(
    "dkd",
    "The true class and the other classes as two terms with weights of their own",
    student="logits",
    teacher=("logits",),
    labels=("class labels",),
    source="arXiv 2203.08679",
    tasks=("classification",),
    softens=True,
)
def decoupled_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    *,
    target_weight: float = 1.0,
    non_target_weight: float = 8.0,
    temperature: float = 4.0,
    temperature_squared: bool = True,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Divergence on "true class or not" plus divergence among the other classes (DKD).

    .. math:: L = T^2 \Big( \alpha \, KL(b_t \| b_s) + \beta \, KL(\hat p_t \| \hat p_s) \Big)

    with :math:`b = (p_y, 1 - p_y)` and :math:`\hat p` the distribution over the classes other
    than y, all softened by T. Ordinary distillation is
    :math:`\alpha = 1` and :math:`\beta = 1 - p_{t,y}`: where the teacher is sure, what it says
    about the other classes is lost. A fixed :math:`\beta` keeps it.

    Args:
        student_logits: ``(N, C)``, or any shape with classes on the last axis.
        teacher_logits: same shape, without gradient.
        target: true classes y ``(N,)``.
        target_weight: :math:`\alpha`.
        non_target_weight: :math:`\beta`.
        temperature: T above 0.
        temperature_squared: multiply by T².
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``, in float32 or wider; 0 for a single class.

    Raises:
        ArgumentError: shapes or class counts differ, a label is no class, the teacher requires
            grad, a logit is NaN or infinite, or the temperature is not above 0.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> target = torch.tensor([0])
        >>> decoupled_loss(logits, logits, target).item()
        0.0
        >>> round(decoupled_loss(logits.flip(1), logits, target, temperature=1.0).item(), 4)
        4.6927

    Source: Zhao et al., arXiv 2203.08679; default weights and temperature are those of
    its CIFAR-100 experiments.
    """
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_no_grad(teacher_logits, "teacher_logits")
    check_labelled(student_logits, target)
    check_temperature(temperature)
    check_finite(student_logits, "student_logits")
    check_finite(teacher_logits, "teacher_logits")
    student, teacher = widened(student_logits), widened(teacher_logits)
    if student.shape[-1] == 1:
        return reduce(student.sum(-1) * 0.0, reduction)
    (own_s, others_s), (own_t, others_t) = _parted(student, target), _parted(teacher, target)
    soft = partial(divergences, temperature=temperature, temperature_squared=False)
    among_others = soft(others_s, others_t)
    if temperature > FLAT_ABOVE:
        # The logits of "any other" of both sides differ by less than they are rounded: the binary
        # term is what the divergence over all classes has beside that among the others.
        softened = log_probabilities(teacher, temperature=temperature)
        rest = 1 - softened.gather(-1, target[..., None].long())[..., 0].exp()
        value = target_weight * soft(student, teacher)
        value = value + (non_target_weight - target_weight * rest) * among_others
    else:
        binary = divergences(
            _binary(own_s, others_s, temperature), _binary(own_t, others_t, temperature)
        )
        value = target_weight * binary + non_target_weight * among_others
    return reduce(value * temperature**2 if temperature_squared else value, reduction)


def _parted(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the true class ``(N, 1)`` and of the others ``(N, C - 1)``."""
    own = target[..., None].long()
    rest = torch.arange(logits.shape[-1] - 1, device=logits.device)
    return logits.gather(-1, own), logits.gather(-1, rest + (rest >= own))


def _binary(own: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Logits ``(N, 2)`` of "true class" and "any other" at a temperature."""
    return torch.cat(
        [own / temperature, (others / temperature).logsumexp(-1, keepdim=True)], dim=-1
    )
