"""Losses between relations of samples: they need no equal widths, so no projector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.catalogue import loss
from limbeck.checks import check_dimensions, check_no_grad
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.features import unit_vectors
from limbeck.functional.guards import check_finite, reduce_counted, widened
from limbeck.functional.reductions import Reduction, reduce

# Added to a similarity from 0 to 1, so that opposite vectors keep a logarithm.
LEAST = 1e-7


@loss(
    "rkd-distance",
    "Difference of the distances between samples; widths may differ",
    student="features",
    teacher=("features",),
    source="arXiv 1904.05068",
)
def rkd_distance_loss(student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Smooth L1 difference of the distances between samples, each side's mean distance being 1.

    .. math:: \ell_{ij} = \mathrm{huber}\Big( \frac{\|s_i - s_j\|}{\mu_s} -
        \frac{\|t_i - t_j\|}{\mu_t} \Big), \quad i \ne j

    Args:
        student: embeddings ``(N, D)``; further axes are flattened.
        teacher: embeddings ``(N, E)``, without gradient.
        reduction: ``"mean"`` over the N (N - 1) pairs of different samples (0 for fewer than two
            samples), ``"sum"`` or ``"none"``. The authors' code divides by N² instead.

    Returns:
        A scalar, or ``(N, N)`` with ``"none"``, 0 on the diagonal; in float32 or wider. Samples
        that coincide have distance 0 and no gradient.

    Raises:
        ArgumentError: the numbers of samples differ, the teacher requires grad, or an embedding
            is NaN or infinite.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0]])
        >>> round(rkd_distance_loss(2 * x + 5, x).item(), 6)
        0.0

    Source: Park et al., arXiv 1904.05068.
    """
    student, teacher = _samples(student, teacher)
    pair = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    distances = []
    for value in (student, teacher):
        distance = pairwise_distances(_scaled(value))
        mean = reduce_counted(distance, pair, "mean")
        distances.append(distance / torch.where(mean > 0, mean, 1.0))
    value = F.smooth_l1_loss(distances[0], distances[1], reduction="none")
    return reduce_counted(value, pair, reduction)


