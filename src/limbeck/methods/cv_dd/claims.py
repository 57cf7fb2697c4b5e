"""What must hold for CV-DD."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict, by_means

COMMITTEE = [
    "convnet-d3?norm=batch&width=32",
    "convnet-d2?norm=batch&width=48",
    "convnet-d3?norm=batch&width=16",
]
# After few steps a ResNet is still at chance on noise: what labels teach there, a ConvNet tells.
CONVNET = "convnet-d2?norm=batch&width=32"
BY_CONVNET = (
    "noise images",
    "noise images, running statistics",
    "committee",
    "committee, running statistics",
)
BY_RESNET = ("committee", "one voter", "mosaics", "random images", "hard labels")
IMAGES = 3
SETTINGS: dict[str, Any] = {
    "images_per_class": IMAGES,
    "prior_images": 1,
    "patches": {"factor": 1, "difficulty": "medium"},
    "recovery": {
        "steps": 150,
        "statistics_weight": 0.1,
        "views": {"low": 0.3, "flip": True, "roll": 3},
    },
    "relabelling": {
        "views": {"steps": 200, "batch_size": 24, "low": 0.3},
        "batch_statistics": True,
        "pieces": 2,
    },
    # A student of an architecture that is in no committee.
    "recipe": {
        "network": "resnet18?norm=batch&width_multiplier=0.25&stem_stride=2",
        "repeats": 1,
        "accumulate": 2,
    },
    "teaching": {"steps": 400, "views": {"flip": True, "crop": 2}},
}


def sets_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Make and judge every set that the claims compare, from the committee of one seed.

    Args:
        folder: of the run.
        seed: of the run.

    Returns:
        Accuracy by name of the set.
    """
    from limbeck.data.names import resolve
    from limbeck.functional import voting_weights
    from limbeck.method import complete
    from limbeck.methods.cv_dd.cv_dd import CVDD
    from limbeck.products.labelled_sets import LabelledSets
    from limbeck.run import Run

    data, run = resolve("fashion-mnist"), Run(folder, seed=seed)
    method: Any = CVDD(**SETTINGS)
    made, others, ready = complete(method, run, {"data": data, "teacher": COMMITTEE})
    found = {"committee": made, **others}
    committee = LabelledSets.of(run, ready["teacher"], data, method.relabelling, method.recipe)
    # The same weights, so that the statistics alone make the difference.
    weights = voting_weights(method._priors(committee, ready["teacher"]), method.label_temperature)
    running = dataclasses.replace(
        committee,
        weights=weights.tolist(),
        relabelling=dataclasses.replace(method.relabelling, batch_statistics=False),
    )
    found["noise images, running statistics"] = running.make("noise", *running.noise(IMAGES))
    found["committee, running statistics"] = running.make("running", made.images, made.labels)
    third = dataclasses.replace(method.recipe, others=())
    near = dataclasses.replace(third, network=CONVNET)
    return {
        **{name: _judged(found[name], third, data, run) for name in BY_RESNET},
        **{f"{name} on a ConvNet": _judged(found[name], near, data, run) for name in BY_CONVNET},
    }


def _judged(small: Any, recipe: Any, data: Any, run: Any) -> float:
    small.protocol = recipe
    return small.judged(data, run).mean


def _compared(*names: str, holds: Callable[[dict[str, float]], bool]) -> Callable[..., Verdict]:
    """Decide by the mean accuracies of some sets."""

    def test(trial: Trial) -> Verdict:
        found = trial.of_seeds(sets_of_a_seed, SETTINGS, COMMITTEE)
        return by_means({name: found[name] for name in names}, holds)

    return test


def single_voter(folder: Path, seed: int) -> dict[str, bool]:
    """Compare, to the bit, one voter with images recovered and labelled without votes.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Whether images and labels are equal.
    """
    from limbeck.data import digits
    from limbeck.fingerprint import fingerprint
    from limbeck.loops.recover import planned, recovered
    from limbeck.loops.teach import taught
    from limbeck.methods.cv_dd.cv_dd import CVDD
    from limbeck.products.labelled_sets import LabelledSets
    from limbeck.run import Run

    data, name = digits(), "convnet-d1?norm=batch&width=4"
    method: Any = CVDD(**cards.preset("cv-dd", "tiny")["settings"] | {"voters": 1})
    voted = method.distill(Run(folder / "voted", seed=seed), teacher=[name], data=data)
    run = Run(folder / "plain", seed=seed)
    teacher = taught(run, [name], data, method.teaching)
    sets = LabelledSets.of(run, teacher, data, method.relabelling, method.recipe)
    starts = sets.patched(1, teacher, method.patches)
    blocks = planned(data.outputs, 1, method.recovery.block, starts=starts)
    pictures, _ = recovered(run, sets.networks, blocks, sets.space, method.recovery)
    plain = sets.make("plain", pictures, voted.labels)
    first, second = (
        [fingerprint(batch) for batch in one.replay().batches(0, 8)] for one in (voted, plain)
    )
    return {"bitwise_equal": first == second}


