"""What must hold for regularised meta-learning: on Friedman's function, on houses, on digits.

Numbers 1 to 5 are those of the paper's sheet; 6 and 7 are limbeck's own: the paper has no classes.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.claims import Claim, Figures, Trial, Verdict

# Eighteen as on the sheet: ridges, lassos, least squares, neighbours, trees, forests, boosting.
FRIEDMAN = (
    "sklearn:linear-regression",
    *(f"sklearn:ridge?alpha={alpha}" for alpha in (0.1, 1.0, 10.0, 100.0)),
    *(f"sklearn:lasso?alpha={alpha}" for alpha in (0.001, 0.01, 0.1)),
    *(f"sklearn:k-neighbors?n_neighbors={count}" for count in (3, 7, 15)),
    *(f"sklearn:decision-tree?max_depth={depth}" for depth in (3, 6)),
    "sklearn:random-forest?n_estimators=50",
    "sklearn:random-forest?n_estimators=50&max_features=4",
    "sklearn:extra-trees?n_estimators=50",
    "sklearn:gradient-boosting?n_estimators=60",
    "sklearn:gradient-boosting?n_estimators=60&max_depth=2",
)
HOUSES = (
    "california-housing?target=median_house_value&task=regression&missing=mean&unit=100000"
    "&samples=3000"
)
# Members, None for the pool, and settings.
PROBLEMS: dict[str, tuple[Sequence[str] | None, dict[str, Any]]] = {
    "friedman": (FRIEDMAN, {}),
    "houses": (None, {"cv": 5}),
}
# The last is shown and decides nothing.
CLASSES = ("stack", "simple average", "best single", "plain logistic stack")
STACK, PLAIN, NEAR = "stack", "plain ridge stack", 1.01
PREFIXES = tuple(f"{name}, " for name in PROBLEMS)
THRESHOLDS = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)


def regressions_of_a_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Stack both regressions once.

    Args:
        folder: keeps trained members.
        seed: of the run, and of the draw of Friedman's function.

    Returns:
        By ``"PROBLEM, NAME"``: errors on the test split of the stack and of simpler ones, errors
        on rows that the blend did not see, conditioning and counts of members.
    """
    from limbeck.data import friedman

    found: dict[str, Any] = {}
    for problem, (members, settings) in PROBLEMS.items():
        data: Any = friedman(draw=seed) if problem == "friedman" else HOUSES
        stack, quality, table = stacked(folder / problem, seed, data, members, settings)
        own = {name: figures["rmse"] for name, figures in quality.items()} | counts(stack)
        errors = {name: one["rmse"] for name, one in stack.facts["out_of_fold"].items()}
        own["blend"], three = errors.pop("blend"), errors.values()
        own |= {"best of the three": min(three), "mean of the three": sum(three) / len(three)}
        own["removed by threshold"] = removed_by_threshold(table)
        found |= {f"{problem}, {name}": value for name, value in own.items()}
    return found


