"""Tournament: entries on the same seeds compared by mean, paired differences and ranks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from limbeck.evaluate.figures import figure, main_figure
from limbeck.evaluate.significance import friedman_test, nemenyi_critical_difference, tiers

CONFIDENCE = 0.95


def spread(values: Sequence[float], confidence: float = CONFIDENCE) -> dict[str, Any]:
    r"""Mean, standard deviation (n - 1) and the t interval of the mean.

    .. math:: \bar x \pm t_{n-1} \, s / \sqrt n

    Args:
        values: one a seed, at least one.
        confidence: share of intervals that hold the true mean if values are normal.

    Returns:
        ``{"mean", "std", "low", "high", "seeds"}``; with a single value the three that need two
        are None.

    Example:
        >>> {name: round(value, 3) for name, value in spread([0.8, 0.9, 1.0]).items()}
        {'mean': 0.9, 'std': 0.1, 'low': 0.652, 'high': 1.148, 'seeds': 3}
    """
    from scipy.stats import t

    count, mean = len(values), statistics.fmean(values)
    if count < 2:
        return {"mean": mean, "std": None, "low": None, "high": None, "seeds": count}
    deviation = statistics.stdev(values)
    half = float(t.ppf((1 + confidence) / 2, count - 1)) * deviation / math.sqrt(count)
    return {
        "mean": mean,
        "std": deviation,
        "low": mean - half,
        "high": mean + half,
        "seeds": count,
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for having made several tests (Holm's step-down method).

    Args:
        p_values: one a test.

    Returns:
        Adjusted p-values in the same order: below alpha, the error probability over all tests
        together is at most alpha.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - done) * p_values[place]))
        adjusted[place] = least
    return adjusted


def standing(
    rows: Sequence[Mapping[str, Any]], entries: Sequence[str], group: str = "quality"
) -> dict[str, dict[str, Any]]:
    """The `spread` of every figure of every entry.

    Args:
        rows: ``{"entry", "seed", "quality", "cost"}``.
        entries: names in the order wanted; one without rows is left out.
        group: ``"quality"`` or ``"cost"``.

    Returns:
        By entry, by figure.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        own = [row[group] for row in rows if row["entry"] == entry]
        if own:
            found[entry] = {
                name: spread([one[name] for one in own])
                for name in own[0]
                if all(name in one for one in own)
            }
    return found


def compared(rows: Sequence[Mapping[str, Any]], entries: Sequence[str]) -> dict[str, Any]:
    """Is one entry better than another? Paired differences, and ranks within each seed.

    Args:
        rows: ``{"entry", "seed", "quality", ...}``, one a finished entry and seed.
        entries: names, in the order wanted.

    Returns:
        ``figure`` and ``higher_is_better``; ``paired``, for every pair of entries the `spread` of
        the later one less the earlier one over the seeds that both finished, with the p-value of
        the paired t-test and the same adjusted by `holm`; and ``ranks``, over the seeds that every
        entry with rows finished: mean ranks, 1 being best, the Friedman test, the Nemenyi
        critical difference and the `tiers`. ``ranks`` is None for fewer than three entries or
        two seeds, p-values are None below two seeds.
    """
    name = main_figure(rows)
    higher = figure(name).higher
    values: dict[str, dict[int, float]] = {entry: {} for entry in entries}
    for row in rows:
        values[row["entry"]][row["seed"]] = row["quality"][name]
    present = [entry for entry in entries if values[entry]]
    return {
        "figure": name,
        "higher_is_better": higher,
        "paired": _paired(values, present),
        "ranks": _ranks(values, present, higher),
    }


def _paired(values: Mapping[str, Mapping[int, float]], present: Sequence[str]) -> list[Any]:
    found = []
    for second, first in combinations(present, 2):
        seeds = sorted(values[first].keys() & values[second].keys())
        if seeds:
            gaps = [values[first][seed] - values[second][seed] for seed in seeds]
            found.append({"first": first, "second": second, **spread(gaps), "p": _p_value(gaps)})
    known = [one for one in found if one["p"] is not None]
    for one, value in zip(known, holm([one["p"] for one in known]), strict=True):
        one["p_holm"] = value
    return [{"p_holm": None, **one} for one in found]


def _p_value(gaps: Sequence[float]) -> float | None:
    """Of the paired t-test; 1 where all differences are 0, 0 where all are the same other one."""
    from scipy.stats import t

    if len(gaps) < 2:
        return None
    mean, deviation = statistics.fmean(gaps), statistics.stdev(gaps)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) * math.sqrt(len(gaps)) / deviation, len(gaps) - 1))


def _ranks(
    values: Mapping[str, Mapping[int, float]], present: Sequence[str], higher: bool
) -> dict[str, Any] | None:
    shared = set.intersection(*(set(values[entry]) for entry in present)) if present else set()
    seeds = sorted(shared)
    if len(present) < 3 or len(seeds) < 2:
        return None
    table = [[values[entry][seed] for entry in present] for seed in seeds]
    result = friedman_test(table, higher_is_better=higher)
    critical = nemenyi_critical_difference(len(present), len(seeds))
    return {
        "entries": list(present),
        "seeds": seeds,
        "mean_ranks": dict(zip(present, result.mean_ranks, strict=True)),
        "friedman": {"statistic": result.statistic, "p": result.p_value},
        "critical_difference": critical,
        "tiers": [[present[i] for i in group] for group in tiers(result.mean_ranks, critical)],
    }
