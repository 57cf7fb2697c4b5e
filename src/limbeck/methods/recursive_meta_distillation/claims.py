"""What must hold for recursive meta-distillation."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict, source_fingerprint

ALPHAS = (0.0, 0.1, 0.3, 1.0)
GENERATIONS = 8
DEMO = cards.preset("recursive-meta-distillation", "demo")


def exact_recursion_obeys_its_bound(trial: Trial) -> Verdict:
    """Largest excess of KL over its bound, 1000 starts a seed and concentration, both families."""
    import numpy as np
    import torch

    from limbeck import keyed
    from limbeck.functional import anchored_recursion, chain_distances, clip_probabilities

    excess: dict[str, list[float]] = {"linear": [], "geometric": []}
    for seed in trial.seeds:
        worst = dict.fromkeys(excess, 0.0)
        for place, concentration in enumerate((0.1, 1.0, 10.0)):
            for classes in (2, 10):
                key = keyed.key(seed, "exact", place, classes)
                draw = np.random.Generator(np.random.Philox(key=key))
                drawn = draw.dirichlet(np.full(classes, concentration), size=(2, 1000))
                base, start = clip_probabilities(torch.from_numpy(drawn))[0]
                for alpha in (0.05, 0.3, 0.7, 1.0):
                    bound = (1 - alpha) ** torch.arange(9.0, dtype=torch.float64)
                    for mixture in ("linear", "geometric"):
                        students = anchored_recursion(
                            start,
                            base,
                            anchors=[alpha] * 8,
                            mixture=mixture,
                        )
                        kl = chain_distances(base, students)["kl"]
                        over = float((kl - bound[:, None] * kl[0]).max())
                        worst[mixture] = max(worst[mixture], over)
        for mixture, value in worst.items():
            excess[mixture].append(value)
    return Verdict(max(map(max, excess.values())) <= 1e-9, {"largest_excess": excess})


def distance_falls_to_a_floor(trial: Trial) -> Verdict:
    """Mean total variation of trained chains, test split, per seed and alpha."""
    chains = _chains(trial)
    ends = {_name(a): [_end(one) for one in chains[a]] for a in ALPHAS}
    starts = [_tv(one)[0] for one in chains[0.0]]
    rises = {
        _name(a): [_rises_above_the_floor(one) for one in chains[a]] for a in ALPHAS if a >= 0.1
    }
    falls = not any(map(sum, rises.values())) and all(
        end < start for name in rises for end, start in zip(ends[name], starts, strict=True)
    )
    shrinks = all(
        strong < weak
        for weaker, stronger in (("alpha=0.1", "alpha=0.3"), ("alpha=0.3", "alpha=1"))
        for weak, strong in zip(ends[weaker], ends[stronger], strict=True)
    )
    drifts = all(far > near for far, near in zip(ends["alpha=0"], ends["alpha=0.3"], strict=True))
    means = {name: statistics.fmean(values) for name, values in ends.items()}
    figures = {
        "start": starts,
        "end": ends,
        "mean_end": means,
        "mean_estimated_floor": {
            _name(a): statistics.fmean(one["fits"]["tv"]["floor"] for one in chains[a])
            for a in ALPHAS
        },
        "generations_that_rose_above_the_floor": rises,
    }
    return Verdict(falls and shrinks and drifts, figures)


def rate_is_as_predicted(trial: Trial) -> Verdict:
    """Fitted rates before the floor; a fit that is refused counts as a miss."""
    chains = _chains(trial)
    held, figures = True, {}
    for alpha in (0.1, 0.3):
        tv = [one["fits"]["tv"]["rate"] for one in chains[alpha]]
        kl = [one["fits"]["kl"]["rate"] for one in chains[alpha]]
        figures[f"tv_rate {_name(alpha)}"] = tv
        figures[f"kl_rate {_name(alpha)}"] = kl
        held &= all(rate is not None and abs(rate - (1 - alpha)) <= 0.1 for rate in tv)
        held &= all(rate is not None and rate <= 1 - alpha + 0.05 for rate in kl)
    return Verdict(held, figures)


def axioms_are_told_apart(trial: Trial) -> Verdict:
    """Names of the axioms that each rule fails, for the seeds of the trials."""
    import torch

    from limbeck.functional import Anchoring, AxiomSpec, Pooling, check_axioms

    def winner_takes_all(members: Any, weights: Any) -> Any:
        sure = (members.amax(-1) * weights[:, None]).argmax(0)
        return members[sure, torch.arange(len(sure))]

    failed: dict[str, list[str]] = {}
    held = True
    for seed in trial.seeds:
        spec = AxiomSpec(seed=seed)
        found = {
            "linear pool": check_axioms(Pooling(1.0), spec).failed,
            "geometric pool": check_axioms(Pooling(0.0), spec).failed,
            "winner takes all": check_axioms(winner_takes_all, AxiomSpec("pool", seed=seed)).failed,
            "linear anchoring": check_axioms(Anchoring(0.3), spec).failed,
            "geometric anchoring": check_axioms(Anchoring(0.3, "geometric"), spec).failed,
            "unanchored": check_axioms(Anchoring(0.0), spec).failed,
        }
        held &= found["linear pool"] == ["temperature coherence"]
        held &= not found["geometric pool"]
        held &= "continuity" in found["winner takes all"]
        held &= not found["linear anchoring"] and not found["geometric anchoring"]
        held &= found["unanchored"] == ["A4 anchored"]
        for name, axioms in found.items():
            failed.setdefault(name, []).append("+".join(axioms) or "none")
    return Verdict(held, {"failed": failed})


def pools_beat_the_mean_log_loss(trial: Trial) -> Verdict:
    """Log-loss of pools less the mean of the base teachers', test split of the demo's chains."""
    from limbeck.files import load_tensors
    from limbeck.functional import negative_log_likelihood, power_pool

    _chains(trial)
    margins: dict[str, list[float]] = {"linear": [], "geometric": []}
    for seed in trial.seeds:
        tensors, _ = load_tensors(_place(trial) / _name(0.3) / str(seed) / "probe.safetensors")
        members, target = tensors["members"].double(), tensors["target"]
        lone = statistics.fmean(float(negative_log_likelihood(z, target)) for z in members)
        for name, exponent in (("linear", 1.0), ("geometric", 0.0)):
            pooled = power_pool(members.softmax(-1), exponent=exponent).log()
            margins[name].append(float(negative_log_likelihood(pooled, target)) - lone)
    return Verdict(max(map(max, margins.values())) <= 0, {"pool_less_mean_of_teachers": margins})


def train_chain(folder: Path, seed: int, alpha: float) -> dict[str, Any]:
    """Train one chain of the demo with another anchor; what it converged to is read if it stands.

    Args:
        folder: of the run.
        seed: of the run.
        alpha: the anchor.

    Returns:
        The convergence report in plain values.
    """
    import warnings

    from limbeck.errors import NoEffectWarning
    from limbeck.methods.recursive_meta_distillation import recursive_meta_distillation as home
    from limbeck.run import Run

    settings = {**DEMO["settings"], "anchor": alpha, "generations": GENERATIONS}
    method = home.RecursiveMetaDistillation(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoEffectWarning)
        method.distill(Run(folder, seed=seed), **DEMO["inputs"])
    return json.loads((folder / home.CONVERGENCE).read_text())


def _chains(trial: Trial) -> dict[float, list[dict[str, Any]]]:
    """Reports of all chains by anchor, one a seed."""
    from limbeck.run.run import Options, Run

    place = _place(trial)
    jobs = [
        (place / _name(alpha) / str(seed), seed, alpha) for alpha in ALPHAS for seed in trial.seeds
    ]
    run = Run(place, options=Options(quiet=trial.quiet))
    reports = run.executor.map(train_chain, jobs, f"{trial.method} chains")
    count = len(trial.seeds)
    return {a: reports[n * count : (n + 1) * count] for n, a in enumerate(ALPHAS)}


def _place(trial: Trial) -> Path:
    from limbeck.fingerprint import fingerprint

    return trial.folder / fingerprint("chains", DEMO, ALPHAS, GENERATIONS, source_fingerprint())


def _name(alpha: float) -> str:
    return f"alpha={alpha:g}"


def _tv(report: dict[str, Any]) -> list[float]:
    return [row["tv"] for row in report["generations"]]


def _end(report: dict[str, Any]) -> float:
    """Mean of the last two generations."""
    return statistics.fmean(_tv(report)[-2:])


def _rises_above_the_floor(report: dict[str, Any]) -> int:
    """How many generations that began above three floors ended farther from the pool."""
    tv, floor = _tv(report), report["fits"]["tv"]["floor"]
    return sum(after >= before for before, after in itertools.pairwise(tv) if before > 3 * floor)


CLAIMS = [
    Claim(
        1,
        "Exact recursion obeys KL(B||S_k) <= (1-alpha)^k KL(B||S_0) for both families and every "
        "start.",
        exact_recursion_obeys_its_bound,
    ),
    Claim(
        2,
        "With trained students the mean total variation falls for alpha of 0.1, 0.3 and 1 until a "
        "floor, ends lower as alpha grows, and ends farther away without an anchor.",
        distance_falls_to_a_floor,
    ),
    Claim(
        3,
        "Before the floor the rate of total variation is 1-alpha within 0.1 and that of KL at "
        "most 1-alpha + 0.05.",
        rate_is_as_predicted,
    ),
    Claim(
        4,
        "The checker passes linear and geometric pools, finds temperature coherence broken for the "
        "linear pool only, a winner-takes-all pool discontinuous and an unanchored rule "
        "unanchored.",
        axioms_are_told_apart,
    ),
    Claim(
        5,
        "The log-loss of a pool is at most the mean log-loss of its teachers on held-out data.",
        pools_beat_the_mean_log_loss,
    ),
]
