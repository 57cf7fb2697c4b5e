"""What must hold for MEAL V2, at the sheet's scale: digits, three MLPs, 200 training images."""

from __future__ import annotations

import math
import statistics
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict
from limbeck.plain import merge

DEMO = cards.preset("meal-v2", "demo")
INPUTS = {
    "data": "digits?labels=200",
    "teacher": ["mlp?hidden=128x128"] * 3,
    "student": "mlp?hidden=12x12",
}
TOLERANCE = 0.005


def _accuracies(
    trial: Trial, changes: dict[str, Any], label: str, inputs: dict[str, Any] | None = None
) -> dict[str, list[float]]:
    """Test accuracy of every row but the teachers', a list over seeds."""
    settings = merge(DEMO["settings"], changes)
    tables = trial.tables(settings, inputs or INPUTS, label)
    found: dict[str, list[float]] = {}
    for table in tables:
        for row in table:
            if row["role"] != "teacher":
                found.setdefault(row["name"], []).append(row["quality"]["accuracy"])
    return found


def beats_labels(trial: Trial) -> Verdict:
    """Compare with the student before fine-tuning, and with going on with labels."""
    found = _accuracies(trial, {}, "fine-tuned")
    means = {name: statistics.fmean(values) for name, values in found.items()}
    ahead = means["meal-v2"] > max(means["student alone"], means["student before"])
    return Verdict(ahead, {**found, "means": means})


def initialisation_matters(trial: Trial) -> Verdict:
    """Compare the same soft-target steps from trained and from random weights, at 160 steps."""
    steps = {"steps": 160}
    trained = _accuracies(trial, steps, "from trained weights")["meal-v2"]
    random = _accuracies(trial, {**steps, "initial_steps": 0}, "from random weights")["meal-v2"]
    gap = statistics.fmean(trained) - statistics.fmean(random)
    return Verdict(gap > 0.1, {"trained": trained, "random": random, "mean_gap": gap})


def three_are_not_worse_than_one(trial: Trial) -> Verdict:
    """Compare the mean of three teachers with one of them as the target."""
    three = _accuracies(trial, {}, "fine-tuned")["meal-v2"]
    inputs = {**INPUTS, "teacher": INPUTS["teacher"][:1]}
    one = _accuracies(trial, {}, "one teacher", inputs)["meal-v2"]
    gap = statistics.fmean(three) - statistics.fmean(one)
    return Verdict(gap >= -TOLERANCE, {"three": three, "one": one, "mean_gap": gap})


def no_weight_decay_is_not_worse(trial: Trial) -> Verdict:
    """Compare weight decay 0 with 5e-4 in the fine-tuning."""
    none = _accuracies(trial, {}, "fine-tuned")["meal-v2"]
    some = _accuracies(trial, {"optim": {"weight_decay": 5e-4}}, "with weight decay")["meal-v2"]
    gap = statistics.fmean(none) - statistics.fmean(some)
    return Verdict(gap >= -TOLERANCE, {"none": none, "5e-4": some, "mean_gap": gap})


def a_perfect_student_cannot_be_told_apart(trial: Trial) -> Verdict:
    """Train discriminators on equal rows; their loss never falls below log 2."""
    import torch

    from limbeck.functional.adversarial import discriminator_loss
    from limbeck.keyed import torch_seeded
    from limbeck.networks.discriminator import LogitDiscriminator

    lowest = []
    for seed in trial.seeds:
        with torch_seeded(seed):
            network = LogitDiscriminator(10, reduction=3).double()
            rows = torch.randn(256, 10, dtype=torch.float64)
            optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
            losses = []
            for _ in range(300):
                loss = discriminator_loss(network(rows), network(rows))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(float(loss.detach()))
        lowest.append(min(losses))
    held = min(lowest) >= math.log(2) - 1e-12
    return Verdict(held, {"lowest": lowest, "log_2": math.log(2)})


CLAIMS = [
    Claim(
        1,
        "Fine-tuned on the mean softmax, the trained student beats itself before and after as "
        "many more steps on labels.",
        beats_labels,
    ),
    Claim(
        2,
        "Initialisation matters: the same soft-target steps from random weights end more than 10 "
        "points behind.",
        initialisation_matters,
    ),
    Claim(
        3,
        "The mean of three teachers is not worse than one by more than 0.5 point.",
        three_are_not_worse_than_one,
    ),
    Claim(
        4,
        "Weight decay 0 is not worse than 5e-4 in the fine-tuning by more than 0.5 point.",
        no_weight_decay_is_not_worse,
    ),
    Claim(
        5,
        "With a perfect student the discriminator's loss never falls below log 2.",
        a_perfect_student_cannot_be_told_apart,
    ),
]
