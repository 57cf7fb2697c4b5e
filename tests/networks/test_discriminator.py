"""The discriminator of logits: its layers, what its loss cannot fall below, and errors."""

from __future__ import annotations

import math

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.adversarial import discriminator_input, discriminator_loss
from limbeck.networks.discriminator import LogitDiscriminator


def rows(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def network(classes=16, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LogitDiscriminator(classes, **{"reduction": 2, **options}).double()


def losses_in_training(module, student, teacher, steps=80):
    """The loss at each step of a discriminator that learns to tell fixed rows apart."""
    optimiser = torch.optim.Adam(module.parameters(), lr=0.03)
    found = []
    for _ in range(steps):
        loss = discriminator_loss(module(student), module(teacher))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(
    ("classes", "reduction", "widths"),
    [(1000, 8, (125, 15)), (100, 8, (12, 1)), (10, 3, (3, 1)), (4, 2, (2, 1)), (1, 1, (1, 1))],
)
def test_widths_are_shares_of_the_ones_before(classes, reduction, widths):
    module = LogitDiscriminator(classes, reduction=reduction)
    linear = [layer for layer in module.layers if isinstance(layer, torch.nn.Linear)]
    assert tuple(layer.out_features for layer in linear) == (*widths, 2)
    assert module(torch.zeros(5, classes)).shape == (5, 2)
    assert module(torch.zeros(0, classes)).shape == (0, 2)


@pytest.mark.parametrize("final_relu", [False, True])
def test_outputs_are_those_of_the_layers_written_out(final_relu):
    module, z = network(final_relu=final_relu), rows(5, 16)
    w1, b1, w2, b2, w3, b3 = module.parameters()
    expected = ((z @ w1.T + b1).relu() @ w2.T + b2).relu() @ w3.T + b3
    torch.testing.assert_close(module(z), expected.relu() if final_relu else expected)


def test_weights_do_not_depend_on_the_final_relu():
    """A network saved without it can be read with it."""
    module = network(final_relu=True)
    assert module.load_state_dict(network(seed=1).state_dict())
    z = rows(5, 16)
    torch.testing.assert_close(module(z), network(seed=1)(z).relu())


def test_final_relu_gives_the_loss_a_floor():
    """The entry with target 0 costs at least log 2, for any outputs of at least 0."""
    floor = 0.5 * math.log(2)
    student, teacher = rows(8, 16) + 2, rows(8, 16, seed=1) - 2
    for seed in range(2):
        found = losses_in_training(network(seed=seed, final_relu=True), student, teacher)
        assert min(found) >= floor
        assert losses_in_training(network(seed=seed), student, teacher)[-1] < 0.1
    far = torch.tensor([[1e4, 0.0]])
    assert discriminator_loss(far, far.flip(1)).item() == pytest.approx(floor)


def test_output_clipped_for_all_rows_learns_nothing():
    module = network(final_relu=True)
    with torch.no_grad():
        module.layers[-2].bias.fill_(-1e3)
    student = rows(4, 16).requires_grad_()
    loss = discriminator_loss(module(student), module(rows(4, 16, seed=1)))
    assert loss.item() == pytest.approx(math.log(2))
    for slope in torch.autograd.grad(loss, (student, *module.parameters())):
        assert (slope == 0).all()


@pytest.mark.parametrize("final_relu", [False, True])
def test_a_perfect_student_cannot_be_told_apart(final_relu):
    same = rows(8, 16)
    for seed in range(2):
        found = losses_in_training(network(seed=seed, final_relu=final_relu), same, same)
        assert min(found) >= math.log(2) - 1e-12


def test_modes_differ_in_the_sign_of_the_gradient_of_the_student():
    module, teacher = network(), rows(4, 16, seed=1)
    student = rows(4, 16).requires_grad_()
    slopes = {}
    for mode in ("cooperative", "adversarial"):
        own = module(discriminator_input(student, mode=mode))
        slopes[mode] = torch.autograd.grad(discriminator_loss(own, module(teacher)), student)[0]
    assert slopes["cooperative"].abs().max() > 0
    torch.testing.assert_close(slopes["adversarial"], -slopes["cooperative"])


def test_gradients_are_right():
    module = network()
    loss = torch.autograd.gradcheck(
        lambda s, t: discriminator_loss(module(s), module(t)),
        (rows(3, 16).requires_grad_(), rows(3, 16, seed=1).requires_grad_()),
    )
    assert loss


def test_compiles_and_maps_over_networks():
    modules, z = [network(seed=seed, final_relu=True) for seed in range(3)], rows(5, 16)
    compiled = torch.compile(modules[0], fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z), modules[0](z))
    weights, buffers = torch.func.stack_module_state(modules)
    mapped = torch.func.vmap(
        lambda weights, buffers: torch.func.functional_call(modules[0], (weights, buffers), (z,))
    )(weights, buffers)
    torch.testing.assert_close(mapped, torch.stack([module(z) for module in modules]))


def test_half_precision_runs_under_autocast():
    module = LogitDiscriminator(16, reduction=2)
    z = rows(4, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = module(z)
    assert outputs.dtype == torch.bfloat16
    assert discriminator_loss(outputs, outputs).dtype == torch.float32


def test_it_says_what_it_is():
    assert "classes=16, reduction=2, final_relu=True" in repr(network(final_relu=True))


@pytest.mark.parametrize(("classes", "reduction"), [(10, 4), (63, 8), (0, 1), (10, 0), (10, -1)])
def test_reduction_that_leaves_no_unit_is_named(classes, reduction):
    with pytest.raises(ArgumentError, match=rf"reduction is {reduction}: {classes} classes leave"):
        LogitDiscriminator(classes, reduction=reduction)


def test_largest_reduction_that_is_suggested_works():
    for classes in (1, 2, 3, 10, 63, 64, 99, 1000):
        with pytest.raises(ArgumentError, match="use a reduction from 1 to ") as caught:
            LogitDiscriminator(classes, reduction=classes + 1)
        largest = int(str(caught.value).rsplit(" ", 1)[1])
        LogitDiscriminator(classes, reduction=largest)
        with pytest.raises(ArgumentError):
            LogitDiscriminator(classes, reduction=largest + 1)


def test_logits_of_other_classes_are_named():
    for shape in ((5, 10), (5,), ()):
        with pytest.raises(ArgumentError, match=r"logits has shape .*expected \(N, 16\)"):
            network()(rows(*shape))
    assert network()(rows(16)).shape == (2,)
