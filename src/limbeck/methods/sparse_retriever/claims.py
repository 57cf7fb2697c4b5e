"""What must hold for the sparse retriever, on docstrings of the packages that are installed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.claims import Claim, Trial, Verdict, by_means

if TYPE_CHECKING:
    from limbeck.products.sparse_retriever import SparseRetriever as Product
    from limbeck.run import Run

DATA = "docstrings?samples=2000"
DENSE = "dense?layers=1&width=128&vocabulary=2000&length=64"
LEXICAL = "bm25"
STUDENT = "bert?layers=2&width=128&vocabulary=2000&length=64"
# Small, and not the sheet's 2,000 steps from nothing: a student that begins lexical is near its end
# after a tenth of them.
SETTINGS: dict[str, Any] = {
    "steps": 200,
    "sparsity_warmup": 70,
    "optim": {"lr": 1e-3},
    "teaching": {"steps": 400},
}
SPARSITIES = (0.01, 0.05, 0.25)
USUAL, PRESSED = 0.05, 0.25
THRESHOLD = 40
POINTS = 9
# Documents of each teacher, best first, whose order is compared.
CANDIDATES = 50


def identity_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Differences of both sides of the identity, relative to their size.

    Args:
        folder: nothing is written.
        seed: of the draws.
    """
    import torch

    from limbeck.functional import flops_regularizer
    from limbeck.keyed import key, torch_seeded

    with torch_seeded(key(seed, "identity")):
        documents = torch.rand(24, 300, dtype=torch.float64).mul(2).sub(1).relu()
        idf = torch.rand(300, dtype=torch.float64) * 10 + 1e-3
        query = (torch.rand(5, 300) < 0.1).double()
    effective = documents * idf
    plain = flops_regularizer(documents, slots=2)
    score = (query * idf) @ documents.T
    return {
        "penalty": float((flops_regularizer(effective, slots=2, idf=idf) / plain - 1).abs()),
        "score": float((query @ effective.T - score).abs().max() / score.max()),
    }


def penalty_is_relative_to_idf(trial: Trial) -> Verdict:
    """Check that penalising documents is penalising effective weights by 1 / idf squared."""
    found = trial.of_seeds(identity_of_a_seed)
    return Verdict(max(map(max, found.values())) < 1e-6, found)


def _made(folder: Path, seed: int, name: str, **changes: Any) -> tuple[Product, dict[str, Any]]:
    """A student of one seed; those of a seed share teachers, vocabulary and what teachers say."""
    from limbeck import cards
    from limbeck.method import single
    from limbeck.run import Run

    teacher = changes.pop("teacher", [DENSE, LEXICAL])
    method = cards.load_class("sparse-retriever")(**{**SETTINGS, "sparsity": USUAL, **changes})
    run = Run(folder / name, seed=seed, shared=folder / _name("bm25", SPARSITIES[0]))
    inputs = {"data": DATA, "teacher": teacher, "student": STUDENT}
    product, ready, _ = single(method, run, inputs)
    return product, ready


def _name(idf: str, sparsity: float) -> str:
    return f"{idf} {sparsity:g}"


