"""Synthetic dataset: a few learnt images that stand for a whole training set."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import files
from limbeck.data.data import Data
from limbeck.data.prepared import Pixels, Prepared, in_units, prepared
from limbeck.data.space import InputSpace
from limbeck.data.splits import Subset, TensorSplit
from limbeck.errors import ModelError
from limbeck.evaluate.protocol import Judging, Protocol
from limbeck.evaluate.recipe import Recipe, Relabelled
from limbeck.evaluate.synthetic_sets import Judged, judge
from limbeck.evaluate.table import ROLES, teacher_rows
from limbeck.labels.store import LabelStore, Replayed
from limbeck.products.described import Described
from limbeck.products.fitting import check_images, check_set
from limbeck.run.run import Run

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset

    from limbeck.functional.whitening import Zca
    from limbeck.products.model_card import Origin

TASK = "classification"


class SyntheticDataset(Described):
    """Images to train on, with their labels and the transform of the space they live in.

    Args:
        images: ``(N, C, H, W)`` as networks read them, normalised by `space` or whitened; or as
            bytes, uint8, 0 and 255 standing for the ends of the space's range.
        labels: class indices ``(N,)``.
        space: of the original images, before whitening.
        classes: names of the K classes.
        label_logits: soft labels ``(N, K)``, whose softmax gives the probabilities; None where
            the labels are hard or replayed.
        replayed: labels of the batches in which the images are shown, or None.
        step_size: the learning rate that was learnt with the images, or None.
        zca: the whitening of values from 0 to 1 that the images came through, or None for
            normalisation.
        protocol: how the set is judged: a `Protocol`, with replayed labels a `Recipe`.
        name: what to call the set.

    Raises:
        ArgumentError: shapes do not belong together, labels lie outside the classes, or images
            hold NaN.

    Example:
        >>> space = InputSpace((8, 8), channels=1, mean=(0.5,), std=(0.25,))
        >>> small = SyntheticDataset(torch.zeros(2, 1, 8, 8), torch.arange(2), space, ("a", "b"))
        >>> small.pictures().shape, int(small.pictures().max())
        ((2, 8, 8, 1), 128)
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        space: InputSpace,
        classes: tuple[str, ...],
        *,
        label_logits: Tensor | None = None,
        replayed: LabelStore | None = None,
        step_size: float | None = None,
        zca: Zca | None = None,
        protocol: Judging | None = None,
        name: str = "synthetic",
    ) -> None:
        self.images = _images(images)
        self.labels = labels.detach().cpu().long()
        self.label_logits = None if label_logits is None else label_logits.detach().cpu().float()
        self.space, self.classes, self.zca, self.name = space, tuple(classes), zca, name
        self.step_size, self.replayed = None if step_size is None else float(step_size), replayed
        self.protocol: Judging = protocol or (Protocol() if replayed is None else Recipe())
        check_set(self)

    @property
    def eight_bit(self) -> bool:
        """Whether images are kept as bytes."""
        return self.images.dtype == torch.uint8

    def pixels(self) -> Tensor:
        """The images in the value range of the space, as people see them, not clipped.

        Returns:
            ``(N, C, H, W)``.
        """
        low, high = self.space.range
        if self.eight_bit:
            return low + (high - low) * (self.images.float() / 255)
        if self.zca is None:
            return self.space.denormalise(self.images)
        return low + (high - low) * self.zca.restore(self.images)

    def pictures(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The images as bytes, clipped to the value range, channels last.

        Returns:
            uint8 ``(N, H, W, C)``.
        """
        if self.eight_bit:
            return self.images.permute(0, 2, 3, 1).numpy()
        plain = dataclasses.replace(self.space, mean=(), std=())
        return plain.to_bytes(self.pixels()).permute(0, 2, 3, 1).numpy()

    def clipped(self) -> float:
        """The share of pixel values outside the value range, which `pictures` cuts off."""
        low, high = self.space.range
        pixels, slack = self.pixels(), (high - low) / 510
        return float(((pixels < low - slack) | (pixels > high + slack)).double().mean())

    def with_images(self, images: Tensor) -> SyntheticDataset:
        """The same set with other images ``(N, C, H, W)``."""
        again = copy.copy(self)
        again.images = _images(images)
        check_set(again)
        return again

    def as_torch(self) -> TensorDataset:
        """A torch data set of ``(x, y)``, or of ``(x, y, label_logits)`` where labels are soft."""
        from torch.utils.data import TensorDataset

        return TensorDataset(*self._columns().values())

    def as_data(self, real: Data) -> Data:
        """Data to train on this set and to choose and report on the real one.

        Args:
            real: the original data, as fractions or bytes; its validation and test images are
                brought into the space that the synthetic images live in, its training images are
                left out. What `ready` gave is taken as it is.

        Returns:
            Data whose `train` has the columns ``x``, ``y`` and, where labels are soft,
            ``label_logits``; its input space normalises no further.

        Raises:
            ModelError: the data has another task, other classes, or images of another shape or
                value range.
        """
        if self.replayed is not None:
            check_images(real, self, TASK)
            return self._as_relabelled(real)
        ready = self.ready(real)
        assert ready.input_space is not None
        columns = self._columns()
        seen = float(columns["x"].min()), float(columns["x"].max())
        return dataclasses.replace(
            ready,
            train=TensorSplit(columns),
            input_space=dataclasses.replace(ready.input_space, range=seen),
            name=self.name,
        )

    def ready(self, real: Data) -> Prepared:
        """Real validation and test images in the space of this set, for all sets that share it.

        Args:
            real: as `as_data` has it.

        Raises:
            ModelError: as `as_data`.
        """
        own = Pixels(self.space, self.zca)
        check_images(real, self, TASK)
        if isinstance(real, Prepared) and real.pixels.same(own):
            return real
        # The large part of the data is not needed, and one image costs nothing to bring along.
        few = dataclasses.replace(real, train=Subset(real.validation, np.arange(1)), rest=None)
        return prepared(few, own)

    def _as_relabelled(self, real: Data) -> Relabelled:
        """The bytes with their replayed labels beside the real data, which the space normalises."""
        given = {one.name: getattr(real, one.name) for one in dataclasses.fields(Data)} | {
            "train": TensorSplit({"x": self.images, "y": self.labels}),
            "input_space": in_units(self.space, real),
            "rest": None,
            "name": self.name,
        }
        return Relabelled(**given, labels=self.replayed, space=self.space)

    def replay(self, **expected: Any) -> Replayed:
        """Batches with their labels for a loop of yours; `batch_size` and `seed` are checked.

        Raises:
            ModelError: the labels are not replayed.
            ArgumentError: the labels were made for another batch size or seed.
        """
        if self.replayed is None:
            raise ModelError(f"{self.name} has no replayed labels; as_torch() gives its samples")
        return self.replayed.replay(self.images, self.labels, self.space, **expected)

    def _columns(self) -> dict[str, Tensor]:
        soft = {} if self.label_logits is None else {"label_logits": self.label_logits}
        x = self.space.of_bytes(self.images) if self.eight_bit else self.images
        return {"x": x, "y": self.labels, **soft}

    def bytes(self) -> dict[str, int]:
        """What the set costs to store and to send.

        Returns:
            Bytes of ``images`` and ``labels``; of ``transform``, which others need to prepare real
            images; and the ``total``.

        Example:
            >>> space = InputSpace((8, 8), channels=1, mean=(0.5,), std=(0.25,))
            >>> SyntheticDataset(torch.zeros(2, 1, 8, 8), torch.zeros(2), space, ("a",)).bytes()
            {'images': 512, 'labels': 16, 'transform': 8, 'total': 536}
        """
        tensors = self.tensors()
        transform = Pixels(self.space, self.zca).bytes
        labels = sum(tensors[name].nbytes for name in tensors if name.startswith("label"))
        labels += self.replayed.bytes if self.replayed else 0
        images = tensors["images"].nbytes
        total = images + labels + transform
        return {"images": images, "labels": labels, "transform": transform, "total": total}

    def predict(self, x: Any = None) -> NoReturn:
        """Raise `ModelError`: this product is data, and the error says how to train on it."""
        raise ModelError(
            f"{self.name} is a synthetic dataset: it holds data and predicts nothing; train a "
            "network on it: as_data(real) gives the data for a student of limbeck, as_torch() the "
            "samples for a loop of your own"
        )

    def judged(
        self,
        data: Data,
        run: Run | None = None,
        network: nn.Module | None = None,
        *,
        name: str | None = None,
    ) -> Judged:
        """Train fresh networks on the set, as its protocol says, and test them on real samples.

        Args:
            data: its test split is what they are tested on.
            run: where networks that are done are kept; None keeps none.
            network: the architecture, where the protocol's name stands for an object.
            name: of the set in the table, its own by default.

        Raises:
            ModelError: the data has other classes, or images of another shape.
        """
        seen, called = self.as_data(data), name or self.name
        with _kept(run) as run:
            return judge(run, called, seen, self.protocol, lr=self.step_size, network=network)

    def evaluate(self, data: Data) -> dict[str, float]:
        """Quality of networks trained on this set, on the test split of some data."""
        return self.measure(data)["quality"]

    def measure(self, data: Data) -> dict[str, Any]:
        """A row of quality beside cost: networks trained on this set, tested on some data."""
        return self.judged(data).rows()[0]

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, SyntheticDataset],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this set and of those it is compared with, and no diagnostics.

        Args:
            run: where trained networks are kept.
            name: of this set's row.
            baselines: other sets, by name; the first is the baseline, the others are references.
            inputs: of the method: ``data``; ``network`` where it is an object; ``teacher`` where
                there are some, which have rows of their own.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        roles = [*ROLES[:2], *["reference"] * len(baselines)]
        rows: list[dict[str, Any]] = []
        data = inputs["data"] if self.replayed is not None else self.ready(inputs["data"])
        for role, (label, one) in zip(roles, {name: self, **baselines}.items(), strict=False):
            found = one.judged(data, run, inputs.get("network"), name=label)
            rows += found.rows(role)
        if "teacher" in inputs:
            rows += teacher_rows(inputs["teacher"], inputs["data"])
        return rows, {}

    def summary(self) -> str:
        """One line about the set."""
        counts = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        fewest, most = min(counts), max(counts)
        each = f"{most}" if fewest == most else f"{fewest} to {most}"
        given = "hard" if self.label_logits is None else "soft"
        soft = "replayed" if self.replayed else given
        rate = "" if self.step_size is None else f", learning rate {self.step_size:.4g}"
        space = "normalised" if self.zca is None else "ZCA-whitened"
        space = "eight bits" if self.eight_bit else space
        size = " x ".join(map(str, self.space.shape))
        return (
            f"{self.name}: {len(self.images):,} images of {size}, {each} a class, {soft} labels"
            f"{rate}, {space}; {self.bytes()['total']:,} bytes"
        )

    def write(self, part: Path) -> None:
        """Put the set's files into a folder that `limbeck.files.new_folder` makes whole."""
        from limbeck.products.set_files import write_set

        write_set(self, part)

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name: images, labels and the whitening where there is one."""
        tensors = {"images": self.images, "labels": self.labels}
        if self.label_logits is not None:
            tensors["label_logits"] = self.label_logits
        if self.zca is not None:
            names = ("mean", "vectors", "values")
            tensors |= {f"zca.{name}": getattr(self.zca, name) for name in names}
        return tensors

    def save(self, dir: str | Path) -> None:
        """Write the set so that the same set makes the same bytes.

        Args:
            dir: the folder; an older one there is replaced.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    @classmethod
    def load(cls, dir: str | Path) -> SyntheticDataset:
        """Read what `save` wrote.

        Raises:
            CorruptFileError: a file is missing or was altered.
        """
        from limbeck.products.set_files import read_set

        return read_set(Path(dir))

    def export(self, dir: str | Path, *, to: str, origin: Origin | None = None) -> dict[str, Any]:
        """Write the set in a form that other programs read, beside a file that explains it.

        ``dataset.json`` holds classes, shapes, the value range, the transform and the learnt
        learning rate. Pictures are as people see them, eight bits a value.

        Args:
            dir: the folder; an earlier export of the same set is replaced.
            to: ``"folder"`` (a sub-folder of PNG files a class, and ``labels.csv``), ``"hf"`` (a
                folder that ``datasets.load_dataset`` reads, with a card), or ``"safetensors"``
                (the exact numbers, which `limbeck.load` reads).
            origin: the run that the set comes from, for its card.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``.

        Raises:
            ArgumentError: the format is unknown, or the images are no pictures.
            RunError: the folder holds something else or cannot be written.

        Example:
            >>> import tempfile
            >>> space = InputSpace((8, 8), channels=1)
            >>> small = SyntheticDataset(torch.zeros(1, 1, 8, 8), torch.zeros(1), space, ("a",))
            >>> small.export(tempfile.mkdtemp(), to="folder")["files"]
            ['a/0.png', 'dataset.json', 'labels.csv', 'manifest.json']
        """
        # Here, because the exporters read what this module defines.
        from limbeck.products.dataset_exporting import export

        return export(self, dir, to=to, origin=origin)


def _images(images: Tensor) -> Tensor:
    """Images as a set keeps them: bytes as they are, all others as float32."""
    images = images.detach().cpu()
    return images if images.dtype == torch.uint8 else images.float()


@contextmanager
def _kept(run: Run | None) -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        yield run or Run(folder)
