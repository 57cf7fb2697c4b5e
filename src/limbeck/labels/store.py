"""Label store: what teachers said about every batch that a small set is shown in, on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck import files, keyed
from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint
from limbeck.labels.kept import Kept
from limbeck.labels.shards import Places, Shards
from limbeck.labels.views import STAGE, LabelViews, Replay
from limbeck.plain import to_plain

if TYPE_CHECKING:
    from limbeck.data.space import InputSpace

FACTS = "labels.json"
# Batches labelled before they are put into one block of a shard.
TOGETHER = 16
LOGITS, CLASSES = "teacher_logits", "label_probabilities"
# From images as networks read them to logits.
Ask = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Labelled:
    """What a label store is about.

    Args:
        views: how the set is shown.
        images: N, how many it has.
        size: H and W of the images.
        classes: C.
        seed: of the draws.
        content: short name of the images, of their labels, and of their space.
        kept: how logits are stored; None stores none: hard labels, mixed as the images are.
        teacher: short name of what is asked; empty where nothing is.
    """

    views: LabelViews
    images: int
    size: tuple[int, int]
    classes: int
    seed: int
    content: str
    kept: Kept | None = None
    teacher: str = ""

    @property
    def steps(self) -> int:
        """How many batches are stored."""
        return self.views.steps_for(self.images)

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return self.views.size_for(self.images)

    def draw(self, step: int) -> Replay:
        """What is drawn for a batch."""
        return self.views.draw(step, self._order, self.size, self.seed)

    @cached_property
    def _order(self) -> Any:
        return self.views.order(self.images, self.seed)

    @cached_property
    def step_bytes(self) -> dict[str, int]:
        """What a batch takes: of ``draws`` and of ``logits``."""
        draws = sum(one.nbytes for one in self.draw(0).columns().values())
        kept = self.written(torch.zeros(self.batch_size, self.classes))
        return {"draws": draws, "logits": sum(one.nbytes for one in kept.values())}

    def written(self, logits: Tensor) -> dict[str, Tensor]:
        """What is stored of a batch's logits ``(B, C)``."""
        return {} if self.kept is None else self.kept.write(logits, "what labels the set")

    @property
    def bytes(self) -> dict[str, int]:
        """What all batches take on disk, found before the first is made."""
        return {name: self.steps * size for name, size in self.step_bytes.items()}


