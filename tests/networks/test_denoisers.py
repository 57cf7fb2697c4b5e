"""Denoisers by name take the samples of their data, and are told times and classes."""

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file

from limbeck import keyed
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.fingerprint import fingerprint
from limbeck.functional.diffusion import add_noise, prediction_target
from limbeck.networks import Denoiser
from limbeck.networks.denoisers import DenoisingMLP, TimeFeatures
from limbeck.networks.fresh import fresh
from limbeck.networks.names import build

PLANE = InputSpace((2,))
DIGIT = InputSpace((8, 8), 1)
FASHION = InputSpace((28, 28), 1)
COLOUR = InputSpace((32, 32), 3)
NAMES = [
    ("denoiser-mlp?width=16&depth=2", PLANE),
    ("denoiser-mlp?width=16&features=8&schedule=vp", DIGIT),
    ("denoiser-mlp?width=16&schedule=edm&sigma_data=1", PLANE),
    ("denoiser-unet?widths=8x16", DIGIT),
    ("denoiser-unet?widths=8x16x16&shift=3", FASHION),
    ("denoiser-unet?widths=8x8x16&attention=true&schedule=edm", COLOUR),
    ("denoiser-unet?widths=8&layers_per_block=2&prediction=x0", InputSpace((6, 10), 2)),
]


def made(name, space=PLANE, outputs=3):
    with keyed.torch_seeded(7):
        return build(name, space, outputs)


