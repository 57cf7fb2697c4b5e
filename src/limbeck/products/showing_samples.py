"""Showing samples: those of several generators side by side, for the report of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.centred import centred
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.evaluate.generators import REAL, asked_labels
from limbeck.features import on_device
from limbeck.functional.diffusion import add_noise
from limbeck.loops.scores import heard
from limbeck.products.generator import Generator
from limbeck.run.densities import densities, extent_of
from limbeck.run.exhibits import Gallery, add_galleries
from limbeck.run.galleries import Images, evolution
from limbeck.run.run import Run
from limbeck.samplers.noise import unit_noise

SIDE_BY_SIDE, WAY = "Samples side by side", "From noise to samples"
# Generators beside the product, images of a class, and classes of points.
RIVALS, EACH, MOST = 2, 4, 6
EQUAL = "The same noise and label in a place, real samples apart"
CLEAN = "What the network takes for the clean sample at each level it is asked at"
SCORES = "What teacher and fake say"
SAID = "Samples of the student, noised to a level, as teacher and fake take them to be clean"
NOISED = (0.3, 0.7)


def show_samples(run: Run, product: Generator, made: Mapping[str, Tensor], data: Data) -> None:
    """Put samples beside a run's other exhibits: of several generators, and on their way.

    Args:
        run: the folder.
        product: whose way is shown.
        made: samples by the name of their generator, as `limbeck.evaluate.generators` makes them,
            real ones among them.
        data: images, or points in a plane; of other data there is nothing to see.
    """
    space, labels = data.input_space, asked_labels(data)
    names = [*list(made)[: 1 + RIVALS], REAL]
    shown = {name: made[name] for name in names}
    galleries: list[Gallery] = []
    if space is not None and space.channels in (1, 3):
        galleries = _images(product, shown, labels, space, run.seed)
    elif product.network.shape == (2,):
        way = product.path(labels, seed=run.seed)
        extent = extent_of(made[REAL])
        galleries = [
            densities(title, sets, _groups(labels, data.classes), extent, caption=f"{caption}.")
            for title, sets, caption in ((SIDE_BY_SIDE, shown, EQUAL), (WAY, _by_level(way), CLEAN))
        ]
    add_galleries(run.dir, galleries, first=True)


@torch.no_grad()
def show_scores(run: Run, product: Generator, teacher: Any, fake: Any, data: Data) -> None:
    """Put beside a run's other exhibits what teacher and fake take noised samples for.

    Where both say the same, the student has nothing left to learn from them.

    Args:
        run: the folder.
        product: whose samples are noised.
        teacher: denoiser of the data.
        fake: denoiser of the student's samples.
        data: images, or points in a plane; of other data there is nothing to see.
    """
    space, labels = data.input_space, asked_labels(data)
    pictured = space is not None and space.channels in (1, 3)
    if not pictured and product.network.shape != (2,):
        return
    centre = centred(data).input_space
    if pictured:
        labels = labels[: int(_first_of_each(labels, EACH).max()) + 1]
    x = product.sample(labels, seed=run.seed)
    read = x if centre is None else centre.normalise(x)
    sets = {"student": x}
    for level in NOISED:
        noise = unit_noise(keyed.key(run.seed, "scores"), range(len(x)), read.shape[1:])
        t = torch.full((len(read),), level)
        x_t = add_noise(read, noise, *teacher.alpha_sigma(t))
        for name, network in (("teacher", teacher), ("fake", fake)):
            asked = labels if network.conditional else None
            with on_device("cpu", network):
                clean = heard(network, teacher, x_t, t, asked)
            sets[f"{name}, level {level:g}"] = (
                clean if centre is None else centre.denormalise(clean)
            )
    if not pictured:
        groups = _groups(labels, data.classes)
        told = densities(SCORES, sets, groups, extent_of(x), caption=f"{SAID}.")
    else:
        assert space is not None
        first, plain = _first_of_each(labels, EACH), dataclasses.replace(space, mean=(), std=())
        columns = {name: _pictures(plain.to_bytes(one[first])) for name, one in sets.items()}
        told = evolution(
            SCORES, columns, labels[first].tolist(), product.classes, each=EACH, caption=SAID
        )
    add_galleries(run.dir, [told])


def _images(
    product: Generator, shown: Mapping[str, Tensor], labels: Tensor, space: InputSpace, seed: int
) -> list[Gallery]:
    plain = dataclasses.replace(space, mean=(), std=())
    first = _first_of_each(labels, EACH)
    told, classes = labels[first].tolist(), product.classes
    columns = {name: _pictures(plain.to_bytes(one[first])) for name, one in shown.items()}
    # The ids of samples are their places, so the way is that of the first ones of all.
    way = product.path(labels[: int(first.max()) + 1], seed=seed, as_bytes=True)
    moments = {name: _pictures(one[first]) for name, one in _by_level(way).items()}
    return [
        evolution(SIDE_BY_SIDE, columns, told, classes, each=EACH, caption=EQUAL),
        evolution(WAY, moments, told, classes, each=2, caption=CLEAN),
    ]


def _pictures(images: Tensor) -> Images:
    return images.permute(0, 2, 3, 1).numpy()


def _by_level(way: Mapping[float, Tensor]) -> dict[str, Tensor]:
    return {f"level {level:g}": x for level, x in way.items()}


def _first_of_each(labels: Tensor, count: int) -> Tensor:
    """Places of the first samples of every class, in order."""
    found = [(labels == one).nonzero().flatten()[:count] for one in labels.unique()]
    return torch.cat(found).sort().values


def _groups(labels: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """All samples, and those of the first classes where there are several."""
    whole = {"all": torch.ones_like(labels, dtype=torch.bool)}
    if len(classes) < 2:
        return whole
    return whole | {name: labels == place for place, name in enumerate(classes[:MOST])}
