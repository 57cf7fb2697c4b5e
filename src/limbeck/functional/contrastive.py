"""Contrastive losses: a sample's own teacher embedding against those of others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import check_dimensions, check_temperature
from limbeck.errors import ArgumentError
from limbeck.functional.features import check_features, unit_vectors
from limbeck.functional.guards import check_finite, widened
from limbeck.functional.reductions import Reduction, reduce


@loss(
    "crd",
    "Tell a sample's own teacher embedding from those of others",
    student="features",
    teacher=("features",),
    source="arXiv 1910.10699",
)
def crd_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor | None = None,
    *,
    negatives: Tensor | None = None,
    samples: int | None = None,
    temperature: float = 0.07,
    log_normalizer: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Contrastive distillation: tell a sample's own teacher embedding from those of others (CRD).

    With :math:`u_{ij} = \cos(s_i, t_j) / T - \log Z - \log (K / M)` and :math:`\sigma` the
    logistic function:

    .. math:: \ell_i = -\log \sigma(u_{ii}) - \sum_{j \in \mathrm{negatives}} \log \sigma(-u_{ij})

    Args:
        student: embeddings ``(N, D)``.
        teacher: embeddings of the same samples ``(N, D)``; they may have a gradient, for the
            teacher's projector learns too.
        target: classes ``(N,)``: samples of the same class are no negatives of each other. None
            takes all other samples of the batch. Not with `negatives`.
        negatives: embeddings of other samples' teacher ``(K, D)``, or ``(N, K, D)`` for a choice
            of each sample, such as those of a memory bank; they replace those of the batch.
        samples: M, the number of training samples; None takes K.
        temperature: T above 0.
        log_normalizer: the logarithm of Z. The authors estimate Z as M times the mean of
            :math:`e^{\cos / T}` over their first batch.
        reduction: ``"mean"`` over samples, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider. A sample without negatives
        has the first term only.

    Raises:
        ArgumentError: shapes do not fit, no sample can have a negative, classes are not whole
            numbers, an entry is NaN or infinite, or an option is outside its range.

    Example:
        >>> x = torch.eye(2)
        >>> round(crd_loss(x, x, temperature=1.0).item(), 4)
        1.0064

    Source: Tian, Krishnan and Isola, arXiv 1910.10699.
    """
    check_dimensions(student, "student", 2, "(N, D): an embedding for each sample")
    check_features(student, teacher.detach())
    check_temperature(temperature)
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    if samples is not None and samples < 1:
        raise ArgumentError(f"samples is {samples}, expected at least 1")
    if not math.isfinite(log_normalizer):
        raise ArgumentError(f"log_normalizer is {log_normalizer}, expected a finite number")
    dtype = torch.promote_types(widened(student).dtype, teacher.dtype)
    own, partner = unit_vectors(student.to(dtype)), unit_vectors(teacher.to(dtype))
    counted, bank = _negatives(partner, target, negatives)
    shift = own.new_tensor(log_normalizer)
    if samples is not None:
        shift = shift + (counted.sum(1, keepdim=True).clamp(min=1).to(own) / samples).log()
    scores = (bank @ own[..., None])[..., 0] if bank.ndim == 3 else own @ bank.T
    apart = torch.where(counted, F.logsigmoid(shift - scores / temperature), 0.0)
    together = F.logsigmoid((own * partner).sum(1, keepdim=True) / temperature - shift)
    return reduce(-together[:, 0] - apart.sum(1), reduction)


def _negatives(
    partner: Tensor, target: Tensor | None, negatives: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Which of some embeddings are negatives of which sample ``(N, K)``, and the embeddings."""
    size, width = partner.shape
    if negatives is not None:
        fits = negatives.ndim in (2, 3) and negatives.shape[-1] == width
        if not fits or (negatives.ndim == 3 and len(negatives) != size) or not negatives.shape[-2]:
            raise ArgumentError(
                f"negatives has shape {tuple(negatives.shape)}, expected (K, {width}) or "
                f"({size}, K, {width}) with K at least 1"
            )
        if target is not None:
            raise ArgumentError(
                "target and negatives are both given: negatives are taken as they are, so draw "
                "them from other classes and leave target out"
            )
        check_finite(negatives, "negatives")
        shape = (size, negatives.shape[-2])
        every = torch.ones(shape, dtype=torch.bool, device=partner.device)
        return every, unit_vectors(negatives.to(partner.dtype))
    if size == 1:
        raise ArgumentError(
            "a batch of one sample has no negatives; use a larger batch or give negatives, such "
            "as the embeddings of earlier batches"
        )
    if target is None:
        return ~torch.eye(size, dtype=torch.bool, device=partner.device), partner
    if target.shape != (size,):
        raise ArgumentError(f"target has shape {tuple(target.shape)}, expected ({size},)")
    if target.is_floating_point():
        raise ArgumentError(
            f"target has dtype {target.dtype}, expected class indices; use target.long()"
        )
    return target[:, None] != target, partner
