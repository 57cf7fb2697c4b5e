"""CDA: images that a frozen network takes for its classes, learned from whole pictures to crops."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from limbeck.data import Data
from limbeck.data.batch_views import BatchViews
from limbeck.errors import ArgumentError
from limbeck.evaluate.recipe import Recipe
from limbeck.loops.recover import Block, Recovery, planned
from limbeck.loops.relabel import Relabelling
from limbeck.loops.teach import Teaching, teacher_count
from limbeck.method import method
from limbeck.networks.batch_norm import batch_norms
from limbeck.products import SyntheticDataset
from limbeck.products.labelled_sets import LabelledSets, check_sets
from limbeck.products.showing import show_recovered
from limbeck.run import Run
from limbeck.selection.patches import Patches
from limbeck.teachers import EnsembleTeacher

SOFT_SETS = 6


@method("cda")
class CDA:
    r"""Squeeze a data set into one network, recover images from it, and have them labelled by it.

    .. math:: CE(T(\tilde x), y) + r \sum_l v_l (\|\mu_l(\tilde x) - \mu_l\|_2
        + \|\sigma^2_l(\tilde x) - \sigma^2_l\|_2)

    The views :math:`\tilde x` are random crops whose smallest size falls over the steps. With
    ``recovery.views.milestone=0`` it is small from the start: SRe2L.

    Args:
        images_per_class: how many images are recovered for each class.
        start: where images begin: ``"noise"``, or ``"mosaic"``: crops of real images that the
            network knows well.
        patches: how those crops are chosen; they are a baseline too.
        recovery: how images are recovered.
        relabelling: how they are shown to the network for their labels, and to students.
        recipe: how sets are judged.
        teaching: how a network given by name is trained.

    Source: Yin and Shen, arXiv 2311.18838; SRe2L: Yin, Xing and Shen, arXiv 2306.13092, and
    VILA-Lab/SRe2L.
    """

    images_per_class: Annotated[int, Field(ge=1)] = 50
    start: Literal["noise", "mosaic"] = "noise"
    patches: Patches = Patches()
    recovery: Recovery = Recovery(views=BatchViews(milestone=1.0))
    relabelling: Relabelling = Relabelling()
    recipe: Recipe = Recipe()
    teaching: Teaching = Teaching()

    def distill(self, run: Run, *, teacher: EnsembleTeacher, data: Data) -> SyntheticDataset:
        """Recover the images and label them.

        Args:
            run: the folder.
            teacher: one network with BatchNorm layers and their running statistics.
            data: what it was trained on; a classification of images of one size.

        Returns:
            The synthetic set, with labels that replay.

        Raises:
            ArgumentError: several networks are given, or a class has too few real images to start
                from.
            ModelError: the network has no BatchNorm layer, or one without running statistics.
            RunError: the disk has no room for the labels of the set and its baselines.
        """
        sets = self._sets(run, teacher, data)
        blocks = self._blocks(sets, teacher)
        pictures, seen = sets.recovered(blocks, self.recovery)
        labels = sets.labels(self.images_per_class)
        made = sets.make("cda", pictures, labels, alone=False)
        real, _ = sets.chosen("random", self.images_per_class)
        show_recovered(run, made, seen, blocks[0].labels, real)
        return made

    def baselines(
        self, run: Run, *, teacher: EnsembleTeacher, data: Data
    ) -> dict[str, SyntheticDataset]:
        """Real images, mosaics and noise with soft labels, and the recovered images with hard ones.

        All have as many images, the same batches and the same number of steps.
        """
        sets = self._sets(run, teacher, data)
        labels = sets.labels(self.images_per_class)
        pictures, _ = sets.recovered(self._blocks(sets, teacher), self.recovery)
        others = {
            **sets.real(self.images_per_class),
            "mosaics": (sets.patched(self.images_per_class, teacher, self.patches), labels),
            "noise images": sets.noise(self.images_per_class),
        }
        hard = sets.make("hard labels", pictures, labels, soft=False)
        return {**sets.make_all(others), "hard labels": hard}

    def check_inputs(self, run: Run, data: Data, teacher: Any, **others: Any) -> None:
        """Find what would fail after the teacher is trained."""
        count, each = teacher_count(teacher), self.images_per_class
        if count > 1:
            raise ArgumentError(
                f"cda recovers images from one network and got {count}; give one, or take cv-dd, "
                "which recovers them from pairs"
            )
        check_sets(
            run,
            data,
            self.relabelling,
            self.recipe,
            self.patches,
            soft=[each] * SOFT_SETS,
            hard=[each],
        )

    def check_teacher(self, network: nn.Module) -> None:
        """Raise `ModelError` where a network has no running statistics to recover images from."""
        batch_norms(network)

    def _sets(self, run: Run, teacher: EnsembleTeacher, data: Data) -> LabelledSets:
        return LabelledSets.of(run, teacher, data, self.relabelling, self.recipe)

    def _blocks(self, sets: LabelledSets, teacher: EnsembleTeacher) -> list[Block]:
        # A baseline in any case: what they lack is told before images are recovered.
        mosaics = sets.patched(self.images_per_class, teacher, self.patches)
        starts = mosaics if self.start == "mosaic" else None
        return planned(sets.data.outputs, self.images_per_class, self.recovery.block, starts=starts)
