"""Labelled sets: small sets of bytes that the same frozen networks label, to be compared."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import UnusualUseWarning
from limbeck.evaluate.recipe import Recipe
from limbeck.features import on_device
from limbeck.labels.store import Labelled, LabelStore
from limbeck.loops.recover import Block, Recovery, recovered
from limbeck.loops.relabel import FOLDER, Relabelling, relabelled
from limbeck.loops.synthesize import moments_of
from limbeck.networks.fresh import fresh
from limbeck.products.fitting import image_space
from limbeck.products.origins import CHOSEN
from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.run import Run
from limbeck.selection import embeddings, selected
from limbeck.selection.patches import Patches, check_enough, class_mosaics
from limbeck.teachers import Teacher, networks_of

# Images that are read or drawn at a time.
PART = 1024
# Pictures as bytes ``(N, C, H, W)``, in the order of the classes, and class indices ``(N,)``.
Pair = tuple[Tensor, Tensor]


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

    @classmethod
    def of(
        cls,
        run: Run,
        teacher: Teacher,
        data: Data,
        relabelling: Relabelling,
        recipe: Recipe,
    ) -> LabelledSets:
        """Sets that the networks of a teacher label, all alike."""
        networks = networks_of(teacher, data.input_space)
        return cls(run, data, networks, None, relabelling, recipe)

    @property
    def space(self) -> InputSpace:
        """Of the images."""
        return image_space(self.data)

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
        ways = self._ways if soft else (*self._ways[:2], (), None, self.relabelling)
        store = relabelled(self.run, f"labels of {name}", pictures, labels, *ways)
        return self._set(name, pictures, labels, store, alone)

    def make_all(self, given: Mapping[str, Pair]) -> dict[str, SyntheticDataset]:
        """Label the images of several sets, as jobs.

        Args:
            given: pictures and labels by the name of the set.

        Returns:
            The sets, to be judged by the recipe's main network.
        """
        if self.run.trying:
            # Jobs of a rehearsal stand for each other, and labels are about images.
            return {name: self.make(name, *pair) for name, pair in given.items()}
        names = [f"labels-{name.replace(' ', '-')}" for name in given]
        jobs = [(*pair, *self._ways) for pair in given.values()]
        folders = self.run.executor.runs(_labelled, names, jobs, "labels of sets")
        return {
            name: self._set(name, *pair, LabelStore.load(folder))
            for (name, pair), folder in zip(given.items(), folders, strict=True)
        }

    @property
    def _ways(self) -> tuple[Any, ...]:
        """What `relabelled` is told about every set."""
        classes = self.data.outputs
        return (self.space, classes, tuple(self.networks), self.weights, self.relabelling)

    def _set(
        self, name: str, pictures: Tensor, labels: Tensor, store: LabelStore, alone: bool = True
    ) -> SyntheticDataset:
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

    def real(self, per_class: int) -> dict[str, Pair]:
        """Real images of the same number: by chance, k-means and k-center of the first network."""
        features = self._features()
        return {label: self.chosen(name, per_class, features) for name, label in CHOSEN.items()}

    def chosen(self, name: str, per_class: int, features: Tensor | None = None) -> Pair:
        """Real images as bytes, in the order of the classes, and their labels.

        Args:
            name: of the selection, such as ``"random"``.
            per_class: how many of each class.
            features: of all training images, where the selection reads them.
        """
        train, key = self.data.train, keyed.key(self.run.seed, "random images")
        places = selected(name, train.y, per_class, features=features, seed_key=key)
        pictures, labels = [], []
        for part in np.array_split(places, -(-len(places) // PART)):
            columns = self.data.normalise(self.data.columns(train, part))
            pictures.append(self.space.to_bytes(columns["x"]))
            labels.append(columns["y"].long())
        return torch.cat(pictures), torch.cat(labels)

    def noise(self, per_class: int) -> Pair:
        """Images of standard normal numbers, cut to the range of pixels: only labels teach."""
        labels, pictures = self.labels(per_class), []
        for number, part in enumerate(labels.split(PART)):
            with keyed.torch_seeded(keyed.key(self.run.seed, "noise images", number)):
                pictures.append(self.space.to_bytes(torch.randn(len(part), *self.space.shape)))
        return torch.cat(pictures), labels

    def patched(self, per_class: int, observer: Teacher, patches: Patches) -> Tensor:
        """Mosaics of real images ``(N, C, H, W)`` as bytes, in the order of the classes."""

        def make(**content: object) -> dict[str, Tensor]:
            if self.run.trying:
                count = len(self.labels(per_class))
                return {"mosaics": torch.zeros(count, *self.space.shape, dtype=torch.uint8)}
            device = self.run.engine.device
            with on_device(device, *observer.modules):
                found = class_mosaics(
                    self.data,
                    lambda batch: observer(batch.to(device)),
                    per_class,
                    patches,
                    self.run.seed,
                )
                return {"mosaics": torch.cat([self.space.to_bytes(one) for one in found])}

        found = self.run.stage(
            "mosaics",
            make,
            patches=patches,
            per_class=per_class,
            observer=observer.fingerprint,
            data=self.data,
        )
        return found["mosaics"]

    def _features(self) -> Tensor:
        """What the first network sees in all training images."""

        def make(network: nn.Module, data: Data) -> dict[str, Tensor]:
            if self.run.trying:
                return {"features": torch.randn(len(data.train), 8)}
            with on_device(self.run.engine.device, network):
                return {"features": embeddings(network, data, data.train)}

        return self.run.stage("features", make, network=self.networks[0], data=self.data)[
            "features"
        ]


def _labelled(run: Run, pictures: Tensor, labels: Tensor, *ways: Any) -> Path:
    """The job: label a set; where its labels lie."""
    return relabelled(run, "labels", pictures, labels, *ways).folder


def check_sets(
    run: Run,
    data: Data,
    relabelling: Relabelling,
    recipe: Recipe,
    patches: Patches,
    *,
    soft: Sequence[int],
    hard: Sequence[int],
) -> None:
    """Find what would fail later, before teachers are trained and images are made.

    Args:
        run: the folder.
        data: the real images.
        relabelling: how sets will be labelled.
        recipe: how they will be judged.
        patches: how real images are cut.
        soft: images a class of each set with soft labels.
        hard: likewise of each with hard ones.

    Raises:
        ArgumentError: the data are no images of one size, a class has too few of them, or a part
            of a batch would be a single image.
        ModelError: a network of the recipe is unknown or does not take the images.
        RunError: the disk has no room for the labels.
    """
    space = image_space(data)
    check_enough(data, max(soft), patches)
    for per_class in soft:
        relabelling.check(per_class * data.outputs)
    for name in (recipe.network, *recipe.others):
        fresh(name, space, data.outputs, 0)
    if relabelling.batch_statistics and relabelling.pieces != recipe.accumulate:
        warnings.warn(
            f"labels are on the statistics of {relabelling.pieces} parts of a batch and students "
            f"see it in {recipe.accumulate}; set recipe.accumulate to {relabelling.pieces}",
            UnusualUseWarning,
            stacklevel=2,
        )
    if run.trying:
        # A plan tells what each set takes.
        return
    size, views = (space.size[0], space.size[1]), relabelling.views
    needed = 0
    for counts, kept in ((soft, relabelling.kept), (hard, None)):
        for per_class in counts:
            count = per_class * data.outputs
            about = Labelled(views, count, size, data.outputs, seed=0, content="", kept=kept)
            needed += sum(about.bytes.values())
    # Of the set itself below the run, of others below their jobs.
    stored = run.dir.rglob(f"{FOLDER}/*/*.safetensors")
    there = sum(one.stat().st_size for one in stored)
    sets = len(soft) + len(hard)
    with run.keeping(f"the labels of {sets} sets", 1, max(0, needed - there), run.dir):
        pass