class LabelStore:
    """Soft labels of augmented, mixed batches, with the draws that rebuild each batch.

    A student that learns from them sees the very images that the teacher was asked about. The
    composition of batches is part of it: another batch size or seed would show other images.

    Args:
        folder: where the labels lie, or will lie.
        about: what they are about.
        made: how many batches are made, where that is not all: in a rehearsal a few stand for all.

    Example:
        >>> import tempfile
        >>> from limbeck.data import InputSpace
        >>> pictures, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4)
        >>> space, views = InputSpace((8, 8), channels=1), LabelViews(steps=3, batch_size=2)
        >>> about = labelled(pictures, labels, space, 4, views, seed=0, kept=Kept(), teacher="one")
        >>> store = LabelStore(Path(tempfile.mkdtemp()), about)
        >>> store.fill(pictures, space, lambda x: torch.ones(len(x), 4))
        >>> store.replay(pictures, labels, space).batch(2)["teacher_logits"].shape
        torch.Size([2, 4])

    Source: Shen and Xing, arXiv 2112.01528 (FKD).
    """

    def __init__(self, folder: Path, about: Labelled, made: int | None = None) -> None:
        self.folder, self.about = Path(folder), about
        size = sum(about.step_bytes.values())
        self._made = made or about.steps
        self._rows = Shards(self.folder, self._made, size, TOGETHER)

    @cached_property
    def fingerprint(self) -> str:
        """Short name of what the labels are about."""
        return fingerprint(self.about)

    @property
    def bytes(self) -> int:
        """What they take on disk."""
        return sum(self.about.bytes.values())

    @property
    def missing(self) -> int:
        """How much of that is not there yet."""
        return max(0, self.bytes - self._rows.bytes)

    @property
    def soft(self) -> bool:
        """Whether a teacher was asked."""
        return self.about.kept is not None

    @torch.no_grad()
    def fill(
        self,
        pictures: Tensor,
        space: InputSpace,
        ask: Ask | None,
        done: Callable[[int], None] = lambda steps: None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        """Ask about every batch that is not labelled yet; whole files of an earlier try stay.

        Args:
            pictures: the set as bytes ``(N, C, H, W)``.
            space: of the images.
            ask: what labels a batch; None for hard labels.
            done: told how many more batches are labelled.
            device: where the teacher computes.

        Raises:
            ModelError: logits are not finite, or half precision cannot hold them.
            RunError: the disk is full; what is labelled stays.
        """

        def make(steps: Places) -> dict[str, Tensor]:
            rows: dict[str, list[Tensor]] = {}
            for step in steps.tolist():
                replay = self.about.draw(step)
                columns = replay.columns()
                if ask is not None:
                    said = ask(replay.show(pictures, space, device))
                    columns |= self.about.written(said.float().cpu())
                for name, value in columns.items():
                    rows.setdefault(name, []).append(value)
                done(1)
            return {name: torch.stack(values) for name, values in rows.items()}

        files.write_json(self.folder / FACTS, to_plain(self.about))
        self._rows.fill(make)

    def replay(
        self,
        pictures: Tensor,
        labels: Tensor,
        space: InputSpace,
        *,
        batch_size: int | None = None,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Replayed:
        """The stored batches as a loop takes them.

        Args:
            pictures: the set that was labelled, as bytes ``(N, C, H, W)``.
            labels: class indices ``(N,)``.
            space: of the images.
            batch_size: that the caller expects; None takes what is stored.
            seed: likewise.
            device: where batches are put together.

        Raises:
            ArgumentError: the labels are about other images, or about batches of another size or
                seed.
            CorruptFileError: a file is missing or was altered.
        """
        about = self.about
        for name, given, own in (
            ("batch_size", batch_size, about.batch_size),
            ("seed", seed, about.seed),
        ):
            if given is not None and given != own:
                raise ArgumentError(
                    f"{name} is {given} and the labels were made for {own}: each is about the "
                    f"images of its batch; use {name}={own}, or make the labels anew"
                )
        if _content(pictures, labels, space) != about.content:
            raise ArgumentError(
                f"the labels are about other images than these {len(pictures)}; label these, or "
                "take the images that the labels came with"
            )
        self._rows.open()
        return Replayed(self._rows, self._made, about, pictures, labels, space, device)

    def copy(self, folder: Path) -> None:
        """Put the labels into another folder, without a second copy where the disk is the same."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (self.folder / FACTS, *self._rows.paths):
            files.link(file, folder / file.name)

    @classmethod
    def load(cls, folder: Path) -> LabelStore:
        """The labels in a folder.

        Raises:
            RunError: the folder holds none.
            CorruptFileError: what they are about does not read.
        """
        facts = files.read_json(folder / FACTS)
        kept = Kept(**facts.pop("kept")) if "kept" in facts else None
        views, size = LabelViews(**facts.pop("views")), tuple(facts.pop("size"))
        return cls(folder, Labelled(views=views, size=size, kept=kept, **facts))


class Replayed:
    """Stored batches as `alternate` takes them. Made by `LabelStore.replay`.

    A batch has the images as they were shown in ``"x"``, and ``"teacher_logits"``, or where labels
    are hard ``"label_probabilities"``.
    """

    def __init__(
        self,
        rows: Shards,
        made: int,
        about: Labelled,
        pictures: Tensor,
        labels: Tensor,
        space: InputSpace,
        device: torch.device | str,
    ) -> None:
        self._rows, self._made, self._about = rows, made, about
        self._pictures, self._labels, self._space = pictures, labels, space
        self._device = device
        self.batch_size, self.steps = about.batch_size, about.steps

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        if not 0 <= step < self.steps:
            raise ArgumentError(
                f"step is {step} and labels are stored for steps 0 to {self.steps - 1}; make "
                "labels for more epochs"
            )
        about = self._about
        here = np.array([step % self._made])
        columns = {name: one[0] for name, one in self._rows.take(here).items()}
        replay = Replay.of_columns(columns)
        if about.kept is None:
            told = {CLASSES: replay.classes(self._labels, about.classes, about.size)}
        else:
            told = {LOGITS: about.kept.read(columns, about.classes)}
        shown = {"id": replay.rows, "y": self._labels[replay.rows], **told}
        x = replay.show(self._pictures, self._space, self._device)
        moved = {name: one.to(x.device) for name, one in shown.items()}
        return Batch({"x": x, **moved}, key=keyed.key(about.seed, STAGE, step), space=self._space)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start to stop - 1."""
        yield from map(self.batch, range(start, stop))


def labelled(
    pictures: Tensor,
    labels: Tensor,
    space: InputSpace,
    classes: int,
    views: LabelViews,
    *,
    seed: int,
    kept: Kept | None = None,
    teacher: str = "",
) -> Labelled:
    """Say what the labels of a set will be about.

    Args:
        pictures: the set as bytes ``(N, C, H, W)``.
        labels: class indices ``(N,)``.
        space: of the images.
        classes: C.
        views: how the set is shown.
        seed: of the draws.
        kept: how logits are stored, or None for hard labels.
        teacher: short name of what is asked.

    Raises:
        ArgumentError: the images are no bytes.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4:
        raise ArgumentError(
            f"pictures have dtype {pictures.dtype} and shape {tuple(pictures.shape)}, expected "
            "uint8 (N, C, H, W): labels are about images as they are stored"
        )
    size = (pictures.shape[2], pictures.shape[3])
    content = _content(pictures, labels, space)
    return Labelled(views, len(pictures), size, classes, seed, content, kept, teacher)


def _content(pictures: Tensor, labels: Tensor, space: InputSpace) -> str:
    return fingerprint(pictures, labels, dataclasses.asdict(space))
