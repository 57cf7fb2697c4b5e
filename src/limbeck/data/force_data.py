"""Data of force fields: labelled frames in three splits, and boxes that dynamics start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from limbeck import keyed
from limbeck.data.elements import symbols
from limbeck.data.frames import Frames, Integers
from limbeck.errors import DataError
from limbeck.fingerprint import fingerprint

SPLITS = ("train", "validation", "test")
NEEDED = ("energy", "forces")
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class ForceData:
    """Labelled frames, ready for methods that fit force fields.

    Tables report `test`; every choice made on the way uses `validation`.

    Args:
        train: frames to learn from.
        validation: frames that choices are made on.
        test: frames that tables report.
        name: what to call the data set.
        liquid: periodic frames that dynamics start from, if there are any; their labels, if they
            have some, are not learned from.
        free_atoms: energies in eV of the free atoms that were taken off, by atomic number.

    Raises:
        DataError: a split is empty or has no energies or forces, or the liquid does not repeat.

    Example:
        >>> water = Frames(
        ...     [8, 1], [[0, 0, 0.0], [1, 0, 0]], [2], energy=[-90.0], forces=np.zeros((2, 3))
        ... )
        >>> ForceData(water, water, water)
        ForceData('data', train=1, validation=1, test=1, elements=H O)
    """

    train: Frames
    validation: Frames
    test: Frames
    name: str = "data"
    liquid: Frames | None = None
    free_atoms: tuple[tuple[int, float], ...] = ()

    task: ClassVar[str] = "forces"

    def __post_init__(self) -> None:
        for name in SPLITS:
            split = getattr(self, name)
            missing = [label for label in NEEDED if getattr(split, label) is None]
            if not len(split) or missing:
                state = f"no {' and no '.join(missing)}" if missing else "no frames"
                raise DataError(
                    f"{self.name}: the {name} split has {state}; label frames with energies and "
                    "forces first, as limbeck.data.labelling.labelled does"
                )
        if self.liquid is not None and not self.liquid.periodic.all():
            place = int(np.argmin(self.liquid.periodic))
            raise DataError(f"{self.name}: frame {place} of the liquid is not periodic")

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur anywhere, sorted."""
        sets = [getattr(self, name) for name in SPLITS] + [self.liquid]
        return tuple(sorted({number for one in sets if one is not None for number in one.elements}))

    @cached_property
    def fingerprint(self) -> str:
        """Short name of the content of all splits and the liquid."""
        return fingerprint(self.train, self.validation, self.test, self.liquid, self.free_atoms)

    def few(self, labels: int, *, seed: int = 0) -> ForceData:
        """Keep a number of training frames.

        Args:
            labels: how many.
            seed: which ones; the same number keeps the same frames.

        Raises:
            DataError: there are not that many.
        """
        return dataclasses.replace(self, train=self._some("train", labels, seed, "few"))

    def with_test(self, places: Sequence[int]) -> ForceData:
        """The data set with some of its test frames alone."""
        return dataclasses.replace(self, test=self.test.take(places))

    def part(self, frames: int, *, seed: int = 0) -> ForceData:
        """Keep a number of training frames, and the same share of the other splits.

        Args:
            frames: how many of the training split.
            seed: which ones; the same number keeps the same frames.

        Raises:
            DataError: there are not that many.
        """
        kept = {"train": self._some("train", frames, seed, "part")}
        for name in ("validation", "test"):
            count = max(round(frames * len(getattr(self, name)) / len(self.train)), 1)
            kept[name] = self._some(name, count, seed, "part", all_too=True)
        return dataclasses.replace(self, **kept)  # type: ignore[arg-type]

    def _some(self, split: str, count: int, seed: int, word: str, all_too: bool = False) -> Frames:
        frames: Frames = getattr(self, split)
        if not 1 <= count < len(frames) + all_too:
            raise DataError(
                f"{count} frames cannot be kept of the {len(frames)} of the {split} split of "
                f"{self.name}"
            )
        order = keyed.permutation(keyed.key(seed, word, split), len(frames))[:count]
        return frames.take(np.sort(order))

    def __repr__(self) -> str:
        sizes = {name: len(getattr(self, name)) for name in SPLITS}
        if self.liquid is not None:
            sizes["liquid"] = len(self.liquid)
        words = ", ".join(f"{name}={count}" for name, count in sizes.items())
        return f"ForceData({self.name!r}, {words}, elements={' '.join(symbols(self.elements))})"


def assemble_forces(
    train: Frames,
    *,
    validation: Frames | None = None,
    test: Frames | None = None,
    liquid: Frames | None = None,
    free_atoms: dict[int, float] | None = None,
    name: str = "data",
) -> ForceData:
    """Build a data set; splits that are missing are cut off the training frames.

    Args:
        train: labelled frames.
        validation: frames to choose on; None cuts a tenth of the training frames off.
        test: frames to report; None cuts a fifth of the training frames off, before that.
        liquid: periodic frames that dynamics start from.
        free_atoms: energies in eV that were taken off, by atomic number.
        name: what to call the data set.

    Returns:
        The data set. Which frames are cut depends on how many there are alone; frames of one
        trajectory resemble each other, so that splits of it are better given than cut.

    Raises:
        DataError: there are too few frames to cut, or as `ForceData`.
    """
    if test is None:
        train, test = cut(train, TEST_SHARE, "test", name)
    if validation is None:
        train, validation = cut(train, VALIDATION_SHARE, "validation", name)
    taken_off = tuple(sorted((free_atoms or {}).items()))
    return ForceData(train, validation, test, name, liquid, taken_off)


def cut(frames: Frames, share: float, split: str, name: str) -> tuple[Frames, Frames]:
    """What stays of frames, and a mixed share of them for a split."""
    order: Integers = keyed.permutation(keyed.key("frames", split, len(frames)), len(frames))
    count = max(round(share * len(frames)), 1)
    if count >= len(frames):
        raise DataError(
            f"{name}: {len(frames)} labelled frames are too few to cut a {split} split from"
        )
    return frames.take(np.sort(order[count:])), frames.take(np.sort(order[:count]))