def votes_and_the_single_voter(trial: Trial) -> Verdict:
    """Look at the weights, and at one voter."""
    from limbeck.functional import voting_weights

    alpha = [63.0, 65.3, 68.5, 67.6, 67.4]
    usual, hot, cold = (voting_weights(alpha, one) for one in (5.0, 1e6, 1e-3))
    ordered = sorted(range(5), key=alpha.__getitem__) == usual.argsort().tolist()
    figures: dict[str, Any] = {
        "sum": float(usual.sum()),
        "spread_when_hot": float(hot.max() - hot.min()),
        "largest_when_cold": float(cold.max()),
        "in_order": ordered,
        **trial.of_seeds(single_voter),
    }
    limits = abs(figures["sum"] - 1) < 1e-9 and figures["spread_when_hot"] < 1e-5
    sharp = figures["largest_when_cold"] > 1 - 1e-6
    return Verdict(limits and sharp and ordered and all(figures["bitwise_equal"]), figures)


def labels_of_the_batch(trial: Trial) -> Verdict:
    """Label one batch on its own statistics and on running ones that are moved meanwhile."""
    import torch
    from torch import nn

    from limbeck.data import InputSpace
    from limbeck.keyed import torch_seeded
    from limbeck.loops.relabel import batch_logits
    from limbeck.networks.batch_norm import batch_norms, batch_statistics
    from limbeck.networks.names import build

    figures: dict[str, list[Any]] = {"differs_by": [], "moves_by": [], "untouched": []}
    for seed in trial.seeds:
        with torch_seeded(seed):
            network: nn.Module = build(COMMITTEE[2], InputSpace((16, 16), 1), 10).eval()
            x = torch.randn(8, 1, 16, 16)
        running = batch_logits([network], x, pieces=2)
        before = {name: one.clone() for name, one in network.state_dict().items()}
        with batch_statistics(network):
            own = batch_logits([network], x, pieces=2)
        kept = all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
        for layer in batch_norms(network):
            layer.running_mean.add_(3.0)  # type: ignore[operator]
        with batch_statistics(network):
            moved = batch_logits([network], x, pieces=2)
        figures["differs_by"].append(float((own - running).abs().max()))
        figures["moves_by"].append(float((own - moved).abs().max()))
        figures["untouched"].append(kept)
    held = min(figures["differs_by"]) > 1e-3 and max(figures["moves_by"]) == 0
    return Verdict(held and all(figures["untouched"]), figures)


CLAIMS = [
    Claim(
        1,
        "Weights sum to one, rise with the prior, are equal when hot and one voter when cold; a "
        "single voter gives the bits of a recovery without votes.",
        votes_and_the_single_voter,
    ),
    Claim(
        2,
        "Labels on batch statistics differ from those on running ones, do not depend on these, "
        "and leave them as they are.",
        labels_of_the_batch,
    ),
    Claim(
        3,
        "For a student of a third architecture two voters are at least as good as the best one "
        "alone.",
        _compared(
            "committee",
            "one voter",
            "random images",
            holds=lambda mean: mean["committee"] >= mean["one voter"],
        ),
    ),
    Claim(
        4,
        "Recovering from real crops beats the crops alone with the same soft labels.",
        _compared(
            "committee",
            "mosaics",
            "hard labels",
            holds=lambda mean: mean["committee"] > mean["mosaics"],
        ),
    ),
    Claim(
        5,
        "On noise, labels on batch statistics teach more than labels on running ones.",
        _compared(
            *(f"{name} on a ConvNet" for name in BY_CONVNET),
            holds=lambda mean: (
                mean["noise images on a ConvNet"]
                > mean["noise images, running statistics on a ConvNet"]
            ),
        ),
    ),
]
