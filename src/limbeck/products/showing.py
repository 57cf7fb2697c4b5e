"""Showing: the images of a set, how they came about and are judged, for the report of a run."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from limbeck.evaluate.synthetic_sets import SELECTED
from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.exhibits import Sheet, write_exhibits
from limbeck.run.galleries import evolution, wall
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


def _judging(made: SyntheticDataset) -> Sheet:
    """How accuracies of the table came about, above all whose they are."""
    protocol, images = made.protocol, len(made.images)
    rate = protocol.lr if made.step_size is None else made.step_size
    facts = {
        "networks": f"{protocol.repeats} of {', '.join([protocol.network, *protocol.others])}",
        "steps": f"{protocol.steps_for(images):,} of {min(protocol.batch_size, images)} images",
        "learning rate": f"{rate:.4g}" + ("" if made.step_size is None else ", learned"),
        "augmentation": protocol.augmentation,
        "accuracy": f"on the test split, of the {SELECTED[protocol.selection]}",
    }
    return Sheet(
        "How sets are judged",
        ("", "learned images"),
        list(facts.items()),
        "Fresh networks learn from a set alone; real images have the protocol's learning rate "
        f"{protocol.lr:g}.",
    )
