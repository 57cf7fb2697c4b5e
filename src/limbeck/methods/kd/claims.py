"""What must hold for KD."""

from __future__ import annotations

import statistics

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict

DEMO = cards.preset("kd", "demo")


def ahead_of_alone(trial: Trial) -> Verdict:
    """Compare test accuracies of the student distilled and alone, 200 labels, seed by seed."""
    tables = trial.tables(DEMO["settings"], DEMO["inputs"], "distilled and alone")
    by_role = [{row["role"]: row["quality"]["accuracy"] for row in table} for table in tables]
    distilled = [roles["product"] for roles in by_role]
    alone = [roles["baseline"] for roles in by_role]
    gain = statistics.fmean(distilled) - statistics.fmean(alone)
    ensemble = [roles["ensemble"] for roles in by_role]
    figures = {"distilled": distilled, "alone": alone, "mean_gain": gain, "ensemble": ensemble}
    return Verdict(gain > 0, figures)


def tends_to_centred_logits(trial: Trial) -> Verdict:
    """Compare the gradient of the soft term at growing T with that of matching centred logits."""
    import torch

    from limbeck.functional import soft_target_loss
    from limbeck.keyed import torch_seeded

    errors: dict[str, list[float]] = {"T=10": [], "T=100": [], "T=1000": []}
    for seed in trial.seeds:
        with torch_seeded(seed):
            student, teacher = torch.randn(2, 64, 10, dtype=torch.float64) * 3
        centred = (student - student.mean(1, keepdim=True)) - (
            teacher - teacher.mean(1, keepdim=True)
        )
        # Of 1/2 (difference of centred logits)² / C, summed over classes, mean over samples.
        expected = centred / (student.shape[0] * student.shape[1])
        for name in errors:
            z = student.clone().requires_grad_()
            soft_target_loss(z, teacher, temperature=float(name[2:])).backward()
            assert z.grad is not None
            errors[name].append(float((z.grad - expected).norm() / expected.norm()))
    falling = all(
        a > b > c for a, b, c in zip(errors["T=10"], errors["T=100"], errors["T=1000"], strict=True)
    )
    return Verdict(falling and max(errors["T=1000"]) < 0.01, {"relative_error": errors})


def one_is_an_ensemble_of_one(trial: Trial) -> Verdict:
    """Distil from a teacher and from an ensemble of it alone and compare every weight."""
    import torch

    from limbeck.data import digits
    from limbeck.functional import mean_logits, mean_probabilities
    from limbeck.keyed import torch_seeded
    from limbeck.methods.kd.kd import KD
    from limbeck.networks.names import build
    from limbeck.run import Run
    from limbeck.teachers import ensemble, teacher

    equal = []
    for seed in trial.seeds:
        data = digits().few(100, seed=seed)
        with torch_seeded(seed):
            big = teacher(build("mlp?hidden=32", data.input_space, data.outputs))
            student = build("mlp?hidden=8", data.input_space, data.outputs)
        states = []
        for label, source in (
            ("alone", big),
            ("probabilities", ensemble(big, combine=mean_probabilities)),
            ("logits", ensemble(big, combine=mean_logits)),
        ):
            run = Run(trial.folder / "one" / f"{label}-{seed}", seed=seed)
            made = KD(steps=50, batch_size=25).distill(
                run, teacher=source, student=student, data=data
            )
            states.append(made.network.state_dict())
        equal.append(
            all(
                torch.equal(states[0][name], other[name])
                for other in states[1:]
                for name in states[0]
            )
        )
    return Verdict(all(equal), {"bitwise_equal": equal})


CLAIMS = [
    Claim(1, "At 200 labels the student is ahead of the same student alone.", ahead_of_alone),
    Claim(
        2,
        "At large temperature the gradient tends to that of matching centred logits.",
        tends_to_centred_logits,
    ),
    Claim(3, "One teacher equals an ensemble of one, bit for bit.", one_is_an_ensemble_of_one),
]