@loss(
    "rkd-angle",
    "Difference of the angles in triples of samples; widths may differ",
    student="features",
    teacher=("features",),
    source="arXiv 1904.05068",
)
def rkd_angle_loss(student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Smooth L1 difference of the cosines of the angles in triples of samples.

    .. math:: \ell_{jik} = \mathrm{huber}(\cos \angle s_i s_j s_k - \cos \angle t_i t_j t_k)

    for three different samples, with the angle at :math:`j`. Needs N² D and N³ numbers.

    Args:
        student: embeddings ``(N, D)``; further axes are flattened.
        teacher: embeddings ``(N, E)``, without gradient.
        reduction: ``"mean"`` over the N (N - 1) (N - 2) triples (0 for fewer than three samples),
            ``"sum"`` or ``"none"``. The authors' code divides by N³ instead.

    Returns:
        A scalar, or ``(N, N, N)`` with ``"none"``, the angle being at the first index, 0 where
        indices repeat; in float32 or wider. A side of length 0 has cosine 0 and no gradient.

    Raises:
        ArgumentError: as `rkd_distance_loss`.

    Example:
        >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(rkd_angle_loss(3 * corner - 1, corner).item(), 6)
        0.0

    Source: Park et al., arXiv 1904.05068.
    """
    student, teacher = _samples(student, teacher)
    cosines = []
    for value in map(_scaled, (student, teacher)):
        sides = unit_vectors(value[None] - value[:, None])
        cosines.append(sides @ sides.mT)
    pair = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    triple = pair[:, :, None] & pair[:, None, :] & pair
    value = F.smooth_l1_loss(cosines[0], cosines[1], reduction="none")
    return reduce_counted(value, triple, reduction)


def pairwise_distances(value: Tensor, *, squared: bool = False, epsilon: float = 0.0) -> Tensor:
    r"""Euclidean distances between all rows.

    .. math:: d_{ij} = \sqrt{\max(\|x_i\|^2 + \|x_j\|^2 - 2 x_i^\top x_j,\ \epsilon)}

    Args:
        value: ``(N, D)``.
        squared: leave out the root.
        epsilon: squared distances below it count as it, the diagonal excepted.

    Returns:
        ``(N, N)``, 0 on the diagonal, in float32 or wider. Rows that coincide have no gradient.

    Raises:
        ArgumentError: `value` is not a matrix, or holds NaN or infinity.

    Example:
        >>> pairwise_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    check_dimensions(value, "value", 2, "(N, D): a row for each sample")
    check_finite(value, "value")
    value = widened(value)
    if len(value) > 0:
        # Distances do not change, and large common parts would cost digits.
        value = value - value.detach().mean(0)
    products = value @ value.T
    # Lengths rounded as the products are: rows that coincide cancel.
    length = products.diagonal()
    square = (length[:, None] + length - 2 * products).clamp(min=epsilon)
    zero = torch.eye(len(value), dtype=torch.bool, device=value.device) | (square <= 0)
    square = torch.where(zero, 1.0, square)
    return torch.where(zero, 0.0, square if squared else square.sqrt())


@loss(
    "pkt",
    "Divergence of the probabilities that one sample picks another; widths may differ",
    student="features",
    teacher=("features",),
    source="arXiv 1803.10837",
)
def pkt_loss(student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    r"""Divergence of the probabilities that one sample picks another as its neighbour.

    With :math:`k_{ij} = \tfrac12 (1 + \cos(x_i, x_j))` and
    :math:`p_{j|i} = k_{ij} / \sum_{l \ne i} k_{il}`:

    .. math:: \ell_i = \sum_{j \ne i} p^t_{j|i} \log \frac{p^t_{j|i}}{p^s_{j|i}}

    Args:
        student: embeddings ``(N, D)``; further axes are flattened.
        teacher: embeddings ``(N, E)``, without gradient.
        reduction: ``"mean"`` over samples (0 for fewer than two), ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider. A zero vector has cosine 0
        to every other and no gradient.

    Raises:
        ArgumentError: as `rkd_distance_loss`.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> round(pkt_loss(x.flip(0), x).item(), 4)
        0.0698

    Source: Passalis and Tefas, arXiv 1803.10837.
    """
    student, teacher = _samples(student, teacher)
    if len(student) < 2:
        return reduce((student * 0).sum(1), reduction)
    itself = torch.eye(len(student), dtype=torch.bool, device=student.device)
    scores = []
    for value in (student, teacher):
        unit = unit_vectors(value)
        kernel = (0.5 + 0.5 * unit @ unit.T).clamp(min=0) + LEAST
        scores.append(kernel.log().masked_fill(itself, -torch.inf))
    return soft_target_loss(scores[0], scores[1], reduction=reduction)


@loss(
    "sp",
    "Squared difference of the similarities between samples; widths may differ",
    student="features",
    teacher=("features",),
    source="arXiv 1907.09682",
)
def similarity_preserving_loss(
    student: Tensor, teacher: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Squared difference of the row-normalised similarities between samples.

    With :math:`G = X X^\top` and each row of it scaled to length 1:

    .. math:: \ell_i = \frac{1}{N} \sum_j (\hat G^s_{ij} - \hat G^t_{ij})^2

    Args:
        student: activations ``(N, D)``; further axes are flattened.
        teacher: activations ``(N, E)``, without gradient.
        reduction: ``"mean"`` over samples, which gives the published sum over N², ``"sum"`` or
            ``"none"``.

    Returns:
        A scalar, or ``(N,)`` with ``"none"``; in float32 or wider.

    Raises:
        ArgumentError: as `rkd_distance_loss`.

    Example:
        >>> x = torch.eye(2)
        >>> similarity_preserving_loss(3 * x, x).item()
        0.0

    Source: Tung and Mori, arXiv 1907.09682.
    """
    student, teacher = _samples(student, teacher)
    if len(student) == 0:
        return reduce((student * 0).sum(1), reduction)
    rows = [unit_vectors(value @ value.T) for value in map(_in_unit, (student, teacher))]
    return reduce((rows[0] - rows[1]).square().mean(1), reduction)


@loss(
    "cka",
    "One minus centred kernel alignment; widths may differ",
    student="features",
    teacher=("features",),
    source="arXiv 1905.00414",
)
def cka_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus `linear_cka`, from 0 to 1.

    Args:
        student: activations ``(N, D)``; further axes are flattened.
        teacher: activations ``(N, E)``, without gradient.

    Returns:
        A scalar, in float32 or wider; 1 without a gradient where a side does not vary.

    Raises:
        ArgumentError: as `rkd_distance_loss`.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> round(cka_loss(2 * x.flip(1) + 1, x).item(), 4)
        0.0

    Source: Kornblith et al., arXiv 1905.00414.
    """
    check_no_grad(teacher, "teacher")
    return 1 - linear_cka(student, teacher)


def linear_cka(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Centred kernel alignment with the linear kernel: how alike two representations are.

    With columns centred:

    .. math:: \mathrm{CKA} = \frac{\|S^\top T\|_F^2}{\|S^\top S\|_F \, \|T^\top T\|_F}

    Rotating, shifting or scaling either side changes nothing.

    Args:
        student: activations ``(N, D)``; further axes are flattened.
        teacher: activations ``(N, E)``.

    Returns:
        A scalar from 0 to 1, in float32 or wider. It is 0 without a gradient where a side does
        not vary between samples, so for fewer than two samples.

    Raises:
        ArgumentError: the numbers of samples differ, or an activation is NaN or infinite.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> round(linear_cka(x, torch.tensor([[0.0], [1.0], [0.0]])).item(), 4)
        0.0

    Source: Kornblith et al., arXiv 1905.00414.
    """
    student, teacher = _samples(student, teacher, constant=False)
    if len(student) < 2:
        return (student * 0).sum() + (teacher * 0).sum()
    student, teacher = _scaled(student), _scaled(teacher)
    if len(student) <= max(student.shape[1], teacher.shape[1]):
        kernels = [unit_vectors((value @ value.T).flatten()) for value in (student, teacher)]
        return (kernels[0] * kernels[1]).sum()
    size = torch.linalg.matrix_norm(student.T @ student) * torch.linalg.matrix_norm(
        teacher.T @ teacher
    )
    none = size <= 0
    cross = (student.T @ teacher).square().sum()
    return torch.where(none, 0.0, cross / torch.where(none, 1.0, size))


def _samples(student: Tensor, teacher: Tensor, constant: bool = True) -> tuple[Tensor, Tensor]:
    """Checked activations as rows in float32 or wider; both sides of one dtype."""
    if constant:
        check_no_grad(teacher, "teacher")
    if min(student.ndim, teacher.ndim) < 2 or student.shape[0] != teacher.shape[0]:
        raise ArgumentError(
            f"student has shape {tuple(student.shape)} and teacher has shape "
            f"{tuple(teacher.shape)}, expected (N, D) and (N, E): the same samples in the same "
            "order; widths may differ"
        )
    check_finite(student, "student")
    check_finite(teacher, "teacher")
    dtype = torch.promote_types(widened(student).dtype, teacher.dtype)
    return student.flatten(1).to(dtype), teacher.flatten(1).to(dtype)


def _scaled(value: Tensor) -> Tensor:
    """Rows without their mean, in a unit in which no square overflows or vanishes.

    What varies by rounding only gives zeros, without a gradient.
    """
    if len(value) == 0:
        return value
    centred = value - value.mean(0)
    rounding = 8 * torch.finfo(value.dtype).eps * value.detach().abs().amax(0)
    return _in_unit(torch.where(centred.detach().abs().amax(0) <= rounding, 0.0, centred))


def _in_unit(value: Tensor) -> Tensor:
    """`value` over its largest entry."""
    if value.numel() == 0:
        return value
    largest = value.detach().abs().amax()
    return value / torch.where(largest > 0, largest, 1.0)
