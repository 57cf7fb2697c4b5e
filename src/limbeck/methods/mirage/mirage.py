"""Mirage: graphs distilled without training into trees that often occur together."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from limbeck.data.graph_data import GraphData
from limbeck.errors import ArgumentError, SettingsError, UnusualUseWarning
from limbeck.evaluate.graph_sets import GraphJudging, judge_graphs
from limbeck.functional.item_sets import ItemSets, exclusive_item_sets
from limbeck.method import method
from limbeck.products import SyntheticGraphs
from limbeck.products.graph_origins import real_graph_sets
from limbeck.run import Run
from limbeck.selection.tree_sets import TreeSets

# A share of the training graphs of a class, or a number of them.
Threshold = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)]


@method("mirage")
class Mirage:
    r"""Keep, class by class, the sets of computation trees that many graphs have in common.

    .. math:: \{ S : |\{ G \in c : S \subseteq T_L(G) \}| \ge \theta_c \}

    where :math:`T_L(G)` are the trees of depth L that the nodes of G unroll to. No network is
    trained: each set becomes one small graph for any network of at most L layers.

    Args:
        depth: L, layers of message passing for which trees take the place of nodes.
        thresholds: of each class the least number of training graphs (a whole number) or the least
            share of them (a fraction) that a set must occur in; one stands for all classes.
        exclusive: leave out sets that are frequent in several classes.
        weights: draw graphs in training as often as their ``"support"``, or all alike
            (``"uniform"``).
        multiplicity: let each tree count in the readout as often as it occurs, on average, in the
            graphs that hold its set; if not, once. Not part of the paper.
        largest_tree: nodes of the largest tree that is used.
        largest_set: the most trees of a set; none for any number.
        most_sets: the most sets of a class, those of the largest support.
        tries: how many thresholds are tried, each lower than the one before, down to one graph;
            the one is kept on whose set the first network of `judging` reaches the highest
            validation AUC.
        lowering: by how much, a number of graphs or a share.
        judging: how sets are judged.

    Source: Gupta et al., arXiv 2310.09486, and frigategnn/Mirage.
    """

    depth: Annotated[int, Field(ge=1)] = 2
    thresholds: Threshold | tuple[Threshold, ...] = 0.5
    exclusive: bool = False
    weights: Literal["support", "uniform"] = "support"
    multiplicity: bool = False
    largest_tree: Annotated[int, Field(ge=2)] = 2000
    largest_set: Annotated[int, Field(ge=1)] | None = None
    most_sets: Annotated[int, Field(ge=1)] = 10_000
    tries: Annotated[int, Field(ge=1)] = 1
    lowering: Threshold = 0.05
    judging: GraphJudging = GraphJudging()

    def distill(self, run: Run, *, data: GraphData) -> SyntheticGraphs:
        """Find the frequent sets and build a graph of each.

        Args:
            run: the folder.
            data: labelled graphs.

        Returns:
            The graphs.

        Raises:
            ArgumentError: a threshold leaves a class without sets; the largest usable one is told.
            SettingsError: there are not as many thresholds as classes.
            ModelError: a network that judges is unknown.
        """
        self._check(data)
        return self._found(run, data)

    def baselines(self, run: Run, *, data: GraphData) -> dict[str, SyntheticGraphs]:
        """Real graphs of the same number, of as many bytes, chosen by their features, and all."""
        with warnings.catch_warnings():
            # They were said when the set itself was made.
            warnings.simplefilter("ignore", UnusualUseWarning)
            made = self._found(run, data)
        return real_graph_sets(run, data, made)

    def _found(self, run: Run, data: GraphData) -> SyntheticGraphs:
        begun = time.perf_counter()
        trees = TreeSets.of(data.train, self.depth, self.largest_tree)
        if trees.too_large:
            warnings.warn(
                f"{trees.too_large} of {len(trees.trees.sizes)} trees have more than "
                f"{self.largest_tree} nodes and are left out; raise largest_tree, or lower depth",
                UnusualUseWarning,
                stacklevel=3,
            )
        made: dict[int, SyntheticGraphs] = {}
        for tried in range(self.tries):
            try:
                made[tried] = self._built(data, trees, tried)
            except ArgumentError:
                # Lower thresholds that are still to be tried may leave no class empty.
                if tried + 1 == self.tries and not made:
                    raise
        chosen = next(iter(made.values())) if self.tries == 1 else self._best(run, made, data)
        chosen.seconds = time.perf_counter() - begun
        return chosen

    def _built(self, data: GraphData, trees: TreeSets, tried: int) -> SyntheticGraphs:
        """Mine each class with thresholds lowered so many times, and build the graphs."""
        least = [self._least(data, one, tried) for one in range(data.outputs)]
        found = [self._mined(data, trees, one, count) for one, count in enumerate(least)]
        if self.exclusive:
            found = _exclusive(data, found)
        used = np.unique(np.concatenate([one for each in found for one in each.sets]))
        members = [np.searchsorted(used, one) for each in found for one in each.sets]
        counts = None
        if self.multiplicity:
            averages = [trees.average_counts(n, each.sets) for n, each in enumerate(found)]
            counts = [one for each in averages for one in each]
        sizes = [len(each) for each in found]
        supports = np.concatenate([each.supports for each in found])
        return SyntheticGraphs(
            trees.unrolled(used),
            members,
            np.repeat(np.arange(data.outputs), sizes),
            data,
            support=supports if self.weights == "support" else None,
            counts=counts,
            depth=self.depth,
            judging=self.judging,
            name="mirage",
            facts=_facts(data, trees, found, least),
        )

    def _mined(self, data: GraphData, trees: TreeSets, one: int, least: int) -> ItemSets:
        found = trees.frequent(one, least, max_size=self.largest_set, max_sets=self.most_sets)
        said = f"class {data.classes[one]!r}"
        if not len(found):
            supports, graphs = trees.supports(one), _of_class(data, one)
            if not len(supports):
                raise ArgumentError(
                    f"{said} has no tree: none of its {graphs} training graphs has an edge, or all "
                    "trees are above largest_tree; leave the class out, or raise largest_tree"
                )
            best = int(supports.max())
            share = math.floor(100 * best / graphs) / 100
            raise ArgumentError(
                f"{said} has no set of trees in {least} of its {graphs} training graphs; lower its "
                f"threshold to {best} graphs ({share:g} as a share) or less"
            )
        if found.larger or found.cut:
            limit = "most_sets" if found.cut else "largest_set"
            kept = f"of {len(found)} sets down to {int(found.supports.min())} graphs"
            warnings.warn(
                f"{said} has more frequent sets than {limit}={getattr(self, limit)} lets in; those "
                f"{kept} are kept; raise the threshold, or the limit",
                UnusualUseWarning,
                stacklevel=5,
            )
        return found

    def _best(
        self, run: Run, made: Mapping[int, SyntheticGraphs], data: GraphData
    ) -> SyntheticGraphs:
        """The set on which networks reach the highest validation AUC, the first of equals."""
        judging = dataclasses.replace(self.judging, networks=self.judging.networks[:1])
        areas = {
            tried: judge_graphs(
                run, f"try {tried}", one.as_data(data), judging, {}, split="validation"
            ).mean("auc")
            for tried, one in made.items()
        }
        best = max(areas, key=lambda tried: areas[tried])
        # By how often the thresholds were lowered; those that left a class empty are not there.
        made[best].facts["tries"] = {str(tried): round(one, 6) for tried, one in areas.items()}
        return made[best]

    def _least(self, data: GraphData, one: int, tried: int) -> int:
        """The least number of graphs of a class, after so many lowerings."""
        each = self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)
        threshold, graphs = each[one % len(each)], _of_class(data, one)

        def counted(value: float) -> float:
            return value * graphs if isinstance(value, float) else value

        # Shares such as 0.6 have no exact double; a count that they just miss is meant.
        return max(math.ceil(counted(threshold) - tried * counted(self.lowering) - 1e-9), 1)

    def _check(self, data: GraphData) -> None:
        """Say what would go wrong before anything is counted."""
        if isinstance(self.thresholds, tuple) and len(self.thresholds) != data.outputs:
            raise SettingsError(
                f"there are {len(self.thresholds)} thresholds and {data.name} has {data.outputs} "
                "classes; give one for each, or one for all"
            )
        deep = {name: n for name, n in self.judging.check(data).items() if n > self.depth}
        if deep:
            names = ", ".join(f"{name} ({layers})" for name, layers in deep.items())
            warnings.warn(
                f"networks with more layers than trees have levels see less in a tree than in a "
                f"graph: {names} learn from trees of depth {self.depth}, which stand for their "
                f"nodes approximately; raise depth to {max(deep.values())}",
                UnusualUseWarning,
                stacklevel=3,
            )


def _of_class(data: GraphData, one: int) -> int:
    """Training graphs of a class."""
    assert data.train.y is not None
    return int((data.train.y == one).sum())


def _exclusive(data: GraphData, found: Sequence[ItemSets]) -> list[ItemSets]:
    """Sets of one class alone; a class that would have none keeps all, which is said."""
    kept, emptied = exclusive_item_sets(found)
    if emptied:
        names = ", ".join(repr(data.classes[one]) for one in emptied)
        warnings.warn(
            f"all frequent sets of class {names} are frequent in another class too, and are kept; "
            "exclusive=false says so of all classes",
            UnusualUseWarning,
            stacklevel=4,
        )
    return kept


def _facts(
    data: GraphData, trees: TreeSets, found: Sequence[ItemSets], least: Sequence[int]
) -> dict[str, Any]:
    """What is told of how a set came about."""
    classes = [
        {
            "class": data.classes[one],
            "graphs": _of_class(data, one),
            "trees": len(trees.supports(one)),
            "threshold": count,
            "sets": len(each),
            "largest_set": max(map(len, each.sets)),
        }
        for one, (each, count) in enumerate(zip(found, least, strict=True))
    ]
    return {
        "trees": len(trees.trees.sizes),
        "too_large": trees.too_large,
        "covered": trees.covered(),
        "classes": classes,
    }
