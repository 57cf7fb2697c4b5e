"""Showing: the images of a synthetic set, and how they came about, for the report of a run."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.run.exhibits import write_exhibits
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
    write_exhibits(run.dir, galleries=galleries)
