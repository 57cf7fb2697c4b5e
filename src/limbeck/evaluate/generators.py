"""Generators side by side: samples of equal noise and labels, held against real ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.problems import MIXTURES
from limbeck.data.splits import Split
from limbeck.errors import ModelError
from limbeck.evaluate.judges import Judge, judge_of
from limbeck.evaluate.quality import Figures
from limbeck.functional.coverage import (
    manifold_scores,
    mean_pairwise_distance,
    mode_scores,
    nearest_distance,
)
from limbeck.functional.generative import (
    frechet_distance,
    gaussian_mmd,
    kernel_distance,
    sliced_wasserstein,
    unit_projections,
)
from limbeck.run.run import Run

Row = dict[str, Any]
# Samples of each generator, as many as the test split has at most.
POINTS, IMAGES = 4000, 1000
# Of the points, about how many are compared pair by pair.
PAIRED = 2000
PROJECTIONS = 200
WARM_UP = 16
# Real images among which the nearest is sought.
LOOKED_AT = 10_000
REAL = "real samples"
ROLES = ("product", "baseline", "teacher")


class Points:
    """Vectors: distances of distributions, and modes where the data's are known.

    Args:
        data: real ones.
        test: those to compare with, ``(N, ...)``.
        labels: of all samples, ``(N,)``.
    """

    def __init__(self, data: Data, test: Tensor, labels: Tensor) -> None:
        self.test, self.labels = test.flatten(1), labels
        self.mixture = MIXTURES.get(data.name)
        key = keyed.key("projections")
        self.projections = unit_projections(self.test.shape[1], PROJECTIONS, key)
        # Evenly spread, as samples may be in the order of their classes.
        self.every = max(1, len(test) // PAIRED)

    def figures(self, x: Tensor, conditional: bool) -> Figures:
        """What samples ``(N, ...)`` are worth; `conditional`: whether they follow the labels."""
        x = x.flatten(1)
        figures = {
            "sliced_wasserstein": sliced_wasserstein(x, self.test, self.projections),
            "mmd": gaussian_mmd(x[:: self.every], self.test[:: self.every]),
        }
        if self.mixture is not None:
            figures |= self._modes(x, conditional)
        return figures | {"spread": _within(x, self.labels, conditional)}

    def _modes(self, x: Tensor, conditional: bool) -> Figures:
        """Modes that are hit, of all classes together; other figures as means over classes."""
        mixture: Any = self.mixture
        means = mixture.means
        found = [
            mode_scores(
                x[own], means[mixture.modes(label)] if conditional else means, mixture.deviation
            )
            for label, own in _groups(self.labels, conditional).items()
        ]
        return {
            "modes": sum(one["modes"] for one in found),
            "on_mode": fmean(one["on_mode"] for one in found),
            "mode_entropy": fmean(one["entropy"] for one in found),
        }

    def real(self, x: Tensor) -> Figures:
        """What other real samples ``(N, ...)`` are worth: what can be reached."""
        return self.figures(x, conditional=True)


class Pictures:
    """Images: distances in the features of a judge, and distances of pixels.

    Args:
        data: real ones.
        test: those to compare with, ``(N, C, H, W)``.
        labels: of all samples, ``(N,)``.
        judge: a classifier of the data.
    """

    def __init__(self, data: Data, test: Tensor, labels: Tensor, judge: Judge) -> None:
        self.test, self.labels, self.judge = test, labels, judge
        self.seen = judge.features(test)
        self.known = _spread_out(data, data.train, LOOKED_AT)[0].flatten(1)

    def figures(self, x: Tensor, conditional: bool) -> Figures:
        """What samples ``(N, C, H, W)`` are worth; see `Points.figures`."""
        told = {"label_accuracy": self.judge.accuracy(x, self.labels)} if conditional else {}
        return self._distances(x) | told | self._of_pixels(x, conditional)

    def real(self, x: Tensor) -> Figures:
        """What can be reached: distances of other real samples ``(N, C, H, W)``, and the rest of
        those compared with, which the judge has not seen."""
        told = {"label_accuracy": self.judge.accuracy(self.test, self.labels)}
        return self._distances(x) | told | self._of_pixels(self.test, conditional=True)

    def _distances(self, x: Tensor) -> Figures:
        seen = self.judge.features(x)
        return {
            "frechet": frechet_distance(seen, self.seen),
            "kid": kernel_distance(seen, self.seen),
            **manifold_scores(self.seen, seen),
        }

    def _of_pixels(self, x: Tensor, conditional: bool) -> Figures:
        flat = x.flatten(1)
        return {
            "diversity": _within(flat, self.labels, conditional),
            "nearest": nearest_distance(flat, self.known),
        }


def generator_rows(
    run: Run, entries: Mapping[str, Any], data: Data
) -> tuple[list[Row], dict[str, Tensor]]:
    """Judge generators on the same noise and the labels of the test split.

    Args:
        run: where the judge of images is kept; its seed is that of the noise.
        entries: `Generator` by name: the product, the baseline, the teacher in many steps, and
            references.
        data: vectors or images.

    Returns:
        Rows ``{"name", "role", "quality", "cost"}``, the last of other real samples, which tells
        what can be reached; and the samples by name, those real ones among them, ``(N, ...)``.

    Raises:
        ModelError: samples are not finite (whose, is said).
    """
    test, labels = _spread_out(data, data.test, _most(data))
    bench: Points | Pictures
    if _pictured(data):
        bench = Pictures(data, test, labels, judge_of(run, data))
    else:
        bench = Points(data, test, labels)
    rows: list[Row] = []
    made: dict[str, Tensor] = {}
    for place, (name, one) in enumerate(entries.items()):
        # The first call of a network pays for what the others find ready.
        one.sample(labels[:WARM_UP], seed=run.seed)
        begun = time.perf_counter()
        made[name] = _finite(one.sample(labels, seed=run.seed), name)
        seconds = (time.perf_counter() - begun) * 1000 / len(labels)
        cost = one.cost() | {"sample_seconds": round(seconds, 4)}
        role = ROLES[place] if place < len(ROLES) else "reference"
        quality = bench.figures(made[name], one.conditional or len(data.classes) == 1)
        rows.append({"name": name, "role": role, "quality": quality, "cost": cost})
    made[REAL] = _like(data, labels)
    rows.append({"name": REAL, "role": "reference", "quality": bench.real(made[REAL]), "cost": {}})
    return rows, made


def asked_labels(data: Data) -> Tensor:
    """The labels ``(N,)`` that `generator_rows` asks samples for."""
    return _spread_out(data, data.test, _most(data))[1]


def _pictured(data: Data) -> bool:
    return data.input_space is not None and data.input_space.channels is not None


def _most(data: Data) -> int:
    return IMAGES if _pictured(data) else POINTS


def _spread_out(data: Data, split: Split, most: int) -> tuple[Tensor, Tensor]:
    """Evenly spread samples of a split in the value range of the data, and their labels."""
    count = len(split)
    chosen = np.linspace(0, count - 1, num=min(count, most)).astype(np.int64)
    columns = data.columns(split, chosen)
    return columns["x"].float(), columns["y"]


def _like(data: Data, labels: Tensor) -> Tensor:
    """Training samples of the same labels, drawn without replacement where there are enough."""
    y = data.train.y
    assert y is not None
    chosen = np.zeros(len(labels), dtype=np.int64)
    for label in labels.unique().tolist():
        places = (labels == label).nonzero().flatten().numpy()
        known = (y == label).nonzero().flatten().numpy()
        order = keyed.permutation(keyed.key("real samples", label), len(known))
        chosen[places] = known[np.resize(order, len(places))]
    return data.columns(data.train, chosen)["x"].float()


def _finite(made: Tensor, name: str) -> Tensor:
    if not bool(torch.isfinite(made).all()):
        raise ModelError(f"samples of {name} are NaN or infinite, so there is nothing to compare")
    return made


def _groups(labels: Tensor, conditional: bool) -> dict[int, Tensor]:
    """Which samples are of a class; all together where they do not follow classes."""
    if not conditional:
        return {0: torch.ones_like(labels, dtype=torch.bool)}
    return {label: labels == label for label in labels.unique().tolist()}


def _within(x: Tensor, labels: Tensor, conditional: bool) -> float:
    """Mean distance of two samples of a class, mean over the classes with several; 0 of none."""
    groups = [x[own] for own in _groups(labels, conditional).values()]
    return fmean([mean_pairwise_distance(one) for one in groups if len(one) > 1] or [0.0])
