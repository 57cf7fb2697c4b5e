"""Numbers that change over a run, as functions of where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from limbeck.checks import check_choice
from limbeck.errors import ArgumentError

CropMode = Literal["step", "linear", "cosine"]


def piecewise_constant(at: int, pieces: Sequence[tuple[int, int, float]]) -> float:
    """The value of the piece that an epoch or step lies in, such as a learning rate.

    Args:
        at: epoch or step.
        pieces: (first, last, value) of each piece, both ends included, in order and without a
            gap.

    Returns:
        The value.

    Raises:
        ArgumentError: `at` lies in no piece, or the pieces leave a gap or overlap.

    Example:
        >>> [piecewise_constant(epoch, [(0, 99, 0.01), (100, 179, 0.001)]) for epoch in (99, 100)]
        [0.01, 0.001]

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), and szq0214/MEAL-V2.
    """
    if not pieces:
        raise ArgumentError("pieces is empty, expected at least one (first, last, value)")
    expected = pieces[0][0]
    for first, last, _ in pieces:
        if first != expected or last < first:
            raise ArgumentError(
                f"pieces has one from {first} to {last}, expected one that begins at {expected} "
                "and does not end before it"
            )
        expected = last + 1
    for first, last, value in pieces:
        if first <= at <= last:
            return value
    raise ArgumentError(f"{at} is in no piece: they reach from {pieces[0][0]} to {expected - 1}")


def evaluation_rate(epoch: int, epochs: int, lr: float) -> float:
    """Learning rate with which networks are trained on a distilled set to evaluate it.

    A tenth of the rate from epoch ``epochs // 2 + 2`` on, where the optimiser starts anew; epochs
    0 to `epochs` are run, one more than the number says.

    Args:
        epoch: from 0 to `epochs`.
        epochs: the number that a protocol is named by, at least 1.
        lr: the rate at first.

    Returns:
        The rate.

    Raises:
        ArgumentError: the epoch lies outside.

    Example:
        >>> [evaluation_rate(epoch, 3, 0.5) for epoch in range(4)]
        [0.5, 0.5, 0.5, 0.05]

    Source: Zhao and Bilen, arXiv 2102.08259 (DSA), and VICO-UoE/DatasetCondensation.
    """
    if epochs < 1 or not 0 <= epoch <= epochs:
        raise ArgumentError(f"epoch is {epoch} of {epochs}, expected one from 0 to {epochs}")
    return lr * 0.1 if epoch >= epochs // 2 + 2 else lr


def crop_scale_bounds(
    at: int,
    whole: int,
    *,
    mode: CropMode = "cosine",
    milestone: float = 1.0,
    low: float = 0.08,
    high: float = 1.0,
) -> tuple[float, float]:
    r"""Smallest and largest share of an image that a random crop may take, which falls over a run.

    Before step :math:`qI` of I, with :math:`f = i / (q I)`, the smallest is

    - ``"step"``: h
    - ``"linear"``: :math:`l + (h - l)(1 - f)`
    - ``"cosine"``: :math:`l + (h - l)(1 + \cos \pi f) / 2`

    and from there on l. The largest is always h.

    Args:
        at: i, the step, from 0.
        whole: I, how many steps there are, at least 1.
        mode: how it falls.
        milestone: q, 0 to 1: the share of the run at which it has fallen; 0 starts at l.
        low: l, above 0.
        high: h, at least l and at most 1.

    Returns:
        Both shares.

    Raises:
        ArgumentError: an option is outside its range.

    Example:
        >>> crop_scale_bounds(0, 100), crop_scale_bounds(100, 100)
        ((1.0, 1.0), (0.08, 1.0))
        >>> round(crop_scale_bounds(50, 100, low=0.2)[0], 6)
        0.6

    Source: Yin and Shen, arXiv 2311.18838 (CDA), and VILA-Lab/SRe2L.
    """
    check_choice(mode, "mode", ("step", "linear", "cosine"))
    if not 0 <= milestone <= 1:
        raise ArgumentError(f"milestone is {milestone}, expected a share of the run from 0 to 1")
    if not 0 < low <= high <= 1:
        raise ArgumentError(f"low is {low} and high {high}, expected 0 < low <= high <= 1")
    if at >= milestone * whole:
        return low, high
    done = at / (milestone * whole)
    left = {"step": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[mode]
    return low + (high - low) * left, high


def smoothed_cosine(at: float, whole: float, stretch: float = 1.0) -> float:
    r"""Factor of a learning rate that falls along part of a half cosine.

    .. math:: (1 + \cos(\pi\, i / (\eta I))) / 2

    Args:
        at: i, from 0; behind I the factor is 0.
        whole: I, above 0.
        stretch: :math:`\eta`, at least 1: 1 falls to 0, 2 to one half.

    Returns:
        The factor, 0 to 1.

    Raises:
        ArgumentError: `stretch` is below 1.

    Example:
        >>> smoothed_cosine(150, 300), round(smoothed_cosine(300, 300, stretch=2), 6)
        (0.5, 0.5)

    Source: Sun et al., arXiv 2312.03526 (RDED); Jiacheng8/CV-DD.
    """
    if stretch < 1:
        raise ArgumentError(f"stretch is {stretch}, expected at least 1")
    return 0.5 * (1 + math.cos(math.pi * at / (whole * stretch))) if at <= whole else 0.0


def late_epochs(epochs: int, *, share: float = 0.2, every: int = 10) -> list[int]:
    """Epochs of the last part of a training at which a network is looked at.

    Args:
        epochs: E, how many there are, at least 1.
        share: of all epochs that count as late.
        every: epochs between two looks; the last epoch is always one.

    Returns:
        Numbers of epochs from 0, in order.

    Raises:
        ArgumentError: there is no epoch.

    Example:
        >>> late_epochs(100), late_epochs(1)
        ([89, 99], [0])

    Source: LINs-lab/RDED and Jiacheng8/CV-DD.
    """
    if epochs < 1:
        raise ArgumentError(f"epochs is {epochs}, expected at least 1")
    first = epochs - share * epochs
    return [
        epoch
        for epoch in range(epochs)
        if epoch == epochs - 1 or (epoch >= first and (epoch + 1) % every == 0)
    ]


def quadratic_warmup(step: int, value: float, warmup_steps: float) -> float:
    r"""A weight that grows with the square of the step until it is full.

    .. math:: \lambda \, ((i + 1) / T)^2 \quad \text{while } i < T, \text{ then } \lambda

    A penalty of vectors that are not sparse yet starts at nearly nothing, so that it does not
    empty them before they mean anything.

    Args:
        step: i, from 0.
        value: :math:`\lambda`, the full weight.
        warmup_steps: T, at least 0; 0 has the full weight at once.

    Returns:
        The weight.

    Raises:
        ArgumentError: an argument is below 0.

    Example:
        >>> [quadratic_warmup(step, 4.0, 2) for step in (0, 1, 2)]
        [1.0, 4.0, 4.0]

    Source: Paria et al., arXiv 2004.05665; in this form zhichao-aws/
    opensearch-sparse-model-tuning-sample.
    """
    if step < 0 or warmup_steps < 0:
        raise ArgumentError(
            f"step is {step} and warmup_steps {warmup_steps}, expected both at least 0"
        )
    return value * min(1.0, (step + 1) / warmup_steps) ** 2 if step < warmup_steps else value
