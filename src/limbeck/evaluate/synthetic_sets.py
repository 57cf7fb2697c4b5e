"""Small sets judged: what fresh networks that learn from a set alone reach on real samples."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from limbeck import outputs as reading
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.prepared import Prepared
from limbeck.evaluate.cost import multiply_adds, weights
from limbeck.evaluate.fresh_networks import Case, trained
from limbeck.evaluate.memory import content_bytes
from limbeck.evaluate.protocol import SELECTED, Judging, Protocol
from limbeck.evaluate.quality import Figures
from limbeck.evaluate.recipe import Relabelled
from limbeck.features import evaluating
from limbeck.networks.fresh import fresh
from limbeck.run.run import Run


@dataclass(frozen=True)
class Judged:
    """What a small set was found to be worth.

    Args:
        name: of the set.
        protocol: how it was judged, with the learning rate that was used.
        images: samples in the set.
        bytes: of the set: images, labels and soft labels as they are stored.
        figures: by network, the main one first, for each repeat in order: ``accuracy`` (a
            fraction), ``nll`` and others on the test split, ``seconds`` of training, and ``step``,
            of which the weights are.
        costs: by network: ``parameters``, and ``macs`` for one sample.
        transform_bytes: of what prepares real images for networks that learned from the set, or
            None where the set needs nothing of its own.
        label_bytes: what replayed labels take of `bytes`, or None where there are none.
    """

    name: str
    protocol: Judging
    images: int
    bytes: int
    figures: Mapping[str, tuple[Figures, ...]]
    costs: Mapping[str, Figures]
    transform_bytes: int | None = None
    label_bytes: int | None = None

    @property
    def main(self) -> str:
        """The protocol's main network: its name, or the class of an object that stands for it."""
        return next(iter(self.figures))

    @property
    def selected(self) -> str:
        """Whose test accuracy is given, in words."""
        return SELECTED[self.protocol.selection]

    @property
    def mean(self) -> float:
        """Mean accuracy of the protocol's main network."""
        return statistics.fmean(self.accuracies())

    @property
    def std(self) -> float:
        """Standard deviation of that accuracy over the repeats (population)."""
        return statistics.pstdev(self.accuracies())

    def accuracies(self, network: str | None = None) -> tuple[float, ...]:
        """Accuracy of each repeat of a network, of the main one by default."""
        return self._each("accuracy", network or self.main)

    def rows(self, role: str = "product") -> list[dict[str, Any]]:
        """Rows of the table: of the main network, then of each other as a reference.

        Args:
            role: of the first row.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}``; the others are called ``NAME on NETWORK``.
        """
        return [
            self._row(network, role if place == 0 else "reference")
            for place, network in enumerate(self.figures)
        ]

    def _row(self, network: str, role: str) -> dict[str, Any]:
        own = network == self.main
        accuracies = self.accuracies(network)
        parts = {"transform_bytes": self.transform_bytes, "label_bytes": self.label_bytes}
        return {
            "name": self.name if own else f"{self.name} on {network}",
            "role": role,
            "quality": {
                "accuracy": statistics.fmean(accuracies),
                "accuracy_std": statistics.pstdev(accuracies),
                "nll": statistics.fmean(self._each("nll", network)),
                **self._late(network),
            },
            "cost": {
                "images": self.images,
                "bytes": self.bytes,
                **{name: size for name, size in parts.items() if size is not None},
                "train_seconds": round(statistics.fmean(self._each("seconds", network)), 3),
                **self.costs[network],
            },
        }

    def _late(self, network: str) -> Figures:
        """Accuracy of the best of late weights, where they competed."""
        if not self.protocol.late:
            return {}
        return {"best_accuracy": statistics.fmean(self._each("best_accuracy", network))}

    def _each(self, figure: str, network: str) -> tuple[float, ...]:
        return tuple(one[figure] for one in self.figures[network])


def judge(
    run: Run,
    name: str,
    small: Data,
    protocol: Judging,
    *,
    lr: float | None = None,
    network: nn.Module | None = None,
) -> Judged:
    """Train fresh networks on a small set and test them on real samples.

    The networks are jobs of the run's executor. Their initial weights and the order of their
    batches depend on the run's seed, the network's name and the repeat, and on no set: two sets
    judged in runs of one seed are compared in pairs. What is finished is kept in the run folder.

    Args:
        run: the folder.
        name: of the set, in the table.
        small: its training split is the small set, with the columns ``"x"``, ``"y"`` and, where
            labels are soft, ``"label_logits"``; validation and test are those of the real data.
        protocol: how.
        lr: learning rate that the set brings, instead of that of a `Protocol`.
        network: the architecture that takes the place of the protocol's main network, where that
            is an object; its weights are drawn anew, and its figures are found by its class.

    Returns:
        What was found.

    Raises:
        ArgumentError: the set is for another task than classification.
        ModelError: a network's name is unknown, or it does not take the images.
        Interrupted: the user asked to stop; networks that were begun go on from there.

    Example:
        >>> import tempfile
        >>> from limbeck.data import digits
        >>> from limbeck.run import Run
        >>> few = digits().few(50)
        >>> protocol = Protocol(network="mlp", repeats=1, steps=100, augmentation="none")
        >>> found = judge(Run(tempfile.mkdtemp()), "50 digits", few, protocol, lr=0.1)
        >>> found.images, found.bytes, found.mean > 0.5, found.selected
        (50, 3600, True, 'last iterate')
    """
    if lr is not None and isinstance(protocol, Protocol):
        protocol = dataclasses.replace(protocol, lr=lr)
    built: dict[str, str | nn.Module] = {one: one for one in (protocol.network, *protocol.others)}
    if network is not None:
        built = _with_own(network, protocol.others)
    costs = {one: _cost(what, small) for one, what in built.items()}
    cases = [
        Case(small, protocol, what, repeat)
        for what in built.values()
        for repeat in range(protocol.repeats)
    ]
    found = iter(trained(run, cases, f"networks for {name}"))
    figures = {one: tuple(next(found) for _ in range(protocol.repeats)) for one in built}
    images = len(small.train)
    size = content_bytes(small.train.take(np.arange(images)))
    transform = small.pixels.bytes if isinstance(small, Prepared) else None
    told = small.labels.bytes if isinstance(small, Relabelled) and small.labels else None
    return Judged(name, protocol, images, size + (told or 0), figures, costs, transform, told)


def _with_own(network: nn.Module, others: tuple[str, ...]) -> dict[str, str | nn.Module]:
    """An object first, by its class: a network of the protocol's own name may be among the
    others."""
    called = type(network).__name__
    while called in others:
        called = f"own {called}"
    return {called: network, **{one: one for one in others}}


def _cost(network: str | nn.Module, data: Data) -> Figures:
    """Found before the first job: a name that is unknown or does not fit is told at once."""
    network = fresh(network, data.input_space, data.outputs, 0)
    one = next(sequential(data, data.test, 1))
    with evaluating(network):
        count = multiply_adds(lambda batch: reading.of(network, batch), one)
    return {"parameters": weights([network])[0], "macs": count}
