"""The gallery: pages of several runs and one that leads to them, in a folder that loads nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError, RunError
from limbeck.evaluate.figures import figure, main_figure
from limbeck.evaluate.words import spread_of, verdict, with_spread
from limbeck.report import plots
from limbeck.report.page import costs_drawn, picture_of, write_page, write_report
from limbeck.report.story import Story, read_story, sentence

INDEX = "index.html"
# Rows of pictures that a card shows.
ROWS = 10
# What comes out, by family.
FAMILIES = {
    "model": "Students",
    "data": "Synthetic data sets",
    "generator": "Few-step generators",
    "ensemble": "Ensembles",
    "search": "Searches",
}


@dataclass(frozen=True)
class Site:
    """What was written.

    Args:
        index: the page that leads to the others.
        pages: one a run, in the order of the gallery.
        left_out: why a folder is not among them, by folder.
    """

    index: Path
    pages: tuple[Path, ...]
    left_out: dict[Path, str]


def write_gallery(folders: Sequence[Path], out: Path) -> Site:
    """Write a static site of run folders: a card each with its picture, which leads to its report.

    Args:
        folders: of runs; those that are not finished, or do not read, are left out.
        out: the folder of the site; files of the same names are replaced.

    Returns:
        What was written, and what was left out.

    Raises:
        RunError: none of the runs can be shown.
    """
    told: list[tuple[Path, Story]] = []
    left_out: dict[Path, str] = {}
    for folder in folders:
        try:
            told.append((folder, read_story(folder)))
        except LimbeckError as error:
            left_out[folder] = str(error)
    if not told:
        raise RunError("there is no finished run to show: " + "; ".join(left_out.values()))
    told.sort(key=lambda one: (one[1].card.family, one[1].card.slug, one[1].name))
    names = _names([story for _, story in told])
    cards = []
    for (folder, story), name in zip(told, names, strict=True):
        write_report([folder], out / name, home=INDEX)
        cards.append({"page": name, **_card(story)})
    families = [
        {"title": FAMILIES.get(family, family), "cards": list(group)}
        for family, group in itertools.groupby(cards, key=lambda one: one["family"])
    ]
    under = f"{len(cards)} runs of limbeck, each with its report"
    write_page(out / INDEX, "gallery.html", title="Gallery", under=under, families=families)
    return Site(out / INDEX, tuple(out / name for name in names), left_out)


def _names(stories: Sequence[Story]) -> list[str]:
    """A file a run, named by method and folder; numbers tell apart what is called alike."""
    names: list[str] = []
    for story in stories:
        slug = story.card.slug
        stem = story.name if story.name.startswith(slug) else f"{slug}-{story.name}"
        free = (stem, *(f"{stem}-{number}" for number in range(2, len(stories) + 1)))
        names.append(next(f"{one}.html" for one in free if f"{one}.html" not in names))
    return names


def _card(story: Story) -> dict[str, Any]:
    product = next(row for row in story.rows if row["role"] == "product")
    name = main_figure([product])
    known = figure(name)
    value = {"mean": product["quality"][name], "std": spread_of(product, name)}
    seeds = len(story.request.seeds)
    return {
        "family": story.card.family,
        "title": story.card.title,
        "slug": story.card.slug,
        "what": sentence(story.card, story.request.inputs),
        "figure": with_spread(name, value) + (" %" if known.share else ""),
        "called": known.said.partition(" ")[2] or name,
        "verdict": verdict(story.rows, seeds),
        **_picture(story),
    }


def _picture(story: Story) -> dict[str, Any]:
    """Real pictures where a run has some, else its first chart, else quality against cost."""
    if story.galleries:
        # The first column is what the run made; others stand beside for comparison.
        first = story.galleries[0]
        rows = zip(first.rows[:ROWS], first.pictures[:ROWS], strict=True)
        return {"pictures": [picture_of(name, row[0]) for name, row in rows], "about": first.title}
    if story.charts:
        return {"svg": plots.exhibit(story.charts[0]), "about": story.charts[0].title}
    drawn = costs_drawn(story.rows)
    return {"svg": drawn[0]["svg"], "about": "Quality against cost"} if drawn else {}
