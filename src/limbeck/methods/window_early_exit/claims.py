"""What must hold for window early exit, at the sheet's scale: tables of five classes and digits."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.claims import Claim, Trial, Verdict, by_means

if TYPE_CHECKING:
    from limbeck.data import Data
    from limbeck.functional.uncertainty import Score
    from limbeck.products import WindowCascade

# Twice the half width: the share that shall go on.
TRAFFIC = 0.2
# 40 epochs of 4,000 rows in batches of 128. How the sheet's rows are made and learnt is not said:
# noise in the labels and the rate were chosen by what a single model and the ensemble say, after a
# first setup whose ensemble gained nothing on one seed. The sheet's single model is at 76 %, ours
# at 72.
TABLE = {
    "teaching": {"steps": 1250, "batch_size": 128, "optim": {"name": "adam", "lr": 1e-2}},
}
FLIPPED = 0.1
IMAGES = {
    "teaching": {
        "steps": 300,
        "batch_size": 64,
        "optim": {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4, "schedule": "cosine"},
    }
}
PAIR = ["mlp?hidden=32", "mlp?hidden=32"]
SCORES: tuple[Score, ...] = ("msp", "entropy", "max_logit", "energy")


def made_rows(seed: int) -> Data:
    """4,000 rows of five classes to train on, 2,000 to choose on, 6,000 to report on."""
    from sklearn.datasets import make_classification

    from limbeck.data import from_arrays

    x, y = make_classification(
        12_000,
        n_features=20,
        n_informative=10,
        n_classes=5,
        flip_y=FLIPPED,
        random_state=seed,
    )
    x = x.astype("float32")
    parts = {"validation": slice(4000, 6000), "test": slice(6000, None)}
    held: dict[str, Any] = {name: (x[part], y[part]) for name, part in parts.items()}
    return from_arrays(x[:4000], y[:4000], **held, standardise=True, name="five classes")


def _made(
    folder: Path, seed: int, data: Any, settings: dict[str, Any]
) -> tuple[WindowCascade, dict[str, WindowCascade], Any]:
    from limbeck import cards
    from limbeck.method import complete
    from limbeck.run import Run

    method = cards.load_class("window-early-exit")(**settings)
    run = Run(folder, seed=seed)
    cascade, baselines, ready = complete(method, run, {"teacher": PAIR, "data": data})
    return cascade, baselines, ready["data"]


def policies(folder: Path, seed: int) -> dict[str, Any]:
    """Risk and accuracy of the first model, both cascades and the ensemble on made rows."""
    cascade, baselines, data = _made(folder, seed, made_rows(seed), TABLE)
    arms = {
        "single": baselines["first model"],
        "threshold": baselines["single threshold"],
        "window": cascade,
        "ensemble": cascade.whole,
    }
    found: dict[str, Any] = {}
    for name, arm in arms.items():
        figures = arm.evaluate(data)
        found[f"risk_{name}"] = figures["risk_at_80"]
        found[f"accuracy_{name}"] = figures["accuracy"]
    for name in ("threshold", "window"):
        found[f"traffic_{name}"] = arms[name].stage_costs(data)[1].share
    return found


def recovers_more(trial: Trial) -> Verdict:
    """Compare what both cascades recover of the ensemble's gain in risk at 80 % coverage."""
    found = trial.of_seeds(policies, TABLE, FLIPPED)
    kept = {name: one for name, one in found.items() if not name.startswith("accuracy")}
    means = {name: statistics.fmean(one) for name, one in kept.items()}
    gain = means["risk_single"] - means["risk_ensemble"]
    recovered = {
        name: (means["risk_single"] - means[f"risk_{name}"]) / gain
        for name in ("threshold", "window")
    }
    pairs = zip(kept["risk_window"], kept["risk_threshold"], strict=True)
    return Verdict(
        gain > 0 and recovered["window"] > recovered["threshold"],
        {
            **kept,
            "mean": means,
            "recovered": recovered,
            "seeds_ahead": sum(window < other for window, other in pairs),
        },
    )


def less_for_accuracy(trial: Trial) -> Verdict:
    """Compare the accuracy of both cascades."""
    found = trial.of_seeds(policies, TABLE, FLIPPED)
    kept = {name: one for name, one in found.items() if name.startswith("accuracy")}
    return by_means(kept, lambda mean: mean["accuracy_threshold"] >= mean["accuracy_window"])