def students_of_a_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Quality, FLOPS and density of students with and without idf, at three sparsities.

    Args:
        folder: of the runs.
        seed: of all draws.
    """
    found: dict[str, Any] = {}
    for idf in ("bm25", "ones"):
        for sparsity in SPARSITIES:
            name = _name(idf, sparsity)
            product, ready = _made(folder, seed, name, idf=idf, sparsity=sparsity)
            row = product.measure(ready["data"])
            found[f"ndcg {name}"] = row["quality"]["ndcg_at_10"]
            found[f"flops {name}"] = row["cost"]["flops"]
            found[f"dimensions {name}"] = row["cost"]["document_dimensions"]
    for name, teacher in (("dense", [DENSE]), ("lexical", [LEXICAL])):
        product, ready = _made(folder, seed, f"of {name} alone", teacher=teacher)
        found[f"ndcg of {name} alone"] = product.evaluate(ready["data"])["ndcg_at_10"]
    return {**found, **_teachers(folder, seed), **_density(folder, seed)}


def _teachers(folder: Path, seed: int) -> dict[str, float]:
    """Quality of the teachers, and how their orders agree with those of both ensembles."""
    from limbeck.evaluate.retrievers import retriever_rows
    from limbeck.method import opened

    method, run = _asked(folder, seed)
    inputs = {"data": DATA, "teacher": [DENSE, LEXICAL], "student": STUDENT}
    with opened(method, run, inputs) as (run, ready):
        rows = retriever_rows(run, {}, ready["teacher"], ready["data"])
        found = {f"ndcg of the {row['name']}": row["quality"]["ndcg_at_10"] for row in rows}
        return found | _agreement(run, ready["teacher"], ready["data"])


def _asked(folder: Path, seed: int) -> tuple[Any, Run]:
    from limbeck import cards
    from limbeck.run import Run

    method = cards.load_class("sparse-retriever")(**SETTINGS)
    return method, Run(folder / "teachers", seed=seed, shared=folder / _name("bm25", SPARSITIES[0]))


def _agreement(run: Run, teachers: Sequence[Any], data: Any) -> dict[str, float]:
    """Mean rank correlation of ensembles with their teachers, over what either ranks highest."""
    from scipy.stats import spearmanr

    from limbeck.loops.retrieved import Council, Texts, VectorScorer, kept_vectors

    asked, corpus = Texts(list(data.test.queries.values())), Texts(list(data.documents.values()))
    scorers = [
        VectorScorer(
            kept_vectors(run, one, "queries", asked).__getitem__,
            kept_vectors(run, one, "documents", corpus),
        )
        for one in teachers
    ]
    every = np.arange(len(asked.texts))
    alone = [Council([one], "none", 1.0).over(every).numpy() for one in scorers]
    found: dict[str, list[float]] = {}
    for kind, normalise in (("raw", "none"), ("normalised", "min-max")):
        council = Council(scorers, normalise, 1.0)  # type: ignore[arg-type]
        mixed = council.over(every).numpy()
        for row in every:
            best = {place for one in alone for place in np.argsort(-one[row])[:CANDIDATES].tolist()}
            places = sorted(best)
            for teacher, own in zip(teachers, alone, strict=True):
                said = spearmanr(mixed[row, places], own[row, places]).statistic
                found.setdefault(f"{kind}, {teacher.name}", []).append(float(said))
    return {name: statistics.fmean(one) for name, one in found.items()}


def _density(folder: Path, seed: int) -> dict[str, float]:
    """How many of the documents that begin above the threshold end below half of it."""
    arms: dict[str, dict[str, Any]] = {
        "start": {"steps": 1, "optim": {"lr": 1e-9}},
        "threshold": {"sparsity": PRESSED, "threshold": THRESHOLD},
        "no threshold": {"sparsity": PRESSED},
    }
    counts = {}
    for name, changes in arms.items():
        product, ready = _made(folder, seed, name, **changes)
        texts = list(ready["data"].documents.values())
        counts[name] = np.diff(product.documents(texts).indptr)
    dense = counts.pop("start") > THRESHOLD
    found = {f"far below, {name}": one[dense] < THRESHOLD / 2 for name, one in counts.items()}
    means = {f"dimensions, {name}": float(one.mean()) for name, one in counts.items()}
    return {name: float(one.mean()) for name, one in found.items()} | means


def _kept(trial: Trial, *words: str) -> dict[str, list[Any]]:
    """Figures of the students whose names begin with a word."""
    found = trial.of_seeds(
        students_of_a_seed, DATA, DENSE, STUDENT, SETTINGS, SPARSITIES, PRESSED, THRESHOLD
    )
    return {name: one for name, one in found.items() if name.startswith(words)}


def ahead_at_equal_flops(figures: Mapping[str, float]) -> float | None:
    """How far idf is ahead of weights of one, on average over the FLOPS that both curves reach.

    Args:
        figures: of one seed, ``ndcg`` and ``flops`` of every student.

    Returns:
        A difference of nDCG@10 between curves that are straight over the logarithm of FLOPS; None
        where they have no FLOPS in common.
    """
    curves: dict[str, tuple[Any, Any]] = {}
    for idf in ("bm25", "ones"):
        names = [_name(idf, one) for one in SPARSITIES]
        points = sorted((np.log(figures[f"flops {one}"]), figures[f"ndcg {one}"]) for one in names)
        curves[idf] = ([one[0] for one in points], [one[1] for one in points])
    low = max(one[0][0] for one in curves.values())
    high = min(one[0][-1] for one in curves.values())
    if low >= high:
        return None
    at = np.linspace(low, high, POINTS)
    return float(np.mean(np.interp(at, *curves["bm25"]) - np.interp(at, *curves["ones"])))


def idf_is_ahead(trial: Trial) -> Verdict:
    """Compare weights of query tokens by idf and by one at equal FLOPS."""
    found = _kept(trial, "ndcg bm25", "ndcg ones", "flops")
    seeds = range(len(trial.seeds))
    gaps = [ahead_at_equal_flops({name: one[n] for name, one in found.items()}) for n in seeds]
    known = [one for one in gaps if one is not None]
    held = len(known) == len(gaps) and statistics.fmean(known) > 0
    return Verdict(held, {**found, "ahead": gaps})


def ensemble_teaches_best(trial: Trial) -> Verdict:
    """Compare students of both teachers with those of either."""
    together = f"ndcg {_name('bm25', USUAL)}"
    found = _kept(trial, together, "ndcg of")
    single = ("ndcg of dense alone", "ndcg of lexical alone")
    return by_means(found, lambda mean: all(mean[together] >= mean[name] for name in single))


def normalising_lets_both_speak(trial: Trial) -> Verdict:
    """Compare the order of raw and of normalised sums with the orders of both teachers."""
    found = _kept(trial, "raw", "normalised")

    def holds(mean: Mapping[str, float]) -> bool:
        raw, normalised = (
            [mean[f"{kind}, {name}"] for name in ("dense", LEXICAL)]
            for kind in ("raw", "normalised")
        )
        return max(raw) > 0.95 and min(normalised) > max(0.3, min(raw) + 0.1)

    return by_means(found, holds)


def penalty_makes_sparse(trial: Trial) -> Verdict:
    """Compare active dimensions over sparsities, and what the threshold keeps."""
    found = _kept(trial, "dimensions bm25", "dimensions,", "far below")
    curves = zip(*(found[f"dimensions {_name('bm25', one)}"] for one in SPARSITIES), strict=True)
    falls = all(a > b > c for a, b, c in curves)
    kept = max(found["far below, threshold"]) <= 0.05
    return Verdict(falls and kept, found)


CLAIMS = [
    Claim(
        1,
        "A FLOPS penalty of documents is one of their effective weights relative to idf squared, "
        "which leaves scores as they are (an identity).",
        penalty_is_relative_to_idf,
    ),
    Claim(
        2,
        "At equal FLOPS weights of query tokens by idf rank better than weights of one.",
        idf_is_ahead,
    ),
    Claim(
        3,
        "A student of the normalised ensemble is at least as good as one of either teacher.",
        ensemble_teaches_best,
    ),
    Claim(
        4,
        "A sum of raw scores ranks as the teacher of the larger scores does; with normalisation "
        "both have a say.",
        normalising_lets_both_speak,
    ),
    Claim(
        5,
        "A larger weight of FLOPS makes documents sparser, and its threshold leaves documents "
        "near it.",
        penalty_makes_sparse,
    ),
]
