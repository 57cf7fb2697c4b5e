"""Rank scores: what of a small set's accuracy is due to its images, and what to its recipe."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.data.data import Data
from limbeck.data.eight_bit import EightBit
from limbeck.data.prepared import pixels_of
from limbeck.data.splits import Subset, remade
from limbeck.errors import ArgumentError
from limbeck.evaluate.fresh_networks import Case, trained
from limbeck.evaluate.protocol import SELECTED, SOFT_LABELS, Protocol, columns_of
from limbeck.evaluate.quality import Figures, collect
from limbeck.functional.synthetic_scores import augmentation_robust_score, label_robust_score
from limbeck.run.run import Run
from limbeck.selection import random_selection
from limbeck.teachers import Teacher

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
# Test samples that tell whether two data sets live in one space.
LOOKED_AT = 64
Each = tuple[float, ...]


@dataclass(frozen=True)
class RankScores:
    """What `rank_scores` found; every list has one entry a run, accuracies are fractions.

    Args:
        accuracies: by case: ``"real, hard"`` and ``"synthetic, hard"`` learn from class labels;
            ``"synthetic, own"`` and ``"random, own"`` with the set's own recipe;
            ``"synthetic, augmented"``, ``"random, augmented"``, ``"synthetic, plain"`` and
            ``"random, plain"`` with that recipe and without its augmentation.
        rates: learning rate of each case.
        label_robust: LRS, 0 to 1.
        augmentation_robust: ARS, 0 to 1.
        selected: whose accuracies these are, in words.
    """

    accuracies: Mapping[str, Each]
    rates: Mapping[str, float]
    label_robust: Each
    augmentation_robust: Each
    selected: str

    @property
    def hard_label_recovery(self) -> Each:
        """HLR: what class labels on the small set lose against the full data."""
        return self._gap("real, hard", "synthetic, hard")

    @property
    def improvement_over_random(self) -> Each:
        """IOR: what the set gains over random samples with the same recipe."""
        return self._gap("synthetic, own", "random, own")

    def figures(self) -> Figures:
        """Means over runs, and population standard deviations under ``NAME_std``.

        Returns:
            ``hlr``, ``ior``, ``lrs``, ``ars`` and the deviation of each.
        """
        values = {
            "hlr": self.hard_label_recovery,
            "ior": self.improvement_over_random,
            "lrs": self.label_robust,
            "ars": self.augmentation_robust,
        }
        means = {name: statistics.fmean(each) for name, each in values.items()}
        return means | {f"{name}_std": statistics.pstdev(each) for name, each in values.items()}

    def _gap(self, high: str, low: str) -> Each:
        pairs = zip(self.accuracies[high], self.accuracies[low], strict=True)
        return tuple(first - second for first, second in pairs)


def rank_scores(
    run: Run,
    small: Data,
    random_subsets: Sequence[Data],
    full: Data,
    protocol: Protocol,
    *,
    hard: Protocol | None = None,
    lr: float | None = None,
    rates: Sequence[float] = RATES,
    augmented: str = "dsa",
    weight: float = 0.5,
) -> RankScores:
    r"""Judge a small set by the procedure of DD-Ranking.

    With accuracies as fractions, HLR = acc(full, hard labels) - acc(synthetic, hard labels) and
    IOR = acc(synthetic, own recipe) - acc(random subset, own recipe); LRS weighs the two, ARS what
    the set gains over random samples with and without augmentation.

    Learning rates are searched on the validation split of the real training data, with one network
    a rate; the test split is not read for it. The original searches on test.

    Args:
        run: the folder; finished networks are kept in it.
        small: as `limbeck.evaluate.synthetic_sets.judge` has it.
        random_subsets: as `random_subsets` makes them, one a run; of the size of the set, with
            soft labels of its teacher where the set has soft labels.
        full: the real data, with class labels.
        protocol: the set's own recipe.
        hard: recipe for class labels, or None for the own.
        lr: learning rate that the set brings, used with its own recipe and not searched then.
        rates: to search in; none takes those of the protocols.
        augmented: augmentation of the augmented cases where the own recipe has none.
        weight: of IOR in LRS, and of the augmented cases in ARS.

    Returns:
        Accuracies, learning rates and scores, a run each.

    Raises:
        ArgumentError: a random subset has another size or other labels than the set, or it or the
            full data lives in another space than the set: networks read other test samples, or
            eight-bit views see other pictures.
        LimbeckError: as `limbeck.evaluate.fresh_networks.trained` does.

    Source: Li et al., DD-Ranking, arXiv 2505.13300.
    """
    _check_alike(small, random_subsets)
    own, hard = protocol, hard or protocol
    plain = dataclasses.replace(own, augmentation="none")
    if own.augmentation == "none":
        changed = dataclasses.replace(own, augmentation=augmented)  # type: ignore[arg-type]
    else:
        changed = own
    pictures = any(isinstance(one.views(small), EightBit) for one in (own, hard, changed))
    _check_space(small, full, random_subsets, pictures=pictures)
    runs = len(random_subsets)
    recipes: dict[str, tuple[Sequence[Data], Protocol]] = {
        "real, hard": ([full] * runs, hard),
        "synthetic, hard": ([with_hard_labels(small)] * runs, hard),
        "synthetic, own": ([small] * runs, own),
        "random, own": (random_subsets, own),
        "synthetic, augmented": ([small] * runs, changed),
        "random, augmented": (random_subsets, changed),
        "synthetic, plain": ([small] * runs, plain),
        "random, plain": (random_subsets, plain),
    }
    brought = {} if lr is None else {name: lr for name in OWN_RECIPE}
    found = _searched(run, {n: c for n, c in recipes.items() if n not in brought}, rates) | brought
    cases = [
        Case(data, dataclasses.replace(recipe, lr=found[name]), recipe.network, place)
        for name, (sets, recipe) in recipes.items()
        for place, data in enumerate(sets)
    ]
    reached = iter(one["accuracy"] for one in trained(run, cases, "networks for rank scores"))
    accuracies = {name: tuple(next(reached) for _ in range(runs)) for name in recipes}
    return RankScores(accuracies, found, *_scores(accuracies, weight), SELECTED[protocol.selection])


OWN_RECIPE = ("synthetic, own", "synthetic, augmented", "synthetic, plain")


def random_subsets(
    full: Data, per_class: int, runs: int, *, seed: int = 0, teacher: Teacher | None = None
) -> list[Data]:
    """Draw random samples of every class of the real training split, afresh for each run.

    Args:
        full: the real data.
        per_class: samples of each class.
        runs: how many subsets.
        seed: which ones.
        teacher: gives every sample one soft label, without augmentation; None leaves the classes.

    Returns:
        Data whose training split is the subset; with a teacher it has ``"label_logits"``.

    Raises:
        ArgumentError: a class has fewer samples.

    Example:
        >>> from limbeck.data import digits
        >>> [len(one.train) for one in random_subsets(digits(), 2, 3)]
        [20, 20, 20]
    """
    subsets = []
    for number in range(runs):
        chosen = random_selection(full.train.y, per_class, keyed.key(seed, "random subset", number))
        split = Subset(full.train, chosen)
        columns = split.take(np.arange(len(split)))
        if teacher is not None:
            columns[SOFT_LABELS] = collect(teacher, full, split)[0]
        subsets.append(dataclasses.replace(full, train=remade(split, columns), rest=None))
    return subsets


def with_hard_labels(small: Data) -> Data:
    """The small set with its classes alone."""
    if SOFT_LABELS not in columns_of(small):
        return small
    columns = small.train.take(np.arange(len(small.train)))
    del columns[SOFT_LABELS]
    return dataclasses.replace(small, train=remade(small.train, columns))


def _searched(
    run: Run, recipes: Mapping[str, tuple[Sequence[Data], Protocol]], rates: Sequence[float]
) -> dict[str, float]:
    """For each recipe the rate that is best on validation; of equals the first."""
    if not rates:
        return {name: recipe.lr for name, (_, recipe) in recipes.items()}
    cases = [
        Case(sets[0], dataclasses.replace(recipe, lr=rate), recipe.network, 0, "validation")
        for sets, recipe in recipes.values()
        for rate in rates
    ]
    reached = [one["accuracy"] for one in trained(run, cases, "learning rates")]
    tables = np.array(reached).reshape(len(recipes), len(rates))
    return {name: rates[int(place)] for name, place in zip(recipes, tables.argmax(1), strict=True)}


def _scores(accuracies: Mapping[str, Each], weight: float) -> tuple[Each, Each]:
    """LRS and ARS of every run."""

    def of(*cases: str) -> list[Tensor]:
        return [torch.tensor(accuracies[case], dtype=torch.float64) for case in cases]

    hard, own = ("real, hard", "synthetic, hard"), ("synthetic, own", "random, own")
    changed = ("synthetic, augmented", "random, augmented")
    plain = ("synthetic, plain", "random, plain")
    label = label_robust_score(*of(*hard, *own), weight=weight)
    augmentation = augmentation_robust_score(*of(*changed, *plain), weight=weight)
    return tuple(label.tolist()), tuple(augmentation.tolist())


def _check_alike(small: Data, subsets: Sequence[Data]) -> None:
    if not subsets:
        raise ArgumentError("there are no random subsets; make one a run with random_subsets(...)")
    expected = len(small.train), SOFT_LABELS in columns_of(small)
    for number, subset in enumerate(subsets):
        found = len(subset.train), SOFT_LABELS in columns_of(subset)
        if found != expected:
            kinds = ["soft" if soft else "class" for _, soft in (found, expected)]
            raise ArgumentError(
                f"random subset {number} has {found[0]} samples with {kinds[0]} labels and the set "
                f"{expected[0]} with {kinds[1]} labels; give random_subsets(...) the same "
                "per_class, and the teacher where labels are soft"
            )


def _check_space(small: Data, full: Data, subsets: Sequence[Data], *, pictures: bool) -> None:
    """All are tested on the same samples: where networks read other numbers, spaces differ."""
    expected = _tested(small, pictures)
    named = {"full": full, **{f"random subset {place}": one for place, one in enumerate(subsets)}}
    for name, data in named.items():
        found = _tested(data, pictures)
        same = found is expected or (
            found is not None
            and expected is not None
            and found.shape == expected.shape
            and torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
        )
        if not same:
            raise ArgumentError(
                f"networks read other test samples in {name} than in the set: the one may be "
                "whitened or normalised and the other not; bring both into one space, with "
                "limbeck.data.prepared.prepared(real, small.pixels) for a set that "
                "SyntheticDataset.as_data gave, and draw random_subsets(...) from that"
            )


def _tested(data: Data, pictures: bool) -> Tensor | None:
    """Some test samples as networks read them, and as pictures where those are asked for."""
    places = np.linspace(0, len(data.test) - 1, min(len(data.test), LOOKED_AT)).astype(np.int64)
    columns = data.columns(data.test, places)
    if "x" not in columns:
        return None
    given, x = columns["x"].float(), data.normalise(columns)["x"].float()
    return torch.stack([x, pixels_of(data).show(given)] if pictures else [x])
