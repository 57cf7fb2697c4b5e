"""The page of results: what papers print, what was run here, its best peer, what did not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evidence import RESULTS, linked, table

from limbeck import cards
from limbeck.evaluate import figures, words

HEADS = ["system", "setting or run", "figure", "paper", "ours", "best peer", "ours is", "not held"]
# What a peer has as much of: a choice of as many images, a sampler of as many evaluations.
AMOUNTS = ("images", "graphs", "evaluations")
# Further costs that are told where a peer has more or less of them.
TOLD = (*AMOUNTS, "members", "parameters")


def results() -> str:
    """One table of all systems, then the claims that did not hold."""
    lines, missed = [], []
    for slug in cards.slugs():
        link, claims = linked(slug), claims_of(slug)
        failed = [one for one in claims if not one["held"]]
        missed += [f"- {link}, {one['claim']}: {one['text']}" for one in failed]
        unheld = _unheld(claims)
        lines += [[link, *cells, unheld] for cells in [*_printed(slug), *runs(slug)]]
    parts = [table(HEADS, lines), "### What did not hold"]
    return "\n\n".join([*parts, "\n".join(missed) or "Nothing that was tested."]) + "\n"


def published(slug: str) -> str:
    """The figures that a system's paper prints, for its card."""
    found = cards.card(slug).published
    if not found:
        return "Its paper prints no figures.\n"
    heads = ["setting", "figure", "paper", "best peer of the paper", "source"]
    return table(heads, [[p.setting, p.figure, p.paper, p.peer, p.source] for p in found]) + "\n"


def claims_of(slug: str) -> list[dict[str, Any]]:
    """The recorded claims of a system."""
    path = RESULTS / f"{slug}.json"
    return json.loads(path.read_text())["claims"] if path.exists() else []


def _unheld(claims: Sequence[Mapping[str, Any]]) -> str:
    if not claims:
        return "not tested"
    failed = [str(one["claim"]) for one in claims if not one["held"]]
    some = f"claim{'s' if failed[1:] else ''} {' and '.join(failed)}" if failed else "none"
    return f"{some}; {len(claims) - len(failed)} hold"


def _printed(slug: str) -> Iterator[list[str]]:
    found = cards.card(slug).published
    if not found:
        yield ["", "", "none printed", "", "", ""]
    for one in found:
        yield [f"{one.setting} ({one.source})", one.figure, one.paper, "not run", one.peer, ""]


def runs(slug: str) -> Iterator[list[str]]:
    """Every recorded run of a system: its name, the figure, no paper, ours, the peer, the word."""
    for path in sorted(RESULTS.glob(f"run-{slug}-*.json")):
        facts = json.loads(path.read_text())
        # A longer name may begin with this one.
        if facts["method"] == slug:
            run = path.stem.removeprefix(f"run-{slug}-")
            yield [f"`{run}`", *beside(facts["rows"])]


def beside(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The product's figure beside that of its best peer.

    Args:
        rows: of one run.

    Returns:
        The figure's name, an empty cell for the paper, ours, the peer with what it had more or
        less of, and whether ours is ahead, behind or level as both are written.
    """
    product = next(row for row in rows if row["role"] == "product")
    name = figures.main_figure([product])
    figure = figures.figure(name)
    called = figure.said.partition(" ")[2] or figure.head or name
    ours = _told(product, name)
    peers = [row for row in rows if _is_peer(row, product) and name in row["quality"]]
    if not peers:
        return [called, "", ours, "", ""]
    best = (max if figure.higher else min)(peers, key=lambda row: row["quality"][name])
    mine, theirs = product["quality"][name], best["quality"][name]
    word = "ahead" if (mine > theirs) == figure.higher else "behind"
    if figure.write(mine) == figure.write(theirs):
        word = "level"
    differing = _differing(best, product)
    more = f" ({differing})" if differing else ""
    peer = f"{best['name']} {_told(best, name)}{more}".replace("|", "\\|")
    return [called, "", ours, peer, word]


def _is_peer(row: Mapping[str, Any], product: Mapping[str, Any]) -> bool:
    if row["name"].startswith(f"{product['name']} "):
        return False
    theirs, ours = row["cost"], product["cost"]
    # What a set is worth is told by networks trained on it: of one kind, or they tell nothing.
    judged = "images" in ours or "graphs" in ours
    if judged and theirs.get("parameters") != ours.get("parameters"):
        return False
    if row["role"] != "reference":
        return row["role"] == "baseline"
    return all(theirs.get(one) == ours.get(one) for one in AMOUNTS)


def _differing(row: Mapping[str, Any], product: Mapping[str, Any]) -> str:
    """What a peer had more or less of than the product."""
    both = [(one, row["cost"].get(one), product["cost"].get(one)) for one in TOLD]
    return "; ".join(
        f"{one}: {_count(theirs)}, ours {_count(ours)}"
        for one, theirs, ours in both
        if theirs and ours and theirs != ours
    )


def _count(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _told(row: Mapping[str, Any], name: str) -> str:
    one = {"mean": row["quality"][name], "std": words.spread_of(row, name)}
    return words.with_spread(name, one)
