"""CV-DD: a committee of networks, two of which vote on every image, the better one more."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data import Data
from limbeck.errors import ArgumentError, SettingsError
from limbeck.evaluate.fresh_networks import Case, trained
from limbeck.evaluate.recipe import Recipe
from limbeck.functional.statistics import voting_weights
from limbeck.labels.views import LabelViews
from limbeck.loops.recover import Block, Recovery, planned
from limbeck.loops.relabel import Relabelling
from limbeck.loops.teach import Teaching, teacher_count
from limbeck.method import method
from limbeck.networks.batch_norm import batch_norms
from limbeck.products import SyntheticDataset
from limbeck.products.labelled_sets import LabelledSets, check_sets
from limbeck.products.showing import show_recovered
from limbeck.run import Run
from limbeck.run.exhibits import Sheet
from limbeck.selection.patches import Patches
from limbeck.teachers import EnsembleTeacher

SOFT_SETS = 7
Prior = Annotated[float, Field(ge=0, le=100)]


@method("cv-dd")
class CVDD:
    r"""Recover images from pairs of a committee and label them by all of it.

    .. math:: \sum_{n=1}^N w_n \bigl( CE(T_n(\tilde x), y) + r R_n(\tilde x) \bigr), \quad
        w = \mathrm{softmax}(\alpha / T_v)

    A prior :math:`\alpha_n` is the accuracy, in percent, of a student that learned from images
    recovered from that network alone. With one voter and one network it is the strong baseline
    that the paper calls SRe2L++.

    Args:
        images_per_class: how many images are recovered for each class.
        voters: N, networks that look at an image.
        pairing: who votes on the k-th image of every class: the ``"best"`` by their priors,
            ``"each"`` group of voters in turn, a ``"random"`` group; ``"auto"`` takes the best for
            one image a class, each where there are as many groups as images, else random ones.
        pairs: groups of networks, by their numbers from 0, that take turns instead.
        voting: ``"prior"`` weights, ``"equal"`` or ``"random"`` ones.
        voting_temperature: :math:`T_v`, in percentage points.
        priors: of the networks in percent; None measures them on the validation split.
        prior_images: images a class that a prior is measured with.
        labellers: who labels: the whole ``"committee"``, or its ``"first"`` network.
        label_temperature: in percentage points, of the weights of those who label.
        start: where images begin: ``"mosaic"``: crops of real images, or ``"noise"``.
        patches: how those crops are chosen.
        recovery: how images are recovered.
        relabelling: how they are shown for their labels, and to students.
        recipe: how sets are judged.
        teaching: how networks given by name are trained.

    Source: Cui et al., arXiv 2501.07575, and Jiacheng8/CV-DD.
    """

    images_per_class: Annotated[int, Field(ge=1)] = 10
    voters: Annotated[int, Field(ge=1)] = 2
    pairing: Literal["auto", "best", "each", "random"] = "auto"
    pairs: tuple[tuple[int, ...], ...] | None = None
    voting: Literal["prior", "equal", "random"] = "prior"
    voting_temperature: Annotated[float, Field(gt=0)] = 5.0
    priors: tuple[Prior, ...] | None = None
    prior_images: Annotated[int, Field(ge=1)] = 10
    labellers: Literal["committee", "first"] = "committee"
    label_temperature: Annotated[float, Field(gt=0)] = 10.0
    start: Literal["noise", "mosaic"] = "mosaic"
    patches: Patches = Patches(difficulty="medium")
    recovery: Recovery = Recovery()
    relabelling: Relabelling = Relabelling(
        views=LabelViews(batch_size=16), batch_statistics=True, pieces=2
    )
    recipe: Recipe = Recipe(accumulate=2)
    teaching: Teaching = Teaching()

    def distill(self, run: Run, *, teacher: EnsembleTeacher, data: Data) -> SyntheticDataset:
        """Measure priors, recover images from pairs, and label them.

        Args:
            run: the folder.
            teacher: the committee, networks with BatchNorm layers and their running statistics.
            data: what they were trained on; a classification of images of one size.

        Returns:
            The synthetic set, with labels that replay.

        Raises:
            ArgumentError: there are fewer networks than voters, or a class has too few real images
                to start from.
            SettingsError: priors are given for another number of networks.
            ModelError: a network has no BatchNorm layer, or one without running statistics.
            RunError: the disk has no room for the labels of the set and its baselines.
        """
        sets = self._sets(run, teacher, data)
        priors = self._priors(sets, teacher)
        blocks = self._blocks(sets, teacher, priors)
        pictures, seen = sets.recovered(blocks, self.recovery)
        made = self._labelling(sets, priors).make(
            "cv-dd", pictures, sets.labels(self.images_per_class), alone=False
        )
        real, _ = sets.chosen("random", self.images_per_class)
        sheets = [self._told(teacher, priors)]
        show_recovered(run, made, seen, blocks[0].labels, real, sheets)
        return made

    def baselines(
        self, run: Run, *, teacher: EnsembleTeacher, data: Data
    ) -> dict[str, SyntheticDataset]:
        """Real images, the mosaics that images start from and noise, with the committee's labels;
        the recovered images with hard labels; and one voter, the best, who labels alone."""
        sets = self._sets(run, teacher, data)
        labels = sets.labels(self.images_per_class)
        priors = self._priors(sets, teacher)
        blocks = self._blocks(sets, teacher, priors)
        pictures, _ = sets.recovered(blocks, self.recovery)
        others = {
            **sets.real(self.images_per_class),
            "mosaics": (sets.patched(self.images_per_class, teacher, self.patches), labels),
            "noise images": sets.noise(self.images_per_class),
        }
        best = max(range(len(priors)), key=priors.__getitem__)
        return {
            **self._labelling(sets, priors).make_all(others),
            "hard labels": sets.make("hard labels", pictures, labels, soft=False),
            "one voter": self._alone(sets, teacher, best, self.images_per_class, "one voter"),
        }

    def check_inputs(self, run: Run, data: Data, teacher: Any, **others: Any) -> None:
        """Find what would fail after the committee is trained."""
        count, each = teacher_count(teacher), self.images_per_class
        if count < self.voters:
            raise ArgumentError(
                f"cv-dd lets {self.voters} networks vote on an image and got {count}; give more "
                "with --teacher, lower voters, or take cda, which needs one"
            )
        if self.priors is not None and len(self.priors) != count:
            raise SettingsError(
                f"priors has {len(self.priors)} numbers and there are {count} networks; give one "
                "each, or none to have them measured"
            )
        for pair in self.pairs or ():
            if len({*pair}) != self.voters or not all(0 <= one < count for one in pair):
                raise SettingsError(
                    f"pairs has {list(pair)}, expected {self.voters} different numbers from 0 to "
                    f"{count - 1}"
                )
        if isinstance(teacher, EnsembleTeacher) and (teacher.route or teacher.weights is not None):
            raise ArgumentError(
                "the ensemble has weights or a route of its own, and cv-dd weighs its members by "
                "their priors; drop them, or say what each is worth with priors"
            )
        measured = [] if self.priors is not None or count == 1 else [self._prior_images()] * count
        check_sets(
            run,
            data,
            self.relabelling,
            self.recipe,
            self.patches,
            soft=[each] * SOFT_SETS + measured,
            hard=[each],
        )

    def check_teacher(self, network: nn.Module) -> None:
        """Raise `ModelError` where a network has no running statistics to recover images from."""
        batch_norms(network)

    def _sets(self, run: Run, teacher: EnsembleTeacher, data: Data) -> LabelledSets:
        return LabelledSets.of(run, teacher, data, self.relabelling, self.recipe)

    def _prior_images(self) -> int:
        return min(self.prior_images, self.images_per_class)

    def _priors(self, sets: LabelledSets, teacher: EnsembleTeacher) -> list[float]:
        """Accuracies in percent, on validation, of students of what each network gives alone."""
        if self.priors is not None:
            return list(self.priors)
        if len(sets.networks) == 1:
            return [100.0]
        per_class, cases = self._prior_images(), []
        for number in range(len(sets.networks)):
            name = f"prior {number}"
            small = self._alone(sets, teacher, number, per_class, name).as_data(sets.data)
            cases.append(Case(small, self.recipe, self.recipe.network, scored="validation"))
        found = trained(sets.run, cases, "networks for priors")
        return [100 * one["accuracy"] for one in found]

    def _told(self, teacher: EnsembleTeacher, priors: Sequence[float]) -> Sheet:
        """What each network is worth, for the report."""
        shares = voting_weights(list(priors), self.label_temperature).tolist()
        names = [getattr(member, "name", str(member)) for member in teacher.members]
        rows = [
            (name, f"{prior:.1f}", f"{share:.3f}")
            for name, prior, share in zip(names, priors, shares, strict=True)
        ]
        how = "measured on the validation split" if self.priors is None else "given"
        heads = ("network", "prior %", "share of the labels")
        return Sheet("The committee", heads, rows, f"Priors are {how}.")

    def _alone(
        self, sets: LabelledSets, teacher: EnsembleTeacher, number: int, per_class: int, name: str
    ) -> SyntheticDataset:
        """A set that a single network makes: it alone votes and labels."""
        one = dataclasses.replace(sets, networks=[sets.networks[number]], weights=None)
        blocks = planned(
            sets.data.outputs,
            per_class,
            self.recovery.block,
            starts=self._starts(sets, teacher, per_class),
        )
        # A prior of as many images is the very recovery of the single voter.
        called = f"alone-{number}" if per_class == self.images_per_class else f"prior-{number}"
        pictures, _ = one.recovered(blocks, self.recovery, name=called)
        return one.make(name, pictures, sets.labels(per_class))

    def _blocks(
        self, sets: LabelledSets, teacher: EnsembleTeacher, priors: Sequence[float]
    ) -> list[Block]:
        def choose(turn: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
            images, seed = self.images_per_class, sets.run.seed
            group = voting_group(priors, self.voters, turn, images, self.pairing, seed)
            if self.pairs is not None:
                group = self.pairs[turn % len(self.pairs)]
            return group, self._votes(group, priors, turn, sets.run.seed)

        return planned(
            sets.data.outputs,
            self.images_per_class,
            self.recovery.block,
            starts=self._starts(sets, teacher, self.images_per_class),
            choose=choose,
        )

    def _votes(
        self, group: Sequence[int], priors: Sequence[float], turn: int, seed: int
    ) -> tuple[float, ...]:
        if self.voting == "equal":
            return (1 / len(group),) * len(group)
        if self.voting == "random":
            draws = keyed.uniform(keyed.key(seed, "votes", turn), np.arange(len(group)), 1)[:, 0]
            return tuple((draws / draws.sum()).tolist())
        chosen = [priors[number] for number in group]
        return tuple(voting_weights(chosen, self.voting_temperature).tolist())

    def _starts(
        self, sets: LabelledSets, teacher: EnsembleTeacher, per_class: int
    ) -> Tensor | None:
        # A baseline in any case: what they lack is told before images are recovered.
        mosaics = sets.patched(per_class, teacher, self.patches)
        return mosaics if self.start == "mosaic" else None

    def _labelling(self, sets: LabelledSets, priors: Sequence[float]) -> LabelledSets:
        """The same sets, labelled by those who shall."""
        networks: Sequence[nn.Module] = sets.networks
        if self.labellers == "first":
            return dataclasses.replace(sets, networks=networks[:1])
        weights = voting_weights(list(priors), self.label_temperature).tolist()
        return dataclasses.replace(sets, weights=weights)


def voting_group(
    priors: Sequence[float], voters: int, turn: int, images: int, pairing: str, seed: int
) -> tuple[int, ...]:
    """Which networks vote on an image.

    Args:
        priors: one a network.
        voters: how many vote.
        turn: the number of the image in its class.
        images: of a class.
        pairing: as `CVDD.pairing`.
        seed: of random groups.

    Returns:
        Numbers of the networks in order.

    Example:
        >>> [voting_group((1.0, 3.0, 2.0), 2, turn, 3, "auto", 0) for turn in range(3)]
        [(0, 1), (0, 2), (1, 2)]
        >>> voting_group((1.0, 3.0, 2.0), 2, 0, 1, "auto", 0)
        (1, 2)
    """
    groups = list(itertools.combinations(range(len(priors)), voters))
    if pairing == "auto":
        pairing = "best" if images == 1 else "each" if images == len(groups) else "random"
    if pairing == "best":
        ranked = sorted(range(len(priors)), key=lambda number: -priors[number])
        return tuple(sorted(ranked[:voters]))
    if pairing == "each":
        return groups[turn % len(groups)]
    return groups[int(keyed.permutation(keyed.key(seed, "pairs", turn), len(groups))[0])]
