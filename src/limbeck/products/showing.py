"""Showing: the images of a set, how they came about and are judged, for the report of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.exhibits import Sheet, write_exhibits
from limbeck.run.galleries import Images, evolution, wall
from limbeck.run.run import Run


def show_images(run: Run, made: SyntheticDataset, moments: Mapping[int, Tensor]) -> None:
    """Put the images of a set as people see them beside a run's files.

    Args:
        run: the folder.
        made: the set.
        moments: its images at some steps ``(N, C, H, W)``.
    """
    if run.engine.rank:
        return
    labels = made.labels.tolist()
    galleries = [wall("Synthetic images", made.pictures(), labels, made.classes)]
    if moments:
        seen = {
            f"step {step}": made.with_images(images).pictures() for step, images in moments.items()
        }
        seen["end"] = made.pictures()
        galleries.append(evolution("How they came about", seen, labels, made.classes))
    write_exhibits(run.dir, sheets=[_judging(made)], galleries=galleries)


def show_recovered(
    run: Run,
    made: SyntheticDataset,
    moments: Mapping[int, Tensor],
    labels: Tensor,
    real: Tensor,
    sheets: Sequence[Sheet] = (),
) -> None:
    """Put recovered images beside a run's files, how the first of them came about, and real ones.

    Args:
        run: the folder.
        made: the set, of bytes in the order of the classes.
        moments: images of the first block at some steps ``(B, C, H, W)``, as networks read them.
        labels: of that block ``(B,)``.
        real: as many real images in the same order, as bytes.
        sheets: further tables.
    """
    if run.engine.rank:
        return
    classes, all_labels = made.classes, made.labels.tolist()
    pair = {"recovered": made.pictures(), "real": _shown(real)}
    galleries = [
        evolution("Recovered images beside real ones", pair, all_labels, classes),
        wall("All recovered images", made.pictures(), all_labels, classes),
    ]
    sheets = [_judging(made), *sheets]
    if moments:
        seen = {f"step {n}": _shown(made.space.to_bytes(one)) for n, one in moments.items()}
        first = [int((made.labels == label).nonzero()[0]) for label in labels.tolist()]
        seen["end"] = made.pictures()[first]
        galleries.insert(1, evolution("How they came about", seen, labels.tolist(), classes))
    write_exhibits(run.dir, sheets=sheets, galleries=galleries)


def _shown(pictures: Tensor) -> Images:
    return pictures.permute(0, 2, 3, 1).numpy()


def _judging(made: SyntheticDataset) -> Sheet:
    """How accuracies of the table came about, above all whose they are."""
    facts = made.protocol.words(made)
    return Sheet(
        "How sets are judged",
        ("", "learned images"),
        list(facts.items()),
        "Fresh networks learn from a set alone.",
    )
