"""Words and cells for people: how rows of quality and cost read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limbeck.evaluate.figures import columns, figure, main_figure

Cost = Callable[[float], str]
WHOLE: Cost = "{:,.0f}".format


def _kilobytes(count: float) -> str:
    return f"{count / 1000:,.1f}"


# Columns of what it costs to use a model that answers, several that answer as one, one that makes
# samples, one that documents are searched by, one that moves atoms, an untrained one, or a set of
# images or graphs that models are trained on.
ANSWERS: dict[str, tuple[str, Cost]] = {
    "parameters": ("parameters", WHOLE),
    "macs": ("MACs", WHOLE),
    "mixture_macs": ("MACs, half from outside", WHOLE),
    "latency_ms": ("ms", "{:.2f}".format),
}
STACKS: dict[str, tuple[str, Cost]] = {
    "members": ("members", "{:.3g}".format),
    **ANSWERS,
    "bytes": ("KB", _kilobytes),
}
SAMPLES: dict[str, tuple[str, Cost]] = {
    "evaluations": ("evaluations", "{:g}".format),
    "sample_seconds": ("s per 1,000", "{:.3g}".format),
    "parameters": ("parameters", WHOLE),
    "macs": ("MACs", WHOLE),
}
SEARCHES: dict[str, tuple[str, Cost]] = {
    "parameters": ("parameters", WHOLE),
    "index_bytes": ("index KB", _kilobytes),
    "document_dimensions": ("dimensions", "{:.1f}".format),
    "query_dimensions": ("of queries", "{:.1f}".format),
    "flops": ("FLOPS", "{:.2f}".format),
    "latency_ms": ("ms", "{:.2f}".format),
}
FIELDS: dict[str, tuple[str, Cost]] = {
    "parameters": ("parameters", WHOLE),
    "bytes": ("KB", _kilobytes),
    "atoms": ("atoms", WHOLE),
    "force_ms": ("ms", "{:.2f}".format),
}
STRUCTURES: dict[str, tuple[str, Cost]] = {"depth": ("layers", WHOLE), **ANSWERS}
SETS: dict[str, tuple[str, Cost]] = {
    "images": ("images", WHOLE),
    "bytes": ("KB", _kilobytes),
    "label_bytes": ("of it labels KB", _kilobytes),
    "transform_bytes": ("transform KB", _kilobytes),
    "train_seconds": ("train s", "{:.1f}".format),
    "parameters": ("parameters", WHOLE),
    "macs": ("MACs", WHOLE),
}
GRAPH_SETS: dict[str, tuple[str, Cost]] = {
    "graphs": ("graphs", WHOLE),
    "nodes": ("nodes stored", WHOLE),
    "bytes": ("KB", _kilobytes),
    "distil_seconds": ("distil s", "{:.2f}".format),
    "train_seconds": ("train s", "{:.1f}".format),
    "parameters": ("parameters", WHOLE),
}
# The cost by which rows are known to be of a kind.
KINDS = {
    "images": SETS,
    "graphs": GRAPH_SETS,
    "evaluations": SAMPLES,
    "members": STACKS,
    "index_bytes": SEARCHES,
    "force_ms": FIELDS,
    "depth": STRUCTURES,
    "parameters": ANSWERS,
    "latency_ms": ANSWERS,
}
# Of a set these are of the networks that judge it: worth a column where they tell rows apart.
JUDGES = ("parameters", "macs")
# The baseline of whatever is distilled into a student.
ALONE = "student alone"


def table_cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a table of quality and cost; shares are shown in percent.

    Args:
        rows: as `student_rows` or `average` gives them.

    Returns:
        The heads, and one list of cells a row.
    """
    names = columns([row["quality"] for row in rows])
    costs = _costs(rows)
    heads = ["", *(figure(name).head or name for name in names)]
    heads += [head for head, _ in costs.values()]
    lines = []
    for row in rows:
        label = f"teacher {row['name']}" if is_named(row) else row["name"]
        figures = [_figure(name, row) for name in names]
        paid = [
            said(row["cost"][name]) if name in row["cost"] else ""
            for name, (_, said) in costs.items()
        ]
        lines.append([label, *figures, *paid])
    return heads, lines


def is_named(row: Mapping[str, Any]) -> bool:
    """Whether a row has the name of a teacher's network alone; of samplers it says more."""
    return row["role"] == "teacher" and "evaluations" not in row["cost"]


