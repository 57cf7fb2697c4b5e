"""Words and cells for people: how rows of quality and cost read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

SHARES = ("accuracy", "best_accuracy", "top5", "agreement", "exact", "f1", "train_accuracy")
QUALITY = ("accuracy", "exact", "f1", "rmse", "mae", "r2", "nll", "ece", "agreement")
SHOWN = ("accuracy", "best_accuracy", *QUALITY[1:], "train_accuracy", "train_rmse")
Cost = Callable[[float], str]
WHOLE: Cost = "{:,.0f}".format


def _kilobytes(count: float) -> str:
    return f"{count / 1000:,.1f}"


# Columns of what models cost that answer, and of what sets cost that models are trained on.
MODELS: dict[str, tuple[str, Cost]] = {
    "parameters": ("parameters", WHOLE),
    "macs": ("MACs", WHOLE),
    "latency_ms": ("ms", "{:.2f}".format),
}
SETS: dict[str, tuple[str, Cost]] = {
    "images": ("images", WHOLE),
    "bytes": ("KB", _kilobytes),
    "label_bytes": ("of it labels KB", _kilobytes),
    "transform_bytes": ("transform KB", _kilobytes),
    "train_seconds": ("train s", "{:.1f}".format),
}


def table_cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a table of quality and cost; shares are shown in percent.

    Args:
        rows: as `student_rows` or `average` gives them.

    Returns:
        The heads, and one list of cells a row.
    """
    names = [name for name in SHOWN if any(name in row["quality"] for row in rows)]
    costs = _costs(rows)
    heads = ["", *names, *(head for head, _ in costs.values())]
    lines = []
    for row in rows:
        label = row["name"] if row["role"] != "teacher" else f"teacher {row['name']}"
        figures = [_figure(name, row) for name in names]
        paid = [
            said(row["cost"][name]) if name in row["cost"] else ""
            for name, (_, said) in costs.items()
        ]
        lines.append([label, *figures, *paid])
    return heads, lines


def _costs(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, Cost]]:
    """Columns of cost: those of sets where rows count images, with the size of the network only
    where it tells rows apart."""
    if not any("images" in row["cost"] for row in rows):
        return MODELS
    sizes = {row["cost"]["parameters"] for row in rows if "parameters" in row["cost"]}
    kept = {name: MODELS[name] for name in ("parameters", "macs") if len(sizes) > 1}
    return {
        name: column
        for name, column in {**SETS, **kept}.items()
        if any(name in row["cost"] for row in rows)
    }


def _figure(name: str, row: Mapping[str, Any]) -> str:
    if name not in row["quality"]:
        return ""
    scale, digits = _scale(name)
    text = f"{row['quality'][name] * scale:.{digits}f}"
    spread = spread_of(row, name)
    return text if spread is None else f"{text} ±{spread * scale:.{digits}f}"


def spread_of(row: Mapping[str, Any], name: str) -> float | None:
    """The standard deviation of a figure: over seeds, else over the networks of a set."""
    return row.get("std", {}).get(name, row["quality"].get(f"{name}_std"))


