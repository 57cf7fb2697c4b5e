"""Claims: what a paper says must hold, as functions that run the comparison, with figures."""

from __future__ import annotations

import contextlib
import importlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck import cards, files
from limbeck.errors import RunError, SettingsError
from limbeck.experiment import Request, perform_seed

SEEDS = (0, 1, 2, 3, 4)
# By name, one a seed.
Figures = dict[str, list[Any]]


@dataclass(frozen=True)
class Verdict:
    """What one claim's comparison gave.

    Args:
        held: whether the claim holds.
        figures: numbers that decided it, lists having one entry a seed.
    """

    held: bool
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """A numbered claim and the function that tests it."""

    number: int
    text: str
    test: Callable[[Trial], Verdict]


class Trial:
    """Where claims run: finished runs are kept and reused.

    Args:
        method: slug.
        folder: of the runs.
        seeds: at least five, fixed beforehand.
        quiet: show no progress.
    """

    def __init__(
        self, method: str, folder: Path, *, seeds: Sequence[int] = SEEDS, quiet: bool = False
    ) -> None:
        self.method, self.folder, self.seeds = method, folder, tuple(seeds)
        self.quiet = quiet

    def tables(
        self,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        label: str = "runs",
        *,
        method: str | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Run the method, or one to compare it with, once a seed, as jobs; return the tables.

        Args:
            settings: of the method.
            inputs: names of data and models.
            label: of the progress display.
            method: slug of another method; None takes the one whose claims are tested.

        Returns:
            One table a seed.
        """
        from limbeck.fingerprint import fingerprint
        from limbeck.run.run import Options, Run

        slug = method or self.method
        request = Request(slug, settings, inputs, self.seeds, {"threads": 1})
        # Runs of other code are other evidence: they are not reused.
        place = self.folder / fingerprint(request.identity(), source_fingerprint())
        run = Run(place, options=Options(quiet=self.quiet))
        jobs = [(request, place / str(seed), seed, True) for seed in self.seeds]
        return run.executor.map(perform_seed, jobs, f"{slug} {label}")

    def of_seeds(self, function: Callable[[Path, int], dict[str, Any]], *key: Any) -> Figures:
        """Call a function once a seed, as jobs; its figures are kept for other claims.

        Where it was stopped, what it kept in its folder is reused.

        Args:
            function: from a folder and a seed to figures by name, plain values; a module-level
                function.
            key: what decides the figures, beside the code.

        Returns:
            By name, one figure a seed.
        """
        from limbeck.fingerprint import fingerprint
        from limbeck.run.run import Options, Run

        place = self.folder / fingerprint(function.__name__, key, source_fingerprint())
        run = Run(place, options=Options(quiet=self.quiet))
        jobs = [(function, place / str(seed), seed) for seed in self.seeds]
        found = run.executor.map(_figures_of_a_seed, jobs, f"{self.method} seeds")
        return {name: [one[name] for one in found] for name in found[0]}


def _figures_of_a_seed(
    function: Callable[[Path, int], dict[str, Any]], folder: Path, seed: int
) -> dict[str, Any]:
    """Figures that a folder holds, or those of the function, which are put there."""
    path = folder / "figures.json"
    with contextlib.suppress(RunError):
        return dict(files.read_json(path))
    figures = function(folder, seed)
    files.write_json(path, figures)
    return figures


def by_means(figures: Figures, holds: Callable[[dict[str, float]], bool]) -> Verdict:
    """Decide by the means over seeds; all figures are shown.

    Args:
        figures: by name, one a seed.
        holds: from the means by name to whether the claim holds.

    Example:
        >>> by_means({"one": [0.5, 0.7], "other": [0.4, 0.4]}, lambda mean: mean["one"] > 0.5).held
        True
    """
    means = {name: statistics.fmean(values) for name, values in figures.items()}
    return Verdict(holds(means), {**figures, "mean": means})


def source_fingerprint() -> str:
    """Fingerprint of the code that decides figures: all of the package but what only shows them."""
    from limbeck.fingerprint import fingerprint

    root = cards.METHODS.parent
    shown = {root / "cli", root / "report", root / "testing"}
    paths = [path for path in sorted(root.rglob("*.py")) if not shown & set(path.parents)]
    return fingerprint([[path.relative_to(root).as_posix(), path.read_text()] for path in paths])


def claims_of(method: str) -> list[Claim]:
    """The claims of a method, in order."""
    cards.card(method)
    module = method.replace("-", "_")
    return importlib.import_module(f"limbeck.methods.{module}.claims").CLAIMS


def check(
    method: str,
    folder: Path,
    results: Path,
    *,
    only: Sequence[int] | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Test a method's claims and write the verdicts.

    Args:
        method: slug.
        folder: where runs are kept.
        results: folder of ``<method>.json``; verdicts of claims not tested now stay in it.
        only: numbers of the claims to test; None tests all.
        quiet: show no progress.

    Returns:
        All verdicts known, as ``{"claim", "text", "held", "figures", "seconds"}``.

    Raises:
        SettingsError: there is no claim of a number.
    """
    from limbeck.run.environment import provenance

    claims = {claim.number: claim for claim in claims_of(method)}
    wrong = [number for number in only or () if number not in claims]
    if wrong:
        raise SettingsError(f"{method} has claims {sorted(claims)}, not {wrong}")
    path = results / f"{method}.json"
    known = {}
    if path.exists():
        known = {entry["claim"]: entry for entry in json.loads(path.read_text())["claims"]}
    trial = Trial(method, folder, quiet=quiet)
    for number in only or sorted(claims):
        claim, begun = claims[number], time.monotonic()
        verdict = claim.test(trial)
        known[number] = {
            "claim": number,
            "text": claim.text,
            "held": bool(verdict.held),
            "figures": dict(verdict.figures),
            "seconds": round(time.monotonic() - begun, 1),
        }
    entries = [known[number] for number in sorted(known) if number in claims]
    content = {
        "method": method,
        "seeds": list(trial.seeds),
        "scale": "small",
        "source": source_fingerprint(),
        **provenance(),
        "claims": entries,
    }
    files.write_text(path, json.dumps(content, indent=1) + "\n")
    return entries
