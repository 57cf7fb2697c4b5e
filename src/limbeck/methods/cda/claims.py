"""What must hold for CDA."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck.claims import Claim, Figures, Trial, Verdict, by_means

TEACHER = "convnet-d3?norm=batch&width=32"
IMAGES, STEPS, LOOKS = 5, 200, (0, 25, 50, 100, 199)
VIEWS = {"low": 0.3, "flip": True, "roll": 3}
SETTINGS: dict[str, Any] = {
    "images_per_class": IMAGES,
    "patches": {"factor": 1},
    "recovery": {"steps": STEPS, "statistics_weight": 0.1, "views": {**VIEWS, "milestone": 1.0}},
    "relabelling": {"views": {"steps": 240, "batch_size": 25, "low": 0.3}},
    "recipe": {"network": "convnet-d3?norm=batch&width=32", "repeats": 1},
    "teaching": {"steps": 600, "views": {"flip": True, "crop": 2}},
}
# What differs in the recovery, by the name of the set.
CHANGES: dict[str, dict[str, Any]] = {
    "cda": {},
    "sre2l": {"views": {**VIEWS, "milestone": 0.0}},
    "no statistics": {"statistics_weight": 0.0},
}
FALLS, INSIDE = "falls", "inside"


def sets_of_a_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Make and judge every set that the claims compare, from the network of one seed.

    Args:
        folder: of the run.
        seed: of the run.

    Returns:
        Accuracy by name of the set; by name of a recovery the network's cross-entropy on whole
        images at some steps, ``"NAME whole"``; and whether every block's objective fell.
    """
    import torch

    from limbeck.data.names import resolve
    from limbeck.functional import cross_entropy
    from limbeck.loops.recover import planned, recovered
    from limbeck.loops.teach import taught
    from limbeck.methods.cda.cda import CDA
    from limbeck.products.labelled_sets import LabelledSets
    from limbeck.run import Run

    data, run = resolve("fashion-mnist"), Run(folder, seed=seed)
    plain: Any = CDA(**SETTINGS)
    teacher = taught(run, [TEACHER], data, plain.teaching)
    sets = LabelledSets.of(run, teacher, data, plain.relabelling, plain.recipe)
    networks = sets.networks
    found: dict[str, Any] = {FALLS: True, INSIDE: True}
    made = {}
    for name, change in CHANGES.items():
        one: Any = CDA(**{**SETTINGS, "recovery": {**SETTINGS["recovery"], **change}})
        blocks, called = planned(data.outputs, IMAGES, one.recovery.block), name.replace(" ", "-")
        pictures, seen = recovered(
            run, networks, blocks, sets.space, one.recovery, name=called, moments=LOOKS
        )
        labels = blocks[0].labels
        found[f"{name} whole"] = [
            float(cross_entropy(networks[0](seen[look]), labels)) for look in LOOKS[1:]
        ]
        found[FALLS] &= all(_falls(run.dir, called, block.number) for block in blocks)
        later = [seen[look] for look in LOOKS[1:]]
        found[INSIDE] &= all(torch.equal(sets.space.clip(one), one) for one in later)
        made[name] = sets.make(name, pictures, labels.repeat_interleave(IMAGES))
    hard = made["cda"]
    made["hard labels"] = sets.make("hard labels", hard.images, hard.labels, soft=False)
    made["noise images"] = sets.make("noise images", *sets.noise(IMAGES))
    made["random images"] = sets.make("random images", *sets.chosen("random", IMAGES))
    mosaics = sets.patched(IMAGES, teacher, plain.patches)
    made["mosaics"] = sets.make("mosaics", mosaics, hard.labels)
    return found | {name: one.judged(data, run).mean for name, one in made.items()}


