"""Soft labels: rebuilt from the few classes of each that were stored, or learned themselves."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_choice, check_class_indices, check_no_grad, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.guards import traced, widened
from limbeck.functional.reductions import Reduction, reduce

Rest = Literal["uniform", "renormalize"]


def recover_soft_labels(
    classes_kept: Tensor,
    probabilities: Tensor | None = None,
    *,
    classes: int,
    rest: Rest = "uniform",
) -> Tensor:
    r"""Rebuild dense probabilities from the k most likely classes of each sample.

    With kept classes :math:`c_1 \dots c_k`, their probabilities :math:`p_i` and C classes:

    - ``"uniform"``: :math:`q_{c_i} = p_i`, and :math:`(1 - \sum_i p_i) / (C - k)` for the others
    - ``"renormalize"``: :math:`q_{c_i} = p_i / \sum_j p_j`, and 0 for the others

    The five published rules are these two: ``hard`` is one class without a probability,
    ``smoothing`` is ``"uniform"`` with k = 1, ``marginal_smoothing_k5`` and ``_k10`` with k = 5
    and 10, and ``marginal_renorm`` is ``"renormalize"``.

    Args:
        classes_kept: class indices ``(N, k)``, or ``(N,)`` for k = 1; those of a row differ.
        probabilities: same shape, at least 0 with sums of at most 1, up to the rounding of a
            stored half; None gives each kept class an equal share.
        classes: C, at least k.
        rest: ``"uniform"`` or ``"renormalize"``, which makes a row of zeros uniform over all
            classes. With k = C both rescale.

    Returns:
        ``(N, C)``, rows that sum to one, in float32 or wider.

    Raises:
        ArgumentError: shapes differ, an index is no class or stands twice in a row, or the
            probabilities require grad, are negative or sum to more than one.

    Example:
        >>> kept, probabilities = torch.tensor([[2, 0]]), torch.tensor([[0.5, 0.25]])
        >>> recover_soft_labels(kept, probabilities, classes=4).tolist()
        [[0.25, 0.125, 0.5, 0.125]]
        >>> recover_soft_labels(torch.tensor([1]), classes=3).tolist()
        [[0.0, 1.0, 0.0]]

    Source: Shen and Xing, arXiv 2112.01528 (FKD), and szq0214/MEAL-V2.
    """
    check_choice(rest, "rest", ("uniform", "renormalize"))
    if classes_kept.ndim not in (1, 2):
        raise ArgumentError(
            f"classes_kept has shape {tuple(classes_kept.shape)}, expected (N, k) or (N,)"
        )
    kept = classes_kept[:, None] if classes_kept.ndim == 1 else classes_kept
    count = kept.shape[1]
    if not 1 <= count <= classes:
        raise ArgumentError(f"classes_kept holds {count} of {classes} classes, expected 1 to all")
    check_class_indices(kept, classes, "classes_kept")
    if probabilities is None:
        share = torch.full(kept.shape, 1 / count, device=kept.device)
    else:
        if probabilities.shape != classes_kept.shape:
            raise ArgumentError(
                f"probabilities has shape {tuple(probabilities.shape)} and classes_kept "
                f"{tuple(classes_kept.shape)}, expected equal shapes"
            )
        check_no_grad(probabilities, "probabilities")
        share = widened(probabilities).reshape(kept.shape)
    _check_rows(kept, share)
    total = share.sum(1, keepdim=True)
    if rest == "renormalize" or count == classes:
        share = torch.where(total > 0, share / torch.where(total > 0, total, 1.0), 1 / classes)
        left = torch.where(total > 0, torch.zeros_like(total), 1 / classes)
    else:
        share = share / total.clamp(min=1)
        left = (1 - total).clamp(min=0) / (classes - count)
    return left.expand(-1, classes).scatter(1, kept.long(), share)


@loss(
    "learned-labels",
    "Cross-entropy with soft labels that learn too",
    student="logits",
    labels=("label logits",),
    source="arXiv 2310.05773",
)
def learned_label_loss(
    student: Tensor, label_logits: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Cross-entropy with soft labels that learn too: the gradient flows to both.

    .. math:: -\sum_c \mathrm{softmax}(l)_c \log \mathrm{softmax}(z)_c

    Args:
        student: logits ``(N, C)``.
        label_logits: of the labels ``(N, C)``, not normalised.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over samples.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``.

    Raises:
        ArgumentError: shapes differ.

    Example:
        >>> round(learned_label_loss(torch.zeros(1, 4), torch.randn(1, 4)).item(), 4)
        1.3863

    Source: Guo et al., arXiv 2310.05773, section 3.4.
    """
    check_same_shape(student, label_logits, ("student", "label_logits"))
    log_q, log_p = (widened(one).log_softmax(-1) for one in (student, label_logits))
    return reduce(-(log_p.exp() * log_q).sum(-1), reduction)


def _check_rows(kept: Tensor, share: Tensor) -> None:
    if traced(kept, share) or kept.numel() == 0:
        return
    ordered = kept.sort(1).values
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        raise ArgumentError("classes_kept names a class twice in a row; keep each class once")
    low, high = float(share.amin()), float(share.sum(1).amax())
    if not (low >= 0 and high <= 1 + 1e-3):
        raise ArgumentError(
            f"probabilities must be at least 0 with sums of at most 1: the smallest is {low:.4g} "
            f"and the largest sum {high:.4g}; store a softmax, not logits"
        )
