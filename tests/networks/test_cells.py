"""Cells: sizes as published, edges that are left out, and cells that say nothing."""

import itertools

import pytest
import torch

from limbeck.data import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.names import build

SPACE = InputSpace(size=(32, 32), channels=3)


def cells(edges, **options):
    tail = "".join(f"&{name}={value}" for name, value in options.items())
    return build(f"cells?edges={'-'.join(edges)}{tail}", SPACE, 10)


@pytest.mark.parametrize(
    ("edges", "parameters"),
    [
        # Of NAS-Bench-201, in millions as its tables have them.
        (["conv3"] * 6, 1.531546),
        (["skip"] * 6, 0.073306),
    ],
)
def test_parameters_are_those_of_the_benchmark(edges, parameters):
    network = cells(edges)
    assert sum(one.numel() for one in network.parameters()) == round(parameters * 1e6)


def test_a_node_without_edges_is_nothing():
    network = cells(["none", "none", "none", "skip", "conv3", "pool"], cells=1).eval()
    same = cells(["none", "none", "none", "skip", "none", "none"], cells=1).eval()
    same.load_state_dict(network.state_dict(), strict=False)
    x = torch.randn(2, 3, 32, 32)
    # The convolution and the average read nodes that hold zeros; at first a norm keeps them so.
    torch.testing.assert_close(network(x), same(x))


def test_cells_that_lead_nowhere_are_refused():
    for edges in itertools.product(("none", "skip"), repeat=6):
        if _leads([kind == "skip" for kind in edges]):
            cells(edges, cells=1, width=2)
            continue
        with pytest.raises(ArgumentError, match="leads from the first node to the last"):
            cells(edges, cells=1, width=2)


def _leads(edges):
    a, b, c, d, e, f = edges
    return d or (a and e) or (b and f) or (a and c and f)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cells?edges=conv3-conv3", "holds 2 operations, expected 6"),
        ("cells?edges=conv3-conv3-conv3-conv3-conv3-conv5", "edges is 'conv5'"),
        ("cells?cells=0", "cells is 0"),
        ("resnet?blocks=3xa", "a number for each stage"),
        ("resnet?blocks=3x0x1", "above 0 for each stage"),
        ("resnet?width=0", "width is 0"),
    ],
)
def test_bad_options_are_refused(name, said):
    with pytest.raises(ArgumentError, match=said):
        build(name, SPACE, 10)


@pytest.mark.parametrize("size", [(4, 4), (7, 9), (28, 28)])
def test_small_and_odd_images_do(size):
    space = InputSpace(size=size, channels=1)
    for name in ("cells?cells=1&width=4", "resnet?blocks=1x1x1&width=4"):
        assert build(name, space, 5)(torch.zeros(2, 1, *size)).shape == (2, 5)


def test_resnets_have_the_published_sizes():
    for blocks, parameters in (("9x9x9", 855_770), ("18x18x18", 1_730_714)):
        network = build(f"resnet?blocks={blocks}", SPACE, 10)
        assert sum(one.numel() for one in network.parameters()) == parameters
    large = build("resnet?blocks=3x4x6x3&width=64&stem_stride=4", SPACE, 1000)
    assert sum(one.numel() for one in large.parameters()) == 21_797_672
