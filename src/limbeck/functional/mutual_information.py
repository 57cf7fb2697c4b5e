"""Mutual information of student and teacher: lower bounds of it, and a loss that is one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_temperature
from limbeck.errors import ArgumentError
from limbeck.functional.features import check_features, unit_vectors
from limbeck.functional.guards import check_finite, widened
from limbeck.functional.reductions import Reduction, reduce
from limbeck.functional.retrieval import info_nce_loss

# Beyond this exponent a bound goes on in a straight line, far from the largest float32.
STEEPEST = 40.0


def critic_scores(
    student: Tensor, teacher: Tensor, *, temperature: float = 1.0, normalize: bool = False
) -> Tensor:
    r"""Matrix of a separable critic: :math:`f_{ij} = \langle g(s_i), h(t_j) \rangle / T`.

    Args:
        student: what g makes of the student's features, ``(N, D)``.
        teacher: what h makes of the teacher's features, ``(M, D)``; it may have a gradient, for h
            learns too.
        temperature: T above 0.
        normalize: scale each vector to length 1 first, which keeps scores within 1/T.

    Returns:
        ``(N, M)``, in float32 or wider: a row for each student, a column for each teacher.

    Raises:
        ArgumentError: widths differ, or an entry is NaN or infinite.

    Example:
        >>> critic_scores(torch.eye(2), torch.ones(3, 2)).shape
        torch.Size([2, 3])

    Source: van den Oord et al., arXiv 1807.03748; arXiv 2109.11105 (Distiller).
    """
    check_temperature(temperature)
    if student.ndim != 2 or teacher.ndim != 2 or student.shape[1] != teacher.shape[1]:
        raise ArgumentError(
            f"student has shape {tuple(student.shape)} and teacher has shape "
            f"{tuple(teacher.shape)}, expected (N, D) and (M, D); use a projector of each side to "
            "one width"
        )
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    dtype = torch.promote_types(widened(student).dtype, teacher.dtype)
    student, teacher = student.to(dtype), teacher.to(dtype)
    if normalize:
        student, teacher = unit_vectors(student), unit_vectors(teacher)
    return student @ teacher.T / temperature


def mi_alpha_bound(
    scores: Tensor, log_baseline: Tensor | None = None, *, alpha: float = 0.9
) -> Tensor:
    r"""Lower bound of mutual information that trades bias for variance (MI-alpha).

    With :math:`m_{ij} = \log \tfrac{1}{N-1} \sum_{l \ne j} e^{f_{il}}` and
    :math:`B_{ij} = \log\big(\alpha e^{m_{ij}} + (1 - \alpha) e^{b_i}\big)`:

    .. math:: I_\alpha = 1 + \operatorname*{mean}_{i \ne j} (f_{ii} - B_{ij})
        - \operatorname*{mean}_{i \ne j} e^{f_{ij} - B_{ii}}

    At :math:`\alpha = 1` it resembles InfoNCE: little variance, never above :math:`\log N`. At
    :math:`\alpha = 0` it is `tuba_bound`: no bias with the best critic, much variance. The loss
    that a student minimises is minus the bound.

    Args:
        scores: critic ``(N, N)``, one row for each student, its own teacher on the diagonal; at
            least two samples, padded ones removed.
        log_baseline: b, one number for each row ``(N,)``; not needed at alpha 1.
        alpha: from 0 to 1.

    Returns:
        A scalar, in float32 or wider. An exponent above 40 goes on in a straight line, so that
        an untrained critic still has a finite gradient.

    Raises:
        ArgumentError: scores are not square, there are fewer than two samples, the baseline is
            missing or does not fit, alpha is outside its range, or an entry is NaN or infinite.

    Example:
        >>> scores = 4 * torch.eye(3)
        >>> round(mi_alpha_bound(scores, torch.zeros(3), alpha=0.9).item(), 4)
        0.7764

    Source: Poole et al., arXiv 1905.06922; arXiv 2109.11105 (Distiller).
    """
    scores = _pair_scores(scores)
    if not 0 <= alpha <= 1:
        raise ArgumentError(f"alpha is {alpha}, expected a number from 0 to 1")
    if alpha == 1:
        baseline = _log_mean_of_others(scores)
    else:
        own = _row_baseline(log_baseline, scores, alpha)[:, None].expand_as(scores)
        baseline = own
        if alpha > 0:
            others = _log_mean_of_others(scores)
            baseline = torch.logaddexp(math.log(alpha) + others, math.log1p(-alpha) + own)
    other = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    pairs = len(scores) * (len(scores) - 1)
    gain = torch.where(other, scores.diagonal()[:, None] - baseline, 0.0).sum() / pairs
    excess = torch.where(other, _steep(scores - baseline.diagonal()[:, None]), 0.0).sum() / pairs
    return 1 + gain - excess


def tuba_bound(scores: Tensor, log_baseline: Tensor) -> Tensor:
    r"""Lower bound of mutual information with a learned baseline (TUBA).

    .. math:: I = 1 + \operatorname*{mean}_i (f_{ii} - b_i)
        - \operatorname*{mean}_{i \ne j} e^{f_{ij} - b_i}

    Args:
        scores: critic ``(N, N)`` of at least two samples, as in `mi_alpha_bound`.
        log_baseline: b, one number for each row ``(N,)``.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        ArgumentError: as `mi_alpha_bound`.

    Example:
        >>> tuba_bound(torch.zeros(2, 2), torch.zeros(2)).item()
        0.0

    Source: Poole et al., arXiv 1905.06922: the tractable and unnormalised form of
    the bound of Barber and Agakov.
    """
    return mi_alpha_bound(scores, log_baseline, alpha=0.0)


def nwj_bound(scores: Tensor) -> Tensor:
    r"""Lower bound of mutual information of Nguyen, Wainwright and Jordan, also f-GAN KL.

    .. math:: I = \operatorname*{mean}_i f_{ii} - \operatorname*{mean}_{i \ne j} e^{f_{ij} - 1}

    which is `tuba_bound` with 1 as the logarithm of the baseline.

    Args:
        scores: critic ``(N, N)`` of at least two samples, as in `mi_alpha_bound`.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        ArgumentError: as `mi_alpha_bound`.

    Example:
        >>> nwj_bound(torch.ones(2, 2)).item()
        0.0

    Source: Nguyen et al., arXiv 0809.0853; Poole et al., arXiv 1905.06922.
    """
    return tuba_bound(scores, scores.new_ones(scores.shape[:1]))


def info_nce_bound(scores: Tensor) -> Tensor:
    r"""Lower bound of mutual information from telling the right partner of N; at most log N.

    .. math:: I = \log N + \operatorname*{mean}_i \big( f_{ii} - \log \sum_j e^{f_{ij}} \big)

    which is log N less the `info_nce_loss` of each row with its own teacher as the positive.

    Args:
        scores: critic ``(N, N)``, as in `mi_alpha_bound`; a single sample gives 0.

    Returns:
        A scalar, in float32 or wider.

    Raises:
        ArgumentError: scores are not square, there are none, or one is NaN or infinite.

    Example:
        >>> info_nce_bound(torch.zeros(4, 4)).item()
        0.0

    Source: van den Oord et al., arXiv 1807.03748; Poole et al., arXiv 1905.06922.
    """
    scores = _pair_scores(scores, least=1)
    partner = torch.arange(len(scores), device=scores.device)
    return math.log(len(scores)) - info_nce_loss(scores, partner)


def log_mean_exp_of_others(scores: Tensor) -> Tensor:
    r"""For each entry the log of the mean exponential of the others in its row.

    .. math:: m_{ij} = \log \frac{1}{N - 1} \sum_{l \ne j} e^{f_{il}}

    Args:
        scores: ``(N, N)`` of at least two samples.

    Returns:
        ``(N, N)``, in float32 or wider, without the loss of digits of a difference of sums.

    Raises:
        ArgumentError: scores are not square, there are fewer than two, or one is NaN or infinite.

    Example:
        >>> log_mean_exp_of_others(torch.tensor([[0.0, 5.0], [1.0, 2.0]])).tolist()
        [[5.0, 0.0], [2.0, 1.0]]

    Source: Poole et al., arXiv 1905.06922.
    """
    return _log_mean_of_others(_pair_scores(scores))


@loss(
    "vid",
    "Likelihood of the teacher's features around the student's, with learned variances",
    student="features",
    teacher=("features",),
    source="arXiv 1904.05835",
)
def vid_loss(
    student: Tensor,
    teacher: Tensor,
    log_variance: Tensor,
    *,
    least_variance: float = 1e-5,
    axis: int = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Negative log-likelihood of the teacher's features around the student's (VID).

    .. math:: \ell = \frac12 \Big( \frac{(t - s)^2}{\sigma_d^2} + \log \sigma_d^2 \Big), \quad
        \sigma_d^2 = e^{v_d} + \epsilon

    one variance for each of D channels. Minus the mean is, up to a constant, a lower bound of the
    mutual information. The authors learn a with :math:`\sigma_d^2 = \log(1 + e^{a_d}) + \epsilon`:
    give ``softplus(a).log()``.

    Args:
        student: the student's features, projected to the teacher's width: ``(N, D)``,
            ``(N, D, H, W)`` or any shape with channels on `axis`.
        teacher: same shape, without gradient.
        log_variance: v, learned along with the projector, ``(D,)``.
        least_variance: :math:`\epsilon`, above 0.
        axis: the axis of the channels.
        reduction: ``"mean"`` over all entries, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or the shape of `student` with ``"none"``; in float32 or wider. It may be
        negative.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, an entry is NaN or infinite, or
            an option is outside its range.

    Example:
        >>> student, teacher = torch.zeros(1, 2), torch.tensor([[1.0, 3.0]])
        >>> round(vid_loss(student, teacher, torch.zeros(2)).item(), 4)
        2.5

    Source: Ahn et al., arXiv 1904.05835 (VID).
    """
    check_features(student, teacher, axis)
    width = student.shape[axis]
    if log_variance.shape != (width,):
        raise ArgumentError(
            f"log_variance has shape {tuple(log_variance.shape)} and student "
            f"{tuple(student.shape)}, expected ({width},): one number for each channel on axis "
            f"{axis}"
        )
    if not 0 < least_variance < math.inf:
        raise ArgumentError(f"least_variance is {least_variance}, expected a number above 0")
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    check_finite(log_variance, "log_variance")
    log_variance = widened(log_variance)
    least = log_variance.new_tensor(math.log(least_variance))
    shape = [1] * student.ndim
    shape[axis] = width
    logarithm = torch.logaddexp(log_variance, least).reshape(shape)
    error = (widened(teacher) - widened(student)).square()
    return reduce(0.5 * (error * torch.exp(-logarithm) + logarithm), reduction)


