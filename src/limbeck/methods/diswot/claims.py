"""What must hold for DisWOT, beside published accuracies of 64 students; nothing is trained."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.claims import Claim, Figures, Trial, Verdict

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.data.space import InputSpace

PUBLISHED = Path(__file__).parent / "resnet_s1.json"
SPACE, TEACHER = "resnet-s1", "resnet?blocks=9x9x9"
BATCH, CLASSES, TIMES, SIDE = 32, 100, 2, 32
COMBINED = ("semantic", "relation")
SCORES = ("relation", "semantic", "sum", "rank-sum")
TRIVIAL = ("depth", "parameters", "macs")
OTHERS = ("nwot", "synflow", "snip", "gradient-norm", "zen")
# Small cells on small digits: many evaluations in little time.
CELLS = {"teacher": TEACHER, "data": "digits"}
CELL_SPACE = "cells?cells=1&edges=" + "-".join(["{none,skip,conv1,conv3,pool}"] * 6)
EVALUATIONS = 200


def accuracies() -> dict[str, float]:
    """Published accuracies of the 64 students after distillation, in percent, by their blocks."""
    told = json.loads(PUBLISHED.read_text())
    return {one["blocks"]: one["distilled"] for one in told["students"]}


def noise_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Kendall's tau with the published accuracies, where networks are shown noise.

    Args:
        folder: not needed.
        seed: of all draws.
    """
    return _taus(*_noise(seed), CLASSES, seed, others=OTHERS)


def built_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """The same with weights as networks are built: torch's, which are Kaiming's for convolutions.

    Args:
        folder: not needed.
        seed: of all draws.
    """
    return _taus(*_noise(seed), CLASSES, seed, begin="built")


def kaiming_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """The same with Kaiming's for the last layer too.

    Args:
        folder: not needed.
        seed: of all draws.
    """
    return _taus(*_noise(seed), CLASSES, seed, begin="kaiming")


def digits_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """The same where networks are shown digits, four times as large, grey in three channels.

    Args:
        folder: not needed.
        seed: of all draws.
    """
    from torch.nn.functional import interpolate

    from limbeck.data import InputSpace
    from limbeck.data.names import resolve
    from limbeck.methods.diswot.similarity import one_batch

    data = resolve("digits")
    x, y = one_batch(data, BATCH, "data", seed)
    large = interpolate(x, size=(SIDE, SIDE), mode="bilinear").repeat(1, 3, 1, 1)
    return _taus(large, y, InputSpace(size=(SIDE, SIDE), channels=3), data.outputs, seed)


def _noise(seed: int) -> tuple[Tensor, Tensor, InputSpace]:
    import torch

    from limbeck import keyed
    from limbeck.data import InputSpace

    space = InputSpace(size=(SIDE, SIDE), channels=3)
    with keyed.torch_seeded(keyed.key(seed, "noise")):
        return torch.randn(BATCH, *space.shape), torch.randint(CLASSES, (BATCH,)), space


def _taus(
    x: Tensor, y: Tensor, space: InputSpace, classes: int, seed: int, **options: Any
) -> dict[str, float]:
    """Kendall's tau of every score of the space, and of what size alone tells."""
    from limbeck.evaluate.cost import architecture_cost
    from limbeck.functional.rank_agreement import rank_agreement
    from limbeck.loops.fitness import fitness_named
    from limbeck.methods.diswot.similarity import Similarity
    from limbeck.networks.names import build
    from limbeck.networks.spaces import space_of

    students, known = space_of(SPACE), accuracies()
    teacher = build(TEACHER, space, classes)
    similarity = Similarity(teacher, x, y, classes, space, times=TIMES, seed=seed, **options)
    rows, truth = [], []
    for code in students.codes():
        network = students.build(code, space, classes)
        cost = architecture_cost(network, x)
        rows.append({**similarity.scores(network, students.words(code)), **cost})
        truth.append(known["x".join(students.decode(code).values())])
    names = (*SCORES, *options.get("others", ()), *TRIVIAL)
    columns = {name: fitness_named(name, (*COMBINED,))(rows) for name in SCORES}
    columns |= {name: [row[name] for row in rows] for name in names if name not in columns}
    return {name: rank_agreement(columns[name], truth).kendall for name in names}


