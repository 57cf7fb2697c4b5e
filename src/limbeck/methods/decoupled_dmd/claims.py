"""What must hold for Decoupled DMD."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict, by_means
from limbeck.evaluate.arms import judged_arms, made_arms

NETWORK = "denoiser-mlp?width=128&depth=3"
KINDS = ("x0", "eps", "v", "flow")
TEACHING: dict[str, Any] = {"steps": 4000, "batch_size": 256}
ONE_STEP: dict[str, Any] = {
    "sampler": {"levels": (1.0,)},
    "guidance": 3.0,
    "matching": {"steps": 600, "fake_per_student": 3, "batch_size": 256, "most_spread": 0},
    "teaching": TEACHING,
}
FOUR_STEPS: dict[str, Any] = {
    "guidance": 2.0,
    "matching": {"steps": 600, "fake_per_student": 3, "batch_size": 128},
    "teaching": TEACHING,
}
BANDS = {"noisy": (0.7, 0.98), "clean": (0.02, 0.3)}
MOMENTS = (50, 100, 200)
SIGNIFICANT = 0.05


def _method(settings: Mapping[str, Any], **changes: Any) -> Any:
    return cards.load_class("decoupled-dmd")(**{**settings, **changes})


def both_directions(trial: Trial) -> Verdict:
    """Add both directions and hold them against the guided teacher less the fake."""
    import torch

    from limbeck.data.space import InputSpace
    from limbeck.functional import augmentation_delta, match_delta
    from limbeck.keyed import torch_seeded
    from limbeck.networks.names import build

    largest: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in trial.seeds:
        with torch_seeded(seed), torch.no_grad():
            # Only under this schedule there are all four forms of an answer.
            networks: list[Any] = [
                build("denoiser-mlp?width=32&depth=1&prediction=eps", InputSpace((2,)), 2)
                for _ in range(2)
            ]
            real, fake = networks
            x, t, condition = torch.randn(64, 2), torch.rand(64) * 0.9 + 0.05, torch.arange(64) % 2
            for kind in KINDS:
                said, bare, whole = (
                    real.predict(x, t, one, as_=kind, guidance=scale)
                    for one, scale in ((condition, 1.0), (None, 1.0), (condition, 3.0))
                )
                made = fake.predict(x, t, condition, as_=kind)
                both = match_delta(said, made) + augmentation_delta(said, bare, 3.0)
                size = (whole - made).abs().max()
                largest[kind].append(float((both - (whole - made)).abs().max() / size))
    return Verdict(max(map(max, largest.values())) < 1e-5, largest)


def one_step_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Train one-step students with one direction, with the other, and with mean and variance.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Spread of samples, sliced Wasserstein distance to the guided teacher, and modes, by arm.
    """
    import torch

    from limbeck.data.names import resolve
    from limbeck.evaluate.generators import generator_rows
    from limbeck.functional import sliced_wasserstein, unit_projections
    from limbeck.keyed import key
    from limbeck.loops.denoise import Denoising
    from limbeck.products.generator import Generator
    from limbeck.run import Run
    from limbeck.samplers.few_step import steps

    data = resolve("ring8-2c")
    arms = {
        "augment": _method(ONE_STEP, regulariser="none"),
        "augment and match": _method(ONE_STEP),
        "match": _method(ONE_STEP, augment=False),
        "augment and mean_var": _method(ONE_STEP, regulariser="mean_var"),
    }
    made = made_arms(folder, seed, data, NETWORK, arms)
    teacher = Denoising(**TEACHING).taught(
        Run(folder / "teacher", seed=seed, shared=folder / "augment"), NETWORK, data
    )
    guided = Generator.of(teacher, steps(50, guidance=ONE_STEP["guidance"]), data)
    labels = torch.arange(4000) % 2
    goal = guided.sample(labels, seed=seed)
    projections = unit_projections(2, 200, key("projections"))
    found: dict[str, float] = {}
    for name, one in made.items():
        samples = one.sample(labels, seed=seed)
        found[f"spread, {name}"] = float(samples.std())
        found[f"distance, {name}"] = sliced_wasserstein(samples, goal, projections)
    rows, _ = generator_rows(Run(folder / "judged", seed=seed), made, data)
    for row in rows:
        if row["name"] in arms:
            found[f"modes, {row['name']}"] = row["quality"]["modes"]
    return found


