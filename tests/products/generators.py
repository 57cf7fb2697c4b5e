"""Small generators of every kind, untrained: what they make is noise, the same each time."""

import copy

import pytest

from limbeck.data import InputSpace
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build
from limbeck.networks.routed import Routed
from limbeck.products import Generator
from limbeck.samplers import FewStep

PLANE = InputSpace((2,))
GREY = InputSpace((8, 8), channels=1, mean=(0.5,), std=(0.5,))
SPECS = {
    "points": ("denoiser-mlp?width=8&depth=1", PLANE, ("even", "odd")),
    "one class": ("denoiser-mlp?width=8&depth=1", PLANE, ("all",)),
    "edm": ("denoiser-mlp?width=8&depth=1&schedule=edm", GREY, ("a", "b", "c/d")),
    "images": ("denoiser-mlp?width=8&depth=1", GREY, ("a", "b", "c/d")),
    "unet": ("denoiser-unet?widths=8x16", GREY, ("a", "b", "c/d")),
    "routed": ("denoiser-mlp?width=8&depth=1", PLANE, ("even", "odd")),
}


def network(spec, space, classes, seed=3):
    if "unet" in spec:
        pytest.importorskip("diffusers", reason="diffusers is not installed")
    with torch_seeded(seed):
        return build(spec, space, len(classes))


def made(name="points", **options):
    spec, space, classes = SPECS[name]
    inner = network(spec, space, classes)
    if name == "routed":
        inner = Routed([inner, network(spec, space, classes, seed=4)], (0.5,))
    return Generator(inner, FewStep(**options), space, classes)


def unet(*, spec=None, classes=None, experts=1, learned=None, **options):
    """A generator of images over models of diffusers, whose name tells schedule and prediction."""
    words = "&".join(f"{name}={value}" for name, value in (spec or {}).items())
    name, space, usual = SPECS["unet"]
    name, classes = f"{name}&{words}" if words else name, classes or usual
    several = [network(name, space, classes, seed=3 + number) for number in range(experts)]
    bounds = [1 - number / experts for number in range(1, experts)]
    inner = several[0] if experts == 1 else Routed(several, bounds)
    return Generator(inner, FewStep(**options), space, classes, learned=learned)


def nameless(generator):
    """The same over a network that no name rebuilds."""
    other = copy.deepcopy(generator)
    del other.network.limbeck_spec
    return other
