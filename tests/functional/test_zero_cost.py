"""Scores of untrained networks, beside what they are on paper."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import activation_pattern_score, gradient_norm, synaptic_saliency, zen_score


def test_patterns_are_counted_over_layers():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(4, width, generator=generator) > 0.5 for width in (6, 9)]
    units = torch.cat(layers, 1)
    alike = (units[:, None] == units[None]).sum(-1).double()
    torch.testing.assert_close(
        activation_pattern_score(layers), torch.linalg.slogdet(alike).logabsdet
    )


def test_samples_that_switch_alike_have_no_volume():
    assert activation_pattern_score([torch.ones(3, 5)]) == -torch.inf
    with pytest.raises(ArgumentError, match="ReLUs"):
        activation_pattern_score([])


def test_saliency_of_a_linear_map_is_its_output():
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    output = (weight @ torch.ones(2)).sum()
    (gradient,) = torch.autograd.grad(output, weight)
    assert synaptic_saliency([weight], [gradient]).item() == output.item()
    assert synaptic_saliency([weight], [gradient], absolute=True).item() == 6.5
    with pytest.raises(ArgumentError, match="one gradient a weight"):
        synaptic_saliency([weight], [])


def test_norms_and_zen():
    assert gradient_norm([]).item() == 0.0
    plain = torch.zeros(3, 4)
    assert zen_score(plain, plain + 1, [torch.full((2,), 4.0)]).item() == pytest.approx(
        0.6931, 1e-3
    )
    with pytest.raises(ArgumentError, match="moved"):
        zen_score(plain, plain + torch.nan, [])