def _falls(folder: Path, name: str, number: int) -> bool:
    """Whether the objective of a block was lower in the end than in the beginning."""
    text = (folder / "jobs" / f"{name}-0-{number}" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    totals = [row["label"] + row.get("statistics", 0.0) for row in rows if "label" in row]
    return totals[-1] < totals[0]


def _found(trial: Trial) -> Figures:
    return trial.of_seeds(sets_of_a_seed, SETTINGS, CHANGES)


def _compared(*names: str, holds: Callable[[dict[str, float]], bool]) -> Callable[..., Verdict]:
    """Decide by the mean accuracies of some sets."""

    def test(trial: Trial) -> Verdict:
        found = _found(trial)
        return by_means({name: found[name] for name in names}, holds)

    return test


def schedule_is_exact(trial: Trial) -> Verdict:
    """Look at the smallest crop over a run, and at what a crop of a whole image is."""
    import torch

    from limbeck.data.batch_views import BatchViews
    from limbeck.functional import crop_scale_bounds

    figures: dict[str, list[Any]] = {"milestone": [], "first": [], "at_milestone": []}
    falls = []
    for milestone in (1.0, 0.5, 0.1):
        found = [crop_scale_bounds(step, 1000, milestone=milestone)[0] for step in range(1001)]
        figures["milestone"].append(milestone)
        figures["first"].append(found[0])
        figures["at_milestone"].append(found[int(1000 * milestone)])
        falls.append(all(first >= second for first, second in itertools.pairwise(found)))
    x = torch.randn(2, 3, 32, 32)
    views = BatchViews(milestone=1.0, flip=False, roll=0)
    whole = all(torch.equal(views.apply(x, 0, 1000, key), x) for key in range(200))
    exact = all(one == 1 for one in figures["first"]) and all(
        abs(one - 0.08) < 1e-12 for one in figures["at_milestone"]
    )
    held = exact and all(falls) and whole
    return Verdict(held, {**figures, "monotone": falls, "whole_at_first": whole})


def curriculum_is_ahead_early(trial: Trial) -> Verdict:
    """Compare what the network says of whole images on the way, with and without the curriculum.

    Whether students learn more from the result is measured beside it, and decides nothing.
    """
    found = _found(trial)
    means = {
        name: [statistics.fmean(column) for column in zip(*found[f"{name} whole"], strict=True)]
        for name in ("cda", "sre2l")
    }
    ahead = all(
        one < other for one, other in zip(means["cda"][:3], means["sre2l"][:3], strict=True)
    )
    figures = {
        "steps": list(LOOKS[1:]),
        "cda_cross_entropy": means["cda"],
        "sre2l_cross_entropy": means["sre2l"],
        "cda_accuracy": found["cda"],
        "sre2l_accuracy": found["sre2l"],
    }
    return Verdict(ahead, figures)


def recovery_lowers_its_objective(trial: Trial) -> Verdict:
    """Look at the first and the last objective of every block, and at pixels on the way."""
    found = _found(trial)
    held = all(found[FALLS]) and all(found[INSIDE])
    return Verdict(held, {"every_block_falls": found[FALLS], "pixels_inside": found[INSIDE]})


CLAIMS = [
    Claim(
        1,
        "The smallest crop is the whole image at first, 0.08 at the milestone, and never grows.",
        schedule_is_exact,
    ),
    Claim(
        2,
        "Without matched statistics students learn clearly less; noise that is only labelled "
        "teaches little more than chance.",
        _compared(
            "cda",
            "no statistics",
            "noise images",
            "random images",
            "mosaics",
            holds=lambda mean: (
                mean["cda"] > mean["no statistics"] + 0.03 and mean["noise images"] < 0.2
            ),
        ),
    ),
    Claim(
        3,
        "On recovered images soft labels beat hard ones at equal steps.",
        _compared("cda", "hard labels", holds=lambda mean: mean["cda"] > mean["hard labels"]),
    ),
    Claim(
        4,
        "With the curriculum the network knows whole images sooner, at steps 25, 50 and 100 of "
        "200.",
        curriculum_is_ahead_early,
    ),
    Claim(
        5,
        "The objective of every block is lower in the end than in the beginning, and pixels stay "
        "in their range.",
        recovery_lowers_its_objective,
    ),
]
