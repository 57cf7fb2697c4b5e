"""Whitening: a linear map after which the pixels of a data set are uncorrelated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from limbeck.errors import ArgumentError

# Rows that are widened to float64 at a time.
ROWS = 2048


@dataclass(frozen=True, eq=False)
class Zca:
    r"""ZCA whitening, :math:`U\,\mathrm{diag}(1/\sqrt{s + \epsilon})\,U^T (x - m)`. See `fit_zca`.

    Args:
        mean: m, ``(D,)``.
        vectors: U, eigenvectors of the covariance in columns, ``(D, D)``.
        values: s, eigenvalues of the covariance, at least 0, ``(D,)``.
        eps: added to the eigenvalues.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, appendix A.
    """

    mean: Tensor
    vectors: Tensor
    values: Tensor
    eps: float = 0.1

    def apply(self, x: Tensor) -> Tensor:
        """Whiten samples.

        Args:
            x: ``(N, ...)`` with D numbers a sample.

        Returns:
            The same shape and dtype, differentiable in `x`.

        Raises:
            ArgumentError: a sample has another number of numbers.

        Example:
            >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
            >>> fit_zca(x, eps=0.01).apply(x).mean(0).abs().max().item() < 1e-6
            True
        """
        flat = self._flat(x)
        mean, matrix = self.mean.to(flat), self._whitening.to(flat)
        return ((flat - mean) @ matrix).reshape(x.shape)

    def restore(self, x: Tensor) -> Tensor:
        """Undo `apply`.

        Args:
            x: whitened samples ``(N, ...)``.

        Returns:
            The same shape and dtype, differentiable in `x`.

        Raises:
            ArgumentError: a sample has another number of numbers.

        Example:
            >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
            >>> zca = fit_zca(x)
            >>> torch.allclose(zca.restore(zca.apply(x)), x, atol=1e-6)
            True
        """
        flat = self._flat(x)
        return (flat @ self._colouring.to(flat) + self.mean.to(flat)).reshape(x.shape)

    @cached_property
    def _whitening(self) -> Tensor:
        return (self.vectors * (self.values + self.eps).rsqrt()) @ self.vectors.T

    @cached_property
    def _colouring(self) -> Tensor:
        return (self.vectors * (self.values + self.eps).sqrt()) @ self.vectors.T

    def _flat(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x[:1].numel() != len(self.mean) * len(x[:1]):
            raise ArgumentError(
                f"x has shape {tuple(x.shape)}, expected (N, ...) with {len(self.mean)} numbers a "
                "sample, as in the samples that the whitening was fitted on"
            )
        if not x.is_floating_point():
            raise ArgumentError(f"x has dtype {x.dtype}, expected fractions; use x.float() / 255")
        return x.flatten(1)


def fit_zca(x: Tensor, eps: float = 0.1) -> Zca:
    r"""Fit ZCA whitening on samples.

    With the covariance :math:`C = U\,\mathrm{diag}(s)\,U^T` of the flattened samples, divisor
    N - 1, a sample becomes :math:`U\,\mathrm{diag}(1/\sqrt{s + \epsilon})\,U^T (x - m)`. Sums and
    the decomposition are in float64; memory grows with D², not with N.

    Args:
        x: samples ``(N, ...)`` with D numbers each, in [0, 1] for the usual `eps`; N may be below
            D.
        eps: added to the eigenvalues, above 0.

    Returns:
        The map, with `Zca.apply` and `Zca.restore`.

    Raises:
        ArgumentError: there are fewer than two samples, a number is not finite, or `eps` is not
            above 0.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
        >>> fit_zca(x).values.round(decimals=4).tolist()
        [0.1667, 0.5]

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, appendix A.
    """
    if eps <= 0:
        raise ArgumentError(f"eps is {eps}, expected a number above 0, such as 0.1")
    if x.ndim < 2 or len(x) < 2 or not x.is_floating_point():
        raise ArgumentError(
            f"x is {x.dtype} of shape {tuple(x.shape)}, expected fractions (N, ...) with at least "
            "two samples"
        )
    flat = x.detach().flatten(1)
    mean = torch.stack([part.double().sum(0) for part in flat.split(ROWS)]).sum(0) / len(flat)
    if not bool(torch.isfinite(mean).all()):
        raise ArgumentError("x holds NaN or infinity; drop those samples")
    covariance = flat.new_zeros(len(mean), len(mean), dtype=torch.float64)
    for part in flat.split(ROWS):
        centred = part.double() - mean
        covariance.addmm_(centred.T, centred)
    values, vectors = torch.linalg.eigh(covariance / (len(flat) - 1))
    return Zca(mean, vectors, values.clamp(min=0), eps)
