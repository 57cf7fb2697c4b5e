"""ZCA is what a written-out decomposition gives; it can be undone and needs no second copy."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from limbeck.errors import ArgumentError
from limbeck.functional import whitening
from limbeck.functional.whitening import fit_zca


def sample(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("count", "eps"), [(50, 0.1), (5, 0.1), (50, 1e-3)])
def test_it_is_the_written_out_map(count, eps):
    x = sample(count, 2, 3, 2)
    flat = x.flatten(1).numpy()
    covariance = np.cov(flat.T)
    values, vectors = np.linalg.eigh(covariance)
    matrix = vectors @ np.diag(1 / np.sqrt(values + eps)) @ vectors.T
    expected = (flat - flat.mean(0)) @ matrix
    zca = fit_zca(x, eps)
    np.testing.assert_allclose(zca.apply(x).flatten(1).numpy(), expected, atol=1e-9)
    assert (zca.mean.shape, zca.vectors.shape, zca.values.shape) == ((12,), (12, 12), (12,))


def test_without_eps_the_covariance_is_the_identity():
    x = sample(400, 5)
    white = fit_zca(x, 1e-12).apply(x)
    torch.testing.assert_close(white.T.cov(), torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize("count", [3, 200])
def test_what_was_whitened_is_restored(count):
    x, new = sample(count, 1, 4, 4), sample(7, 1, 4, 4, seed=1)
    zca = fit_zca(x)
    torch.testing.assert_close(zca.restore(zca.apply(new)), new)
    assert (zca.values >= 0).all()


def test_parts_give_what_the_whole_gives(monkeypatch):
    x = sample(100, 6)
    whole = fit_zca(x)
    monkeypatch.setattr(whitening, "ROWS", 7)
    torch.testing.assert_close(fit_zca(x).apply(x), whole.apply(x))


def test_float32_keeps_its_dtype_and_is_summed_wide():
    x = sample(300, 4, dtype=torch.float32)
    zca = fit_zca(x + 1000)
    assert zca.apply(x).dtype == torch.float32
    exact = fit_zca((x + 1000).double())
    torch.testing.assert_close(zca.values, exact.values)


def test_gradients_pass_through():
    zca = fit_zca(sample(20, 4))
    x = sample(3, 2, 2, seed=2).requires_grad_()
    assert gradcheck(zca.apply, x)
    assert gradcheck(zca.restore, x)


def test_wrong_arguments_are_refused():
    x = sample(20, 4)
    with pytest.raises(ArgumentError, match=r"eps is 0, expected a number above 0"):
        fit_zca(x, 0)
    with pytest.raises(ArgumentError, match=r"x is .*shape \(1, 4\), expected .* at least two"):
        fit_zca(x[:1])
    with pytest.raises(ArgumentError, match="expected fractions"):
        fit_zca(torch.zeros(4, 4, dtype=torch.uint8))
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        fit_zca(torch.full((3, 2), float("nan")))
    with pytest.raises(ArgumentError, match=r"shape \(2, 5\), expected .* with 4 numbers a sample"):
        fit_zca(x).apply(torch.zeros(2, 5))
    with pytest.raises(ArgumentError, match=r"use x\.float\(\) / 255"):
        fit_zca(x).apply(torch.zeros(2, 4, dtype=torch.uint8))