def _costs(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, Cost]]:
    """Columns of cost: those of the kind of thing that the rows are about."""
    held = {name for row in rows for name in row["cost"]}
    kind = next((of_kind for mark, of_kind in KINDS.items() if mark in held), {})
    if kind is SETS:
        sizes = {row["cost"]["parameters"] for row in rows if "parameters" in row["cost"]}
        held -= set(JUDGES) if len(sizes) < 2 else set()
    return {name: column for name, column in kind.items() if name in held}


def _figure(name: str, row: Mapping[str, Any]) -> str:
    if name not in row["quality"]:
        return ""
    return _spread(name, row["quality"][name], spread_of(row, name))


def _spread(name: str, value: float, spread: float | None) -> str:
    text = figure(name).write(value)
    return text if spread is None else f"{text} ±{figure(name).write(spread)}"


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
    others = columns(list(quality.values()), without=main)
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
    unit = " points" if figure(main).share else ""
    heads = ["first less second", f"{main}{unit}", "95 % interval", "p", "p (Holm)", "seeds"]
    lines = [
        [
            f"{one['first']} less {one['second']}",
            figure(main).write(one["mean"], "+"),
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
    return _spread(name, one["mean"], one["std"])


def interval(name: str, one: Mapping[str, Any], sign: str = "") -> str:
    """The ends of an interval in words, shares in percent; empty where there is none.

    Example:
        >>> interval("accuracy", {"low": 0.738, "high": 1.133})
        '73.8 to 100.0'
    """
    if one["low"] is None:
        return ""
    ends = possible(name, one, least=-1.0 if sign else 0.0)
    low, high = (figure(name).write(end, sign) for end in ends)
    return f"{low} to {high}"


def possible(name: str, one: Mapping[str, Any], least: float = 0.0) -> tuple[float, float]:
    """The ends of an interval, of a share cut to what it can be.

    Args:
        name: of the figure.
        one: its ``low`` and ``high``.
        least: what a share can be at the least: 0, or -1 of a difference.
    """
    low, high = one["low"], one["high"]
    return (max(least, low), min(1.0, high)) if figure(name).share else (low, high)


def verdict(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    """Say in one sentence whether the product is ahead of its baseline, by the main figure."""
    by_role = {row["role"]: row for row in reversed(rows)}
    product, baseline = by_role["product"], by_role["baseline"]
    over = f" in the mean of {seeds} seeds" if seeds > 1 else ""
    name = main_figure([product, baseline])
    if "evaluations" in product["cost"]:
        taught = [by_role[role] for role in ("baseline", "teacher") if role in by_role]
        return f"{_against_teacher(name, product, taught)}{over}"
    rival, said, subject = _rival(product, baseline), figure(name).said, _subject(product, baseline)
    gap = product["quality"][name] - baseline["quality"][name]
    if not figure(name).share:
        return f"{subject} has {said} {abs(gap):.4g} {_lower(gap)} than {rival}{over}"
    points = figure(name).write(abs(gap))
    if float(points) == 0:
        return f"{subject} is level with {rival}{over}"
    word = "ahead of" if gap > 0 else "behind"
    return f"{subject} is {points} points {word} {rival}{over}"


def _lower(gap: float) -> str:
    return "lower" if gap < 0 else "higher"


def _against_teacher(
    name: str, product: Mapping[str, Any], taught: Sequence[Mapping[str, Any]]
) -> str:
    """A generator beside its teacher's own samplers, each with what a sample takes."""
    own = f"{product['cost']['evaluations']:g}"

    def told(row: Mapping[str, Any]) -> str:
        count = f"{row['cost']['evaluations']:g}"
        amount = "as many" if count == own and row is not product else count
        return f"{figure(name).write(row['quality'][name])} in {amount}"

    unit = "evaluation" if own == "1" else "evaluations"
    return (
        f"distilled has {figure(name).said} of {told(product)} {unit}, its teacher "
        f"{' and '.join(map(told, taught))}"
    )


def _subject(product: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """What a sentence is about: what was distilled, or where nothing was, the product's name."""
    distilled = "images" in product["cost"] or baseline["name"] == ALONE
    return "distilled" if distilled else str(product["name"])


def _rival(product: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """The baseline in a sentence: a student as it is, a set with how many images it has."""
    ours, theirs = (row["cost"].get("images") for row in (product, baseline))
    if theirs is None:
        alone = baseline["name"] == ALONE
        return "the same student alone" if alone else f"the {baseline['name']}"
    name = baseline["name"]
    name = name if "images" in name else f"{name} images"
    return f"{name} of the same number" if ours == theirs else f"{name} ({theirs:,.0f})"