def classes_of_a_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Stack classifiers of digits that have 600 labels to learn from.

    Args:
        folder: keeps trained members.
        seed: of the run, and of which labels are kept.

    Returns:
        Loss and accuracy on the test split of the stack and of simpler ones, conditioning and
        counts of members.
    """
    stack, quality, _ = stacked(folder, seed, "digits?samples=600", None, {"cv": 5})
    figures = {
        f"{name}, {word}": one[word]
        for name, one in quality.items()
        for word in ("nll", "accuracy")
    }
    return figures | counts(stack)


def removed_by_threshold(table: Any) -> list[int]:
    """How many members go at each threshold of the squared difference, the correlation fixed."""
    from limbeck.functional import redundancy_projection

    return [
        len(
            redundancy_projection(
                table.table, table.target, squared_difference=one, variance=0, relative=True
            ).removed
        )
        for one in THRESHOLDS
    ]


def stacked(
    folder: Path,
    seed: int,
    data: Any,
    members: Sequence[str] | None,
    settings: Mapping[str, Any],
) -> tuple[Any, dict[str, dict[str, float]], Any]:
    """Run the method: the stack, the quality of it and of simpler ones on test, and the table."""
    from limbeck.evaluate.stacks import stack_quality
    from limbeck.method import complete
    from limbeck.methods.regularized_meta_learning.regularized_meta_learning import (
        RegularizedMetaLearning,
    )
    from limbeck.run import Run

    inputs = {"data": data, "teacher": None if members is None else list(members)}
    method = RegularizedMetaLearning(**settings)
    stack, plain, ready = complete(method, Run(folder, seed=seed), inputs)
    return stack, stack_quality({STACK: stack, **plain}, ready["data"]), ready["teacher"]


def counts(stack: Any) -> dict[str, Any]:
    """How many members there were and how many stay, and how well they are conditioned."""
    told = stack.facts
    return {
        "members": len(told["errors"]),
        "members that stay": len(told["kept"]),
        "duplicates": sum(one["reason"] == "duplicate" for one in told["removed"]),
        "condition before": told["condition_before"],
        "condition after": told["condition_after"],
    }


@functools.cache
def _regressions(trial: Trial) -> Figures:
    return trial.of_seeds(regressions_of_a_seed, PROBLEMS, HOUSES)


@functools.cache
def _classes(trial: Trial) -> Figures:
    return trial.of_seeds(classes_of_a_seed)


def _every(
    names: Sequence[str],
    holds: Callable[..., bool],
    source: Callable[[Trial], Figures] = _regressions,
    prefixes: Sequence[str] = PREFIXES,
) -> Callable[[Trial], Verdict]:
    """Decide seed by seed: a claim holds where it does in each, and all figures are shown."""

    def test(trial: Trial) -> Verdict:
        found = source(trial)
        shown = {
            f"{prefix}{name}": found[f"{prefix}{name}"] for prefix in prefixes for name in names
        }
        seeds = [
            holds(*values)
            for prefix in prefixes
            for values in zip(*(found[f"{prefix}{name}"] for name in names), strict=True)
        ]
        return Verdict(all(seeds), {**shown, "seeds that hold": f"{sum(seeds)} of {len(seeds)}"})

    return test


def _below_both(stack: float, average: float, single: float, *_: float) -> bool:
    return stack < min(average, single)


def _better_conditioned(before: float | None, after: float | None, duplicates: int) -> bool:
    # A condition number that is not finite is told as None.
    ours, theirs = (math.inf if one is None else one for one in (after, before))
    return ours < theirs if duplicates else ours <= theirs


def near_ridge_with_fewer(trial: Trial) -> Verdict:
    """Compare with plain ridge stacking of all members: error by the means, members in each."""
    found, held = _regressions(trial), True
    shown: dict[str, Any] = {}
    for problem in PROBLEMS:
        names = (STACK, PLAIN, "members that stay", "members")
        ours, plain, stay, members = (found[f"{problem}, {name}"] for name in names)
        ratio = sum(ours) / sum(plain)
        held &= ratio <= NEAR and all(a < b for a, b in zip(stay, members, strict=True))
        shown |= {f"{problem}, {name}": found[f"{problem}, {name}"] for name in names}
        shown[f"{problem}, ratio of means"] = ratio
    return Verdict(held, shown)


def more_go_as_the_threshold_rises(trial: Trial) -> Verdict:
    """Project the same tables at rising thresholds of the squared difference."""
    name = "removed by threshold"
    found = {f"{one}, {name}": _regressions(trial)[f"{one}, {name}"] for one in PROBLEMS}
    gone = [counts for seeds in found.values() for counts in seeds]
    rising = all(a <= b for one in gone for a, b in itertools.pairwise(one))
    return Verdict(rising, {"thresholds": list(THRESHOLDS), **found})


CLAIMS = [
    Claim(
        1,
        "The stack's error on the test split is below the simple average's and the best single "
        "member's in every seed (Friedman, houses).",
        _every((STACK, "simple average", "best single"), _below_both),
    ),
    Claim(
        2,
        "Members that stay are better conditioned than all of them where duplicates went. "
        "(Identity: they are never worse, for their correlations are some of those of all.)",
        _every(("condition before", "condition after", "duplicates"), _better_conditioned),
    ),
    Claim(
        3,
        "In the mean the stack is within 1 % of plain ridge stacking, with fewer members.",
        near_ridge_with_fewer,
    ),
    Claim(
        4,
        "Identity, which tests the code alone: on rows that it did not see the blend's error is at "
        "most the mean of the three it blends, for weights fall as errors rise.",
        _every(("blend", "mean of the three", "best of the three"), lambda a, b, _: a <= b + 1e-12),
    ),
    Claim(
        5,
        "At a fixed correlation more members go, or as many, as the threshold of the squared "
        "difference rises.",
        more_go_as_the_threshold_rises,
    ),
    Claim(
        6,
        "Of classes (limbeck's own extension): the stack's loss on digits is below the simple "
        "average's and the best single member's in every seed.",
        _every(
            tuple(f"{name}, nll" for name in CLASSES),
            _below_both,
            _classes,
            ("",),
        ),
    ),
    Claim(
        7,
        "Of classes (limbeck's own extension): members that stay are better conditioned where "
        "duplicates went. (Identity: they are never worse.)",
        _every(
            ("condition before", "condition after", "duplicates"),
            _better_conditioned,
            _classes,
            ("",),
        ),
    ),
]