def tournament_cells(facts: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a comparison: one line an entry, quality beside cost.

    Args:
        facts: as `limbeck.comparison.Outcome.facts` gives them, with a row at least.

    Returns:
        The heads, and one list of cells an entry in the order of the entries; one that never
        finished has its name and ``failed``.
    """
    main, ranks = facts["tests"]["figure"], facts["tests"]["ranks"]
    quality, cost = facts["standing"]["quality"], facts["standing"]["cost"]
    others = [n for n in SHOWN if n != main and any(n in one for one in quality.values())]
    heads = ["", main, "95 % interval", "rank", *others]
    heads += ["steps", "train s", "parameters", "MACs", "ms", "seeds"]
    lines = []
    for name in facts["entries"]:
        if name not in quality:
            lines.append([name, "failed", *[""] * (len(heads) - 2)])
            continue
        own, paid = quality[name], cost[name]
        rank = "" if ranks is None else f"{ranks['mean_ranks'][name]:.2f}"
        seconds = f"{paid['train_seconds']['mean']:.1f}" if "train_seconds" in paid else ""
        lines.append(
            [
                name,
                with_spread(main, own[main]),
                interval(main, own[main]),
                rank,
                *(with_spread(other, own[other]) if other in own else "" for other in others),
                f"{paid['steps']['mean']:,.0f}",
                seconds,
                f"{paid['parameters']['mean']:,.0f}",
                f"{paid['macs']['mean']:,.0f}",
                f"{paid['latency_ms']['mean']:.2f}",
                f"{own[main]['seeds']}",
            ]
        )
    return heads, lines


def paired_cells(facts: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the paired differences of a comparison, one line a pair of entries."""
    main = facts["tests"]["figure"]
    unit = " points" if main in SHARES else ""
    heads = ["first less second", f"{main}{unit}", "95 % interval", "p", "p (Holm)", "seeds"]
    lines = [
        [
            f"{one['first']} less {one['second']}",
            f"{one['mean'] * _scale(main)[0]:+.{_scale(main)[1]}f}",
            interval(main, one, sign="+"),
            *("" if one[name] is None else f"{one[name]:.3f}" for name in ("p", "p_holm")),
            f"{one['seeds']}",
        ]
        for one in facts["tests"]["paired"]
    ]
    return heads, lines


def tournament_verdict(facts: Mapping[str, Any]) -> str:
    """Say who is ahead and what the tests make of it."""
    tests, quality = facts["tests"], facts["standing"]["quality"]
    main = tests["figure"]
    best = (max if tests["higher_is_better"] else min)(
        quality, key=lambda name: quality[name][main]["mean"]
    )
    said = f"{best} has the best mean {main}, {with_spread(main, quality[best][main])}"
    ranks = tests["ranks"]
    if ranks is None:
        return f"{said}; ranks need three entries and two seeds that all finished"
    p, critical = ranks["friedman"]["p"], ranks["critical_difference"]
    word = "differ" if p < 0.05 else "are not told apart"
    groups = "; ".join(", ".join(group) for group in ranks["tiers"])
    return (
        f"{said}. By ranks over {len(ranks['seeds'])} seeds entries {word} (Friedman p = {p:.3f}); "
        f"not told apart, within the critical difference of {critical:.2f} ranks: {groups}"
    )


def with_spread(name: str, one: Mapping[str, Any]) -> str:
    """A mean and its standard deviation, shares in percent."""
    scale, digits = _scale(name)
    text = f"{one['mean'] * scale:.{digits}f}"
    return text if one["std"] is None else f"{text} ±{one['std'] * scale:.{digits}f}"


def interval(name: str, one: Mapping[str, Any], sign: str = "") -> str:
    """The ends of an interval in words, shares in percent; empty where there is none.

    Example:
        >>> interval("accuracy", {"low": 0.738, "high": 1.133})
        '73.8 to 100.0'
    """
    scale, digits = _scale(name)
    if one["low"] is None:
        return ""
    ends = possible(name, one, least=-1.0 if sign else 0.0)
    low, high = (f"{end * scale:{sign}.{digits}f}" for end in ends)
    return f"{low} to {high}"


def possible(name: str, one: Mapping[str, Any], least: float = 0.0) -> tuple[float, float]:
    """The ends of an interval, of a share cut to what it can be.

    Args:
        name: of the figure.
        one: its ``low`` and ``high``.
        least: what a share can be at the least: 0, or -1 of a difference.
    """
    low, high = one["low"], one["high"]
    return (max(least, low), min(1.0, high)) if name in SHARES else (low, high)


def _scale(name: str) -> tuple[int, int]:
    return (100, 1) if name in SHARES else (1, 3)


def verdict(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    """Say in one sentence whether the product is ahead of its baseline."""
    by_role = {row["role"]: row for row in reversed(rows)}
    first, second = by_role["product"], by_role["baseline"]
    product, alone = first["quality"], second["quality"]
    over = f" in the mean of {seeds} seeds" if seeds > 1 else ""
    rival = _rival(first, second)
    if "accuracy" in product:
        points = (product["accuracy"] - alone["accuracy"]) * 100
        if f"{abs(points):.1f}" == "0.0":
            return f"distilled is level with {rival}{over}"
        word = "ahead of" if points > 0 else "behind"
        return f"distilled is {abs(points):.1f} points {word} {rival}{over}"
    better = "lower" if product["rmse"] < alone["rmse"] else "higher"
    gap = abs(product["rmse"] - alone["rmse"])
    return f"distilled has an rmse {gap:.4g} {better} than {rival}{over}"


def _rival(product: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """The baseline in a sentence: a student as it is, a set with how many images it has."""
    ours, theirs = (row["cost"].get("images") for row in (product, baseline))
    if theirs is None:
        return "the same student alone"
    name = baseline["name"]
    name = name if "images" in name else f"{name} images"
    return f"{name} of the same number" if ours == theirs else f"{name} ({theirs:,.0f})"