@pytest.mark.parametrize(("name", "space"), NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_they_take_their_samples_and_classes(name, space, outputs):
    denoiser = made(name, space, outputs)
    assert isinstance(denoiser, Denoiser)
    assert (denoiser.conditions, denoiser.shape) == (outputs * (outputs > 1), space.shape)
    assert denoiser.limbeck_spec == name
    x, t = torch.randn(4, *space.shape), torch.tensor([1.0, 0.6, 0.3, 0.1])
    ids = torch.tensor([0, 1, 2, 3]) if denoiser.conditional else None
    found = denoiser.predict(x, t, ids)
    assert found.shape == x.shape
    assert found.isfinite().all()
    # Times and classes make a difference to each sample, and samples none to each other.
    assert (denoiser(x, t.flip(0), ids) != denoiser(x, t, ids)).flatten(1).any(1).all()
    torch.testing.assert_close(
        denoiser(x[1:2], t[1], None if ids is None else ids[1:2]), denoiser(x, t, ids)[1:2]
    )
    if ids is not None:
        other = denoiser(x, t, (ids + 1) % 4)
        assert (other != denoiser(x, t, ids)).flatten(1).any(1).all()


@pytest.mark.parametrize(("name", "space"), NAMES)
def test_they_are_copied_stored_and_made_again(name, space, tmp_path):
    denoiser = made(name, space).eval()
    x, t, ids = torch.randn(2, *space.shape), torch.tensor([0.9, 0.2]), torch.tensor([0, 2])
    known = denoiser(x, t, ids)
    save_file(denoiser.state_dict(), tmp_path / "weights.safetensors")
    others = [
        copy.deepcopy(denoiser),
        pickle.loads(pickle.dumps(denoiser)),
        build(f"file:{tmp_path}/weights.safetensors?network={name}", space, 3),
    ]
    for other in others:
        assert torch.equal(other.eval()(x, t, ids), known)
        assert fingerprint(other) == fingerprint(denoiser)
    again = fresh(denoiser, space, 3, keyed.key(1))
    assert fingerprint(again) == fingerprint(fresh(name, space, 3, keyed.key(1)))
    assert fingerprint(again) != fingerprint(denoiser)


@pytest.mark.parametrize(("name", "space"), NAMES)
def test_all_their_weights_are_trained(name, space):
    denoiser = made(name, space)
    x, ids = torch.randn(4, *space.shape), torch.tensor([0, 1, 2, 3])
    # The last convolutions of a block of attention may start at any value but reach the output.
    denoiser(x, torch.rand(4), ids).square().mean().backward()
    without = [name for name, one in denoiser.named_parameters() if one.grad is None]
    assert not without


def test_a_unet_is_that_of_diffusers_and_counts_in_steps():
    diffusers = pytest.importorskip("diffusers")
    denoiser = made("denoiser-unet", DIGIT, 10)
    model = denoiser.network.model
    assert isinstance(model, diffusers.UNet2DModel)
    assert model.config.num_class_embeds == 11
    assert 160_000 < sum(one.numel() for one in denoiser.parameters()) < 170_000
    x, ids = torch.randn(2, 1, 8, 8), torch.tensor([3, 10])
    said = model(x, torch.tensor(250.0), class_labels=ids).sample
    torch.testing.assert_close(denoiser(x, 0.25, ids), said)


def test_the_usual_predictions_fit_their_schedules():
    for schedule, prediction, deviation in (
        ("flow", "flow", None),
        ("vp", "v", None),
        ("edm", "x0", 0.5),
    ):
        denoiser = made(f"denoiser-mlp?schedule={schedule}")
        assert (denoiser.prediction, denoiser.precondition) == (prediction, deviation)
    assert made("denoiser-mlp?schedule=edm&prediction=eps").precondition is None


def test_time_features_tell_levels_apart():
    features = TimeFeatures(32)(torch.linspace(0, 1, 1001))
    assert features.shape == (1001, 32)
    assert features.abs().max() <= 1
    assert (features[1:] - features[:-1]).norm(dim=1).min() > 0.01
    assert torch.cdist(features[::100], features[::100]).fill_diagonal_(9).min() > 0.5


def test_a_perceptron_is_what_is_written_out():
    network = DenoisingMLP((2,), width=4, depth=1, features=2, conditions=1)
    x, time, ids = torch.randn(3, 2), torch.rand(3), torch.tensor([0, 1, 1])
    told = network.time(time) + network.condition.weight[ids]
    hidden = x @ network.input.weight.T + network.input.bias
    hidden = hidden + network.blocks[0](torch.nn.functional.silu(hidden + told))
    torch.testing.assert_close(network(x, time, ids), network.output(hidden))


@pytest.mark.parametrize("schedule", ["flow", "vp", "edm"])
def test_a_perceptron_learns_what_it_is_shown(schedule):
    """A single point: its posterior mean is the point at every level."""
    denoiser = made(f"denoiser-mlp?width=32&depth=1&schedule={schedule}&sigma_data=1", outputs=1)
    point = torch.tensor([1.0, -0.5])
    optimiser = torch.optim.Adam(denoiser.parameters(), 5e-3)
    torch.manual_seed(0)
    for _ in range(300):
        t, noise = torch.rand(128), torch.randn(128, 2)
        alpha, sigma = denoiser.alpha_sigma(t)
        rates = None if schedule == "vp" else denoiser.schedule.rates(t)
        x0 = point.expand(128, 2)
        target = prediction_target(x0, noise, alpha, sigma, denoiser.prediction, rates=rates)
        loss = (denoiser(add_noise(x0, noise, alpha, sigma), t) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    noise = torch.randn(500, 2)
    alpha, sigma = denoiser.alpha_sigma(0.8)
    found = denoiser.predict(add_noise(point.expand(500, 2), noise, alpha, sigma), 0.8)
    assert (found - point).norm(dim=1).mean() < 0.2


@pytest.mark.parametrize(
    ("name", "space", "words"),
    [
        ("denoiser-unet", PLANE, r"a denoiser-unet takes images and the inputs have shape \(2,\)"),
        ("denoiser-unet?widths=8x16x32", InputSpace((30, 30), 1), "not divisible by 4"),
        ("denoiser-unet?widths=12x16", DIGIT, "widths is '12x16', expected multiples of 8"),
        ("denoiser-unet?widths=0", DIGIT, "widths is 0, expected multiples of 8"),
        ("denoiser-unet?layers_per_block=0", DIGIT, "layers_per_block is 0"),
        ("denoiser-mlp?width=0", PLANE, "width is 0, expected a whole number"),
        ("denoiser-mlp?depth=1.5", PLANE, "depth is 1.5, expected a whole number"),
        ("denoiser-mlp?features=5", PLANE, "features is 5, expected an even number"),
        ("denoiser-mlp?prediction=noise", PLANE, "prediction is 'noise'"),
        ("denoiser-mlp?schedule=vp&prediction=flow", PLANE, "the schedule is vp, which has no"),
        ("denoiser-mlp?dept=3", PLANE, "denoiser-mlp has no option 'dept'; did you mean depth"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, space, words):
    with pytest.raises(ArgumentError, match=words):
        build(name, space, 3)


def test_without_diffusers_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(ModelError, match=r"diffusers is not installed; pip install 'limbeck\[diff"):
        build("denoiser-unet", DIGIT, 3)