def _pair_scores(scores: Tensor, least: int = 2) -> Tensor:
    """Checked critic scores in float32 or wider."""
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ArgumentError(
            f"scores has shape {tuple(scores.shape)}, expected (N, N): a row for each student and "
            "a column for each teacher of the same samples"
        )
    if len(scores) < least:
        raise ArgumentError(
            f"scores has shape {tuple(scores.shape)}: {least} or more samples are needed, because "
            "the others of a batch are the negatives; use a larger batch"
        )
    check_finite(scores, "scores")
    return widened(scores)


def _row_baseline(log_baseline: Tensor | None, scores: Tensor, alpha: float) -> Tensor:
    if log_baseline is None:
        raise ArgumentError(
            f"alpha is {alpha} and log_baseline is missing: below alpha 1 give one number for each "
            "row, such as a small network of the same sample's teacher features"
        )
    if log_baseline.shape != scores.shape[:1]:
        raise ArgumentError(
            f"log_baseline has shape {tuple(log_baseline.shape)} and scores "
            f"{tuple(scores.shape)}, expected ({len(scores)},): one number for each row"
        )
    check_finite(log_baseline, "log_baseline")
    return log_baseline.to(scores.dtype)


def _log_mean_of_others(scores: Tensor) -> Tensor:
    """A sum up to each entry and one from it on, which need no subtraction."""
    edge = torch.full_like(scores[:, :1], -math.inf)
    before = torch.cat([edge, scores.logcumsumexp(1)[:, :-1]], 1)
    after = torch.cat([scores.flip(1).logcumsumexp(1).flip(1)[:, 1:], edge], 1)
    return torch.logaddexp(before, after) - math.log(len(scores) - 1)


def _steep(exponent: Tensor) -> Tensor:
    """The exponential, continued by its tangent where it would overflow."""
    below = exponent.clamp(max=STEEPEST)
    return below.exp() * (1 + (exponent - below).clamp(min=0))
