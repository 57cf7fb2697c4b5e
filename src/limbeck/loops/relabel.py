"""Relabel: teachers asked about every batch in which a small set will be shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.features import evaluating, on_device
from limbeck.fingerprint import fingerprint
from limbeck.functional.pools import mean_logits
from limbeck.functional.soft_labels import Rest
from limbeck.labels.kept import Kept, Kind
from limbeck.labels.store import LabelStore, labelled
from limbeck.labels.views import LabelViews
from limbeck.networks.batch_norm import batch_statistics
from limbeck.run.run import Run
from limbeck.settings import settings

FOLDER = "labels"


@settings
class Relabelling:
    """How a small set is labelled.

    Args:
        views: how the set is shown.
        batch_statistics: teachers normalise by the statistics of what they see instead of their
            running ones; those stay as they are.
        pieces: with batch statistics, into how many parts a batch is cut, each seen on its own, as
            a student with so many accumulation steps sees it.
        store: ``"logits"``, or ``"top32"`` for the 32 most likely classes (any number).
        store_dtype: of the kept numbers.
        store_rest: with ``"top32"``, what becomes of the other classes.

    Source: Yin, Xing and Shen, arXiv 2306.13092 (SRe2L); batch statistics of arXiv 2501.07575
    (CV-DD).
    """

    views: LabelViews = LabelViews()
    batch_statistics: bool = False
    pieces: Annotated[int, Field(ge=1)] = 1
    store: Annotated[str, Field(pattern=r"^(logits|top[1-9][0-9]*)$")] = "logits"
    store_dtype: Kind = "float16"
    store_rest: Rest = "uniform"

    def check(self, images: int) -> None:
        """Raise `ArgumentError` where a part of a batch of so many images would be a single one."""
        size = self.views.size_for(images)
        if self.batch_statistics and size // self.pieces < 2:
            raise ArgumentError(
                f"batches of {size} images are cut into {self.pieces} parts and teachers "
                "normalise by the statistics of each, which a single image has not; raise "
                "views.batch_size or images_per_class, lower pieces, or set batch_statistics to "
                "false"
            )

    @property
    def kept(self) -> Kept:
        """How logits are stored."""
        return Kept(self.store, self.store_dtype, self.store_rest)


def relabelled(
    run: Run,
    name: str,
    pictures: Tensor,
    labels: Tensor,
    space: InputSpace,
    classes: int,
    networks: Sequence[nn.Module],
    weights: Sequence[float] | None,
    relabelling: Relabelling,
) -> LabelStore:
    """Ask networks about every batch of a set, or take what an earlier try has asked.

    Args:
        run: labels lie in its folder ``labels``.
        name: what to call the labels in the progress display, such as ``"labels of cda"``.
        pictures: the set as bytes ``(N, C, H, W)``.
        labels: class indices ``(N,)``.
        space: of the images.
        classes: K.
        networks: in evaluation mode; none for hard labels, mixed as the images are.
        weights: of the networks' logits, None for equal ones.
        relabelling: how.

    Returns:
        The labels.

    Raises:
        ArgumentError: with batch statistics, a part of a batch would be a single image.
        RunError: the disk has no room for them.
    """
    if networks:
        relabelling.check(len(pictures))
    kept = relabelling.kept if networks else None
    ways = [relabelling.batch_statistics and relabelling.pieces, list(weights or ())]
    word = fingerprint(list(networks), ways) if networks else ""
    about = labelled(
        pictures, labels, space, classes, relabelling.views, seed=run.seed, kept=kept, teacher=word
    )
    folder = run.dir / FOLDER / fingerprint(about)
    store = LabelStore(folder, about)
    # What a rehearsal wrote for another set of the same images is not there in a run.
    needed = store.bytes if run.trying else store.missing
    device = run.engine.device
    shares = None if weights is None else torch.tensor(weights, device=device)
    pieces = relabelling.pieces if relabelling.batch_statistics else 1

    def ask(x: Tensor) -> Tensor:
        return batch_logits(networks, x, space, shares, pieces=pieces)

    with ExitStack() as stack:
        steps = stack.enter_context(run.keeping(name, about.steps, needed, folder))
        shown = stack.enter_context(run.progress(name, steps))
        stack.enter_context(on_device(device, *networks))
        stack.enter_context(evaluating(*networks))
        if relabelling.batch_statistics:
            stack.enter_context(batch_statistics(*networks))
        store = LabelStore(folder, about, steps)
        told = ask if networks else None
        store.fill(pictures, space, told, shown.advance, device=device)
    return store


@torch.no_grad()
def batch_logits(
    networks: Sequence[nn.Module],
    x: Tensor,
    space: InputSpace | None = None,
    weights: Tensor | None = None,
    *,
    pieces: int = 1,
) -> Tensor:
    """Weighted mean of networks' logits for a batch, each part of which they see on its own.

    Args:
        networks: each gives logits; their modes stay as they are.
        x: images ``(B, C, H, W)``.
        space: of the images.
        weights: one a network, or None for equal ones.
        pieces: how many parts.

    Returns:
        Logits ``(B, K)``.

    Example:
        >>> double = nn.Linear(2, 2, bias=False)
        >>> _ = nn.init.constant_(double.weight, 1.0)
        >>> batch_logits([double, double], torch.ones(3, 2), pieces=2).shape
        torch.Size([3, 2])
    """
    parts = Batch({"x": x}, space=space).pieces(pieces)
    said = [
        torch.cat([reading.of(network, part).read("logits") for part in parts])
        for network in networks
    ]
    return mean_logits(torch.stack(said), weights)
