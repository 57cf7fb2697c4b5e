"""Labelled sets: small sets of bytes that the same frozen networks label, to be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.evaluate.recipe import Recipe
from limbeck.labels.store import Labelled
from limbeck.loops.recover import Block, Recovery, recovered
from limbeck.loops.relabel import Relabelling, relabelled
from limbeck.loops.synthesize import moments_of
from limbeck.products.origins import CHOSEN
from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.run import Run
from limbeck.selection import embeddings, selected
from limbeck.selection.patches import Observer, Patches, mosaics


@dataclass(frozen=True)
class LabelledSets:
    """What sets have in common that are made from the same data and labelled by the same networks.

    Args:
        run: where labels are kept.
        data: the real images.
        networks: frozen; they label.
        weights: of their logits, None for equal ones.
        relabelling: how.
        recipe: how sets are judged.
    """

    run: Run
    data: Data
    networks: Sequence[nn.Module]
    weights: Sequence[float] | None
    relabelling: Relabelling
    recipe: Recipe

    @property
    def space(self) -> InputSpace:
        """Of the images.

        Raises:
            ArgumentError: the data are no images of one size.
        """
        space = self.data.input_space
        if space is None or space.channels is None:
            raise ArgumentError(
                f"{self.data.name} has no images of one size, which synthetic images need; resize "
                "them with ?size=32 behind the name"
            )
        return space

    def make(
        self,
        name: str,
        pictures: Tensor,
        labels: Tensor,
        *,
        soft: bool = True,
        alone: bool = True,
    ) -> SyntheticDataset:
        """Label images.

        Args:
            name: of the set.
            pictures: bytes ``(N, C, H, W)``.
            labels: class indices ``(N,)``.
            soft: ask the networks; if not, labels are hard and mixed as the images are.
            alone: judge the set by the recipe's main network only.

        Returns:
            The set.
        """
        store = relabelled(
            self.run,
            f"labels of {name}",
            pictures,
            labels,
            self.space,
            self.data.outputs,
            self.networks if soft else (),
            self.weights if soft else None,
            self.relabelling,
        )
        recipe = dataclasses.replace(self.recipe, others=()) if alone else self.recipe
        return SyntheticDataset(
            pictures,
            labels,
            self.space,
            self.data.classes,
            replayed=store,
            protocol=recipe,
            name=name,
        )

    def labels(self, per_class: int) -> Tensor:
        """Class indices of so many images a class, in the order of the classes."""
        return torch.arange(self.data.outputs).repeat_interleave(per_class)

    def recovered(
        self, blocks: Sequence[Block], recovery: Recovery, name: str = "block"
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Images recovered from the networks, as bytes in the order of the classes, and those of
        the first block at a few steps."""
        return recovered(
            self.run,
            self.networks,
            blocks,
            self.space,
            recovery,
            name=name,
            moments=moments_of(recovery.steps),
        )

    def check_room(self, per_class: int, sets: int) -> None:
        """Say at once that there is no room for the labels of so many sets.

        Raises:
            RunError: the disk has less.
        """
        if self.run.trying:
            # A plan tells what each set takes.
            return
        count, classes, space = per_class * self.data.outputs, self.data.outputs, self.space
        size = (space.size[0], space.size[1])
        views, kept = self.relabelling.views, self.relabelling.kept
        about = Labelled(views, count, size, classes, seed=0, content="", kept=kept)
        needed = sets * sum(about.bytes.values())
        with self.run.keeping(f"the labels of {sets} sets", 1, needed, self.run.dir):
            pass

    def real(self, per_class: int) -> dict[str, SyntheticDataset]:
        """Real images of the same number: by chance, k-means and k-center of the first network."""
        features = embeddings(self.networks[0], self.data, self.data.train)
        return {
            label: self.make(label, *self.chosen(name, per_class, features))
            for name, label in CHOSEN.items()
        }

    def chosen(
        self, name: str, per_class: int, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Real images as bytes, in the order of the classes, and their labels.

        Args:
            name: of the selection, such as ``"random"``.
            per_class: how many of each class.
            features: of all training images, where the selection reads them.
        """
        train, key = self.data.train, keyed.key(self.run.seed, "random images")
        places = selected(name, train.y, per_class, features=features, seed_key=key)
        columns = self.data.normalise(self.data.columns(train, places))
        return self.space.to_bytes(columns["x"]), columns["y"].long()

    def noise(self, per_class: int) -> SyntheticDataset:
        """Images of standard normal numbers, cut to the range of pixels: only labels teach."""
        labels = self.labels(per_class)
        with keyed.torch_seeded(keyed.key(self.run.seed, "noise images")):
            images = torch.randn(len(labels), *self.space.shape)
        return self.make("noise images", self.space.to_bytes(images), labels)

    def patched(self, per_class: int, observer: Observer, patches: Patches) -> Tensor:
        """Mosaics of real images ``(N, C, H, W)`` as bytes, in the order of the classes."""

        def make(patches: Patches, per_class: int, content: str) -> dict[str, Tensor]:
            images, _ = mosaics(self.data, observer, per_class, patches, self.run.seed)
            return {"mosaics": self.space.to_bytes(images)}

        word = getattr(observer, "fingerprint", observer)
        found = self.run.stage(
            "mosaics", make, patches=patches, per_class=per_class, content=[word, self.data]
        )
        return found["mosaics"]
