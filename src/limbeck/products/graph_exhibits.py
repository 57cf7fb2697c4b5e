"""Graph exhibits: how often trees occur, what was mined, and pictures of the forests."""

from __future__ import annotations

import base64
import colorsys
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.run.exhibits import Chart, Gallery, Line, Sheet

if TYPE_CHECKING:
    from limbeck.data.labelled_graphs import Graphs
    from limbeck.products.synthetic_graphs import SyntheticGraphs

# Pictures of a class, and nodes of the largest graph that is drawn.
SHOWN, DRAWN = 6, 120
# Pixels between nodes and levels, around a picture, and of a node's radius.
STEP, LEVEL, EDGE, RADIUS = 14, 30, 10, 5
GROUND, BRANCH = (255, 255, 255), (120, 120, 120)
HEADS = ("class", "graphs", "distinct trees", "in at least", "sets", "trees in the largest")


def charts(made: SyntheticGraphs) -> list[Chart]:
    """The share of trees in graphs that the most frequent ones make up."""
    covered = made.facts.get("covered")
    if not covered:
        return []
    tenths = [10 * place for place in range(1, len(covered) + 1)]
    line = Line("of all trees in graphs", tenths, [100 * one for one in covered])
    caption = "Few trees make up most of what there is in the training graphs, each graph counting "
    caption += "a tree once."
    labels = "most frequent trees, percent of the distinct ones", "percent"
    return [Chart("How often trees occur", caption, *labels, [line])]


def sheets(made: SyntheticGraphs) -> list[Sheet]:
    """What was mined of each class."""
    found = made.facts.get("classes", [])
    names = ("class", "graphs", "trees", "threshold", "sets", "largest_set")
    rows = [[str(one[name]) for name in names] for one in found]
    caption = "Sets of trees that occur together in enough training graphs of a class."
    return [Sheet("Frequent sets", HEADS, rows, caption)] if rows else []


def galleries(made: SyntheticGraphs) -> list[Gallery]:
    """The forests of each class that occur most often, of those with several trees first."""
    if made.depth is None:
        return []
    rows, pictures = [], []
    for number, name in enumerate(made.classes):
        places = np.flatnonzero(made.y == number)
        support = np.zeros(len(made)) if made.support is None else made.support
        sizes = np.array([len(one) for one in made.members])
        order = np.lexsort((-support[places], sizes[places] < 2))
        chosen = [one for one in places[order] if made.graphs.counts[one] <= DRAWN][:SHOWN]
        if chosen:
            rows.append(name)
            pictures.append([_encoded(made.graphs.take([one]), made.node_kinds) for one in chosen])
    if not rows:
        return []
    columns = [f"{place + 1}" for place in range(max(map(len, pictures)))]
    blank = base64.b64encode(_png(_canvas(1, 1))).decode()
    even = [row + [blank] * (len(columns) - len(row)) for row in pictures]
    caption = (
        "The sets with several trees that most graphs of a class hold; roots stand at the top, "
        "colours are labels of nodes."
    )
    return [Gallery("Forests", caption, columns, rows, even)]


def _encoded(forest: Graphs, kinds: int) -> str:
    """A PNG file of a forest as text."""
    from PIL import ImageDraw

    places = _laid_out(forest)
    picture = _canvas(*(int(one) for one in places.max(0)))
    pen = ImageDraw.Draw(picture)
    for child, parent in forest.edge_index.T:
        pen.line([*places[child], *places[parent]], fill=BRANCH, width=1)
    for (x, y), label in zip(places, forest.node_labels, strict=True):
        box = [x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS]
        pen.ellipse(box, fill=_colour(int(label), kinds), outline=(40, 40, 40))
    return base64.b64encode(_png(picture)).decode()


def _laid_out(forest: Graphs) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Places of nodes: leaves side by side, parents above the middle of their children."""
    children: dict[int, list[int]] = {}
    for child, parent in forest.edge_index.T.tolist():
        children.setdefault(parent, []).append(child)
    places = np.zeros((forest.nodes, 2))
    width = 0

    def lay(node: int, level: int) -> float:
        nonlocal width
        below = [lay(child, level + 1) for child in children.get(node, [])]
        if not below:
            below = [width * STEP]
            width += 1
        places[node] = sum(below) / len(below), level * LEVEL
        return float(places[node, 0])

    roots = np.ones(forest.nodes, np.bool_)
    roots[forest.edge_index[0]] = False
    for root in np.flatnonzero(roots).tolist():
        lay(root, 0)
        # A gap between trees.
        width += 1
    return places + EDGE


def _canvas(width: int, height: int) -> Any:
    from PIL import Image

    return Image.new("RGB", (width + EDGE, height + EDGE), GROUND)


def _png(picture: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _colour(label: int, kinds: int) -> tuple[int, int, int]:
    """Colours around the wheel, those of many labels in two shades."""
    shade = 0.95 if label % 2 == 0 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(label / max(kinds, 1), 0.6, shade)
    return round(255 * red), round(255 * green), round(255 * blue)