def counted(folder: Path, seed: int) -> dict[str, Any]:
    """Multiply-adds counted while the cascade runs on the test split, and what they should be."""
    from limbeck.data import sequential
    from limbeck.evaluate.cost import multiply_adds

    cascade, _, data = _made(folder, seed, "fashion-mnist", IMAGES)
    seen = cascade.see(data)
    spent = sum(multiply_adds(cascade.outputs, batch) for batch in sequential(seen, seen.test))
    first, second = cascade.stage_costs(data)
    return {
        "macs": spent / len(seen.test),
        "expected": first.macs + second.share * second.macs,
        "share": second.share,
    }


def cost_is_as_asked(trial: Trial) -> Verdict:
    """Compare counted with expected cost, and the share of held-out samples with 2h."""
    found = trial.of_seeds(counted, IMAGES)
    pairs = list(zip(found["macs"], found["expected"], strict=True))
    exact = all(abs(macs - expected) < 1e-6 * expected for macs, expected in pairs)
    near = all(abs(share - TRAFFIC) <= 0.02 for share in found["share"])
    return Verdict(exact and near, found)


def ends(folder: Path, seed: int) -> dict[str, Any]:
    """How often outputs or figures differ at both ends of the half width, over all scores."""
    import torch

    from limbeck.products.cascade_measures import told
    from limbeck.selection import ExitPolicy

    cascade, _, data = _made(folder, seed, "digits", IMAGES)
    seen, differing = cascade.see(data), 0
    said = cascade.predictions(data)
    for score in SCORES:
        for half_width in (0.0, 1.0):
            cascade.calibrate(said, ExitPolicy(score=score, half_width=half_width))
            other = cascade.whole if half_width else cascade.first
            pairs = zip(told(cascade, seen, seen.test), told(other, seen, seen.test), strict=True)
            same = all(torch.equal(one, two) for one, two in pairs)
            differing += not (same and cascade.evaluate(data) == other.evaluate(data))
    return {"differing": differing}


def ends_are_exact(trial: Trial) -> Verdict:
    """Compare h = 0 with the first model and h = 1 with the ensemble, to the bit."""
    found = trial.of_seeds(ends, IMAGES)
    return Verdict(not any(found["differing"]), found)


def mixed(folder: Path, seed: int) -> dict[str, Any]:
    """Traffic on digits mixed half and half with rotated ones and with noise.

    The window of the pool is placed on one half of the mixture and its traffic counted on the
    other: on the samples that placed it, it would be what was asked for whatever they are.
    """
    import numpy as np
    import torch

    from limbeck import keyed

    cascade, _, data = _made(folder, seed, "digits", IMAGES)
    x = data.columns(data.test, np.arange(len(data.test)))["x"]
    drawn = keyed.uniform(keyed.key(seed, "noise"), np.arange(len(x)), x[0].numel())
    outside = {
        "rotated": torch.rot90(x, 1, (2, 3)),
        "noise": torch.from_numpy(drawn).float().reshape(x.shape),
    }
    found: dict[str, Any] = {}
    for name, other in outside.items():
        mixture = torch.cat([x, other])
        order = torch.from_numpy(keyed.permutation(keyed.key(seed, name), len(mixture)))
        pool, held = mixture[order].chunk(2)
        for label, one in (("validation", cascade), ("pool", cascade.shifted(pool))):
            found[f"{name}_{label}"] = float(one.reached(held).double().mean())
    return found


def shifted_windows_keep_traffic(trial: Trial) -> Verdict:
    """Compare both windows by how far the traffic on mixtures is from 2h, in the mean."""
    found = trial.of_seeds(mixed, IMAGES)
    off = {
        name: statistics.fmean(abs(share - TRAFFIC) for share in shares)
        for name, shares in found.items()
    }
    held = all(
        off[f"{name}_pool"] <= 0.02 < off[f"{name}_validation"] for name in ("rotated", "noise")
    )
    return Verdict(held, {**found, "mean_off": off})


CLAIMS = [
    Claim(
        1,
        "At matched traffic of about 20 % the window recovers more of the ensemble's gain in risk "
        "at 80 % coverage than the single threshold.",
        recovers_more,
    ),
    Claim(
        2,
        "For plain accuracy it is the reverse: the single threshold is at least as good.",
        less_for_accuracy,
    ),
    Claim(
        3,
        "The mean cost is that of the first model and the share in the window times the second's, "
        "and on held-out samples the share is within 2 points of 2h.",
        cost_is_as_asked,
    ),
    Claim(
        4,
        "h = 0 gives the first model and h = 1 the full ensemble exactly, in outputs and figures.",
        ends_are_exact,
    ),
    Claim(
        5,
        "On a mixture with samples from outside the window of the pool keeps the traffic within 2 "
        "points of 2h where that of the validation split does not.",
        shifted_windows_keep_traffic,
    ),
]