def bands_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Let the augmenting direction alone move samples of digits, at noisy and at clean levels.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Fréchet distance after some updates, by band.
    """
    arms = {
        f"{name}, {count} updates": _method(
            ONE_STEP,
            regulariser="none",
            band=band,
            matching={
                "steps": count,
                "batch_size": 128,
                "most_spread": 0,
                "average": 0,
                "optim": {"schedule": "constant"},
            },
        )
        for name, band in BANDS.items()
        for count in MOMENTS
    }
    judged = judged_arms(folder, seed, "digits", NETWORK, arms)
    return {name: one["frechet"] for name, one in judged.items()}


def schedules_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Train four-step students of digits under three schedules.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Fréchet distance and label accuracy by schedule.
    """
    arms = {name: _method(FOUR_STEPS, schedule=name) for name in ("shared", "full", "hybrid")}
    judged = judged_arms(folder, seed, "digits", NETWORK, arms)
    return {
        f"{figure}, {name}": one[figure]
        for name, one in judged.items()
        for figure in ("frechet", "label_accuracy")
    }


def _one_step(*names: str, holds: Callable[[dict[str, float]], bool]) -> Callable[..., Verdict]:
    """Decide by the means of some figures of the one-step students."""

    def test(trial: Trial) -> Verdict:
        found = trial.of_seeds(one_step_of_a_seed, ONE_STEP)
        return by_means({name: found[name] for name in names}, holds)

    return test


def bands(trial: Trial) -> Verdict:
    """Compare after which band samples of digits have gone farther from real ones."""
    last = MOMENTS[-1]
    return by_means(
        trial.of_seeds(bands_of_a_seed, ONE_STEP, BANDS),
        lambda mean: mean[f"clean, {last} updates"] > mean[f"noisy, {last} updates"],
    )


def schedules(trial: Trial) -> Verdict:
    """Compare three schedules on digits: two shall not be told apart, one shall be no worse."""
    from scipy.stats import ttest_rel

    found = trial.of_seeds(schedules_of_a_seed, FOUR_STEPS)
    told = {
        figure: float(ttest_rel(found[f"{figure}, full"], found[f"{figure}, shared"]).pvalue)
        for figure in ("frechet", "label_accuracy")
    }
    mean = {name: statistics.fmean(values) for name, values in found.items()}
    better = (
        mean["label_accuracy, hybrid"] >= mean["label_accuracy, shared"]
        or mean["frechet, hybrid"] <= mean["frechet, shared"]
    )
    alike = all(p > SIGNIFICANT for p in told.values())
    return Verdict(alike and better, {**found, "mean": mean, "p of full against shared": told})


CLAIMS = [
    Claim(
        1,
        "Both directions add up to the guided prediction of the teacher less that of the fake, in "
        "every form of prediction.",
        both_directions,
    ),
    Claim(
        2,
        "The augmenting direction alone runs away, both directions together do not.",
        _one_step(
            "spread, augment",
            "spread, augment and match",
            "spread, match",
            holds=lambda mean: (
                mean["spread, augment"] > 5 > 1.5 > mean["spread, augment and match"] > 0.5
            ),
        ),
    ),
    Claim(
        3,
        "Mean and variance keep the augmenting direction in bounds and match the guided teacher "
        "less well than the matching direction.",
        _one_step(
            *(
                f"{figure}, augment and {name}"
                for figure in ("spread", "distance", "modes")
                for name in ("mean_var", "match")
            ),
            holds=lambda mean: (
                mean["spread, augment and mean_var"] < 5
                and mean["distance, augment and mean_var"] > mean["distance, augment and match"]
            ),
        ),
    ),
    Claim(
        4,
        "The augmenting direction alone takes samples of digits farther from real ones at clean "
        "levels than at noisy ones.",
        bands,
    ),
    Claim(
        5,
        "Two levels over the whole range are not told apart from one; levels of augmenting below "
        "the student's own are no worse.",
        schedules,
    ),
]