def evolution_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """The best sum of similarities that evolution and chance find with as many evaluations.

    Args:
        folder: of the run.
        seed: of all draws.
    """
    from limbeck import cards
    from limbeck.run import Run

    settings = {
        "batch_size": BATCH,
        "score": "sum",
        "keep": 1,
        "search": {"strategy": "evolve", "evaluations": EVALUATIONS},
    }
    method = cards.load_class("diswot")(**settings)
    run, inputs = Run(folder / "run", seed=seed), {**CELLS, "space": CELL_SPACE}
    evolved = method.distill(run, **inputs)
    random = method.baselines(run, **inputs)["random search"]
    found = {"evolution": evolved, "random search": random}
    return {
        **{name: one.best.scores["score"] for name, one in found.items()},
        **{f"{name}, scored": one.facts["scored"] for name, one in found.items()},
        **{f"{name}, parameters": one.best.cost["parameters"] for name, one in found.items()},
    }


def _means(figures: Figures) -> dict[str, float]:
    return {name: statistics.fmean(values) for name, values in figures.items()}


def _agrees(of_a_seed: Callable[..., Any], least: float) -> Callable[[Trial], Verdict]:
    """Whether every score agrees with the accuracies, size standing beside."""

    def test(trial: Trial) -> Verdict:
        figures = trial.of_seeds(of_a_seed)
        mean = _means(figures)
        return Verdict(all(mean[name] > least for name in SCORES), {**figures, "mean": mean})

    return test


def initialisation_matters(trial: Trial) -> Verdict:
    """Whether the semantic score says next to nothing with weights as networks are built.

    Norms of batches take the scale of convolutions away: only that of the last layer is left. All
    of Kaiming's, the last layer included, stands beside.
    """
    ways = {"normal": noise_of_a_seed, "built": built_of_a_seed, "kaiming": kaiming_of_a_seed}
    found = {way: trial.of_seeds(one) for way, one in ways.items()}
    means = {way: {name: _means(one)[name] for name in SCORES} for way, one in found.items()}
    seeds = {f"semantic, {way}": one["semantic"] for way, one in found.items()}
    held = means["built"]["semantic"] < 0.2 < means["normal"]["semantic"]
    return Verdict(held, {**seeds, **means})


def depth_alone_reaches(trial: Trial) -> Verdict:
    """Whether depth agrees as published, and what every score reaches beside it."""
    mean = _means(trial.of_seeds(noise_of_a_seed))
    better = [name for name in (*SCORES, *OTHERS) if mean[name] > mean["depth"]]
    return Verdict(abs(mean["depth"] - 0.657) < 0.001, {**mean, "better than depth": better})


def evolution_beats_chance(trial: Trial) -> Verdict:
    """Compare the mean of the best sums."""
    figures = trial.of_seeds(evolution_of_a_seed)
    mean = _means(figures)
    return Verdict(mean["evolution"] > mean["random search"], {**figures, "mean": mean})


CLAIMS = [
    Claim(
        1,
        "Shown noise with labels of 100 classes, at N(0, 1), every score agrees with the published "
        "accuracies of 64 students: Kendall's tau above 0.4.",
        _agrees(noise_of_a_seed, 0.4),
    ),
    Claim(
        2,
        "Shown digits of ten classes, every score agrees with them: Kendall's tau above 0.2.",
        _agrees(digits_of_a_seed, 0.2),
    ),
    Claim(
        3,
        "With Kaiming's initialisation, as networks are built, and noise the semantic score tells "
        "next to nothing: tau below 0.2.",
        initialisation_matters,
    ),
    Claim(
        4,
        "Depth alone reaches a tau of 0.657; it stands beside every score, with parameters and "
        "multiply-adds.",
        depth_alone_reaches,
    ),
    Claim(
        5,
        "Evolution finds a better-scored student than as many random draws, on average.",
        evolution_beats_chance,
    ),
]
