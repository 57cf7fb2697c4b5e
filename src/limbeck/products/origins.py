"""Origins: the real data in the space that synthetic images live in, and what comes from there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.prepared import Pixels, Prepared
from limbeck.data.space import InputSpace
from limbeck.data.whitened import normalised, whitened, zca_of
from limbeck.evaluate.protocol import Protocol
from limbeck.products.fitting import image_space
from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.run import Run
from limbeck.selection import embeddings, selected

if TYPE_CHECKING:
    from limbeck.functional.whitening import Zca

CHOSEN = {"random": "random images", "k-means": "k-means images", "k-center": "k-center images"}


@dataclass(frozen=True)
class Origins:
    """Real images as networks read them, in memory.

    Args:
        data: normalised or whitened.
        space: of the images before that.
        zca: the whitening, or None for normalisation.
    """

    data: Data
    space: InputSpace
    zca: Zca | None = None

    @classmethod
    def of(cls, real: Data, *, whitening: bool, run: Run | None = None) -> Origins:
        """Bring real data into the space.

        Args:
            real: the data.
            whitening: whiten images instead of normalising them.
            run: where the whitening is kept once it is fitted; None keeps it nowhere.

        Raises:
            ArgumentError: the data are no images of one size.
            DataError: the whitening matrix would be too large.
        """
        space = image_space(real)
        if not whitening:
            return cls(Prepared.of(normalised(real), Pixels(space)), space)
        data, zca = whitened(real, None if run is None else _kept(run, real))
        return cls(Prepared.of(data, Pixels(space, zca)), space, zca)

    def dataset(self, images: Tensor, labels: Tensor, **options: Any) -> SyntheticDataset:
        """A set of images that live in the space; `options` as `SyntheticDataset` takes them."""
        return SyntheticDataset(
            images, labels, self.space, self.data.classes, zca=self.zca, **options
        )

    def baselines(
        self, network: nn.Module, per_class: int, protocol: Protocol, epochs: int, seed: int
    ) -> dict[str, SyntheticDataset]:
        """Real images to compare synthetic ones with.

        Args:
            network: a trained one; its features tell images apart.
            per_class: how many of each class.
            protocol: how they are judged, by its main network alone.
            epochs: how often a network sees all images, where the protocol counts epochs.
            seed: of what is chosen by chance.

        Returns:
            Random, k-means and k-center images, and all of them, by name.
        """
        train = self.data.train
        alone = dataclasses.replace(protocol, others=())
        features = embeddings(network, self.data, train)
        found = {
            label: self._taken(
                selected(
                    name,
                    train.y,
                    per_class,
                    features=features,
                    seed_key=keyed.key(seed, "random images"),
                ),
                label,
                alone,
            )
            for name, label in CHOSEN.items()
        }
        whole = dataclasses.replace(alone, epochs=epochs)
        return {**found, "full data": self._taken(np.arange(len(train)), "full data", whole)}

    def _taken(self, places: np.ndarray, name: str, protocol: Protocol) -> SyntheticDataset:
        columns = self.data.train.take(places)
        return self.dataset(columns["x"], columns["y"], protocol=protocol, name=name)


def _kept(run: Run, real: Data) -> Zca:
    """The whitening of a run, which several parts of a method ask for."""
    from limbeck.functional.whitening import Zca

    def fit(data: Data) -> dict[str, Tensor]:
        found = zca_of(data)
        return {"mean": found.mean, "vectors": found.vectors, "values": found.values}

    found = run.stage("whitening", fit, data=real)
    return Zca(found["mean"], found["vectors"], found["values"])
