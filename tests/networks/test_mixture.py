"""The exact denoiser is the posterior mean, by whatever way it is computed."""

import copy
import pickle

import numpy as np
import pytest
import torch

from limbeck.data import MIXTURES
from limbeck.data.names import resolve
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.networks.making import weights_of
from limbeck.networks.names import build

PLANE = InputSpace((2,))
LEVELS = (0.2, 0.35, 0.7, 1.0)


def exact(name="ring8-2c", options=""):
    return build(f"mixture?of={name}{options}", PLANE, MIXTURES[name].count)


def brute_force(mixture, x_t, alpha, sigma, label):
    """The mean of x0 over a fine grid, weighted by its density and by that of the noise."""
    side = torch.linspace(-2.5, 2.5, 251, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    density = torch.zeros(len(grid), dtype=torch.float64)
    for mean, share in zip(mixture.means, mixture.shares(label), strict=True):
        density += share * (-(grid - mean).square().sum(1) / (2 * mixture.deviation**2)).exp()
    found = []
    for one in x_t:
        away = (one - alpha * grid).square().sum(1) / (2 * sigma**2)
        weight = density * (-(away - away.min())).exp()
        found.append((weight[:, None] * grid).sum(0) / weight.sum())
    return torch.stack(found)


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("schedule", ["flow", "vp", "edm"])
def test_the_prediction_is_the_posterior_mean(name, schedule):
    denoiser, mixture = exact(name, f"&schedule={schedule}"), MIXTURES[name]
    torch.manual_seed(0)
    for level in LEVELS:
        alpha, sigma = denoiser.alpha_sigma(level)
        x_t = alpha * mixture.means[:3] + sigma * torch.randn(3, 2, dtype=torch.float64)
        for label in (0, mixture.count - 1, None):
            ids = None if label is None else torch.full((3,), label)
            found = denoiser.predict(x_t, level, ids)
            known = brute_force(mixture, x_t, alpha, sigma, label)
            torch.testing.assert_close(found, known, rtol=1e-6, atol=1e-6)


def test_it_is_the_best_guess_of_the_data():
    """No offset and no scale of the prediction comes nearer to the samples it was made from."""
    data, denoiser = resolve("overlap-2c"), exact("overlap-2c")
    x0 = data.train.take(np.arange(len(data.train)))["x"].double()
    torch.manual_seed(0)
    noise = torch.randn_like(x0)
    found = denoiser.predict(0.4 * x0 + 0.6 * noise, 0.6, data.train.y)
    error = x0 - found
    bound = 5 * error.std() / len(x0) ** 0.5
    assert error.mean(0).abs().max() < bound
    assert (error * found).mean(0).abs().max() < bound * found.abs().max()


def test_guidance_pulls_away_from_what_classes_share():
    denoiser, means = exact("overlap-2c"), MIXTURES["overlap-2c"].means
    x_t, ids = 0.3 * means[1:3].mean(0, keepdim=True), torch.tensor([0])
    plain = denoiser.predict(x_t, 0.7, ids)
    guided = denoiser.predict(x_t, 0.7, ids, guidance=3.0)
    nothing = denoiser.predict(x_t, 0.7)
    torch.testing.assert_close(guided, nothing + 3 * (plain - nothing))
    assert torch.cdist(guided, means[2:3]) > torch.cdist(plain, means[2:3])


def test_at_the_clean_end_a_sample_is_what_it_was():
    x = torch.randn(5, 2)
    torch.testing.assert_close(exact().predict(x, 0.0), x)


def test_there_is_nothing_to_train():
    denoiser = exact()
    assert not list(denoiser.parameters())
    assert not denoiser.state_dict()
    assert weights_of(denoiser) == "brought"
    x = torch.randn(5, 2, requires_grad=True)
    denoiser.predict(x, 0.5).sum().backward()
    assert x.grad.isfinite().all()
    for other in (copy.deepcopy(denoiser), pickle.loads(pickle.dumps(denoiser)), exact()):
        assert torch.equal(other.predict(x, 0.5), denoiser.predict(x, 0.5))
    assert repr(exact()) != repr(exact("overlap-2c"))


def test_inputs_of_other_data_are_refused():
    with pytest.raises(ModelError, match=r"of is 'swiss', which is no mixture .*Valid: overlap-2c"):
        build("mixture?of=swiss", PLANE, 1)
    with pytest.raises(ArgumentError, match=r"in 3 classes, and ring8-2c has \(2,\) in 2"):
        build("mixture?of=ring8-2c", PLANE, 3)
    with pytest.raises(ArgumentError, match=r"inputs have shape \(3,\)"):
        build("mixture?of=ring8-2c", InputSpace((3,)), 2)
