"""Labels for force fields: frames sampled by a label source and told by it, in stages."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import Tensor

from limbeck import keyed
from limbeck.data.atoms import to_atoms
from limbeck.data.force_data import TEST_SHARE, VALIDATION_SHARE
from limbeck.data.frames import Frames, join
from limbeck.data.labelling import Source, label_source, told_by
from limbeck.errors import DataError, UnusualUseWarning
from limbeck.loops.force_frames import Places, Sampling, frames_from, tensors_of
from limbeck.run.run import Run

# Frames that are labelled in one job where none are sampled: a stop costs no more than these.
TOGETHER = 32
# Of fewer starts a split by starts would leave a split empty.
LEAST_STARTS = 10


def labelled_frames(
    run: Run,
    frames: Frames,
    source: Any,
    sampling: Sampling | None = None,
    *,
    word: str = "labels",
) -> tuple[Frames, Places]:
    """Label frames in jobs that go on after a stop, those of dynamics from them where asked for.

    Args:
        run: each job has a run folder of its own below its ``jobs``.
        frames: what is labelled, or what dynamics start from.
        source: as `label_source` takes it; it drives the dynamics too.
        sampling: its temperature, time step, `cluster_picoseconds` of each start, and how often a
            frame is kept; None labels the frames themselves.
        word: names the jobs.

    Returns:
        The frames that the source has labels for, and the place in `frames` that each comes from
        ``(N,)``; a warning counts those without.

    Raises:
        DataError: the source has labels for no frame, or is unknown.
    """
    chosen = label_source(source)
    places = np.arange(len(frames))
    if sampling is None:
        starts = [places[low : low + TOGETHER] for low in range(0, len(places), TOGETHER)]
    else:
        starts = [places[low : low + 1] for low in places]
    jobs = [
        (frames.take(start).without_labels(), chosen, sampling, number, word)
        for number, start in enumerate(starts)
    ]
    names = [f"{word}-{number}" for number in range(len(jobs))]
    run.executor.runs(_told, names, jobs, "labels")
    parts, origin, asked = [], [], 0
    for name, job, start in zip(names, jobs, starts, strict=True):
        found = dict(_stage(run.executor.part(name), *job))
        kept = found.pop("kept").numpy()
        # A rehearsal has for every job what the first one gave.
        kept = kept[kept < len(start)] if run.trying else kept
        asked += int(found.pop("asked"))
        if len(kept):
            parts.append(frames_from(found))
            origin.append(start[kept] if sampling is None else np.repeat(start, len(kept)))
    given = sum(map(len, parts))
    if not given:
        raise DataError(
            f"{chosen.name} has labels for none of {asked} frames; look at one of them: "
            "limbeck.data.labelled(frames.take([0]), source) tells what it says"
        )
    if given < asked:
        warnings.warn(
            f"{chosen.name} has no labels for {asked - given} of {asked} frames, which are left "
            "out",
            UnusualUseWarning,
            stacklevel=2,
        )
    return join(parts), np.concatenate(origin)


def splits_of(origin: Places, seed: int) -> list[str]:
    """Names of the splits of frames: those of one start are of one split.

    Of fewer than ten starts the last frames of each are for test and those before them for
    validation: neighbours in time are as good as the same frame.

    Args:
        origin: the start that each frame comes from ``(N,)``, ascending.
        seed: of the draw.

    Returns:
        ``"train"``, ``"valid"`` or ``"test"`` of each frame.

    Example:
        >>> splits_of(np.zeros(10, int), 0)[-4:]
        ['train', 'valid', 'test', 'test']
    """
    groups = np.unique(origin, return_inverse=True)[1]
    count = int(groups.max()) + 1
    if count >= LEAST_STARTS:
        order = keyed.permutation(keyed.key(seed, "splits"), count)
        named = _shared(count)
        return [named[place] for place in np.argsort(order)[groups]]
    return [name for group in range(count) for name in _shared(int((groups == group).sum()))]


def _shared(count: int) -> list[str]:
    """Names of so many in a row: the first learn, the last are for test."""
    test, valid = round(TEST_SHARE * count), round(VALIDATION_SHARE * count)
    return ["train"] * (count - test - valid) + ["valid"] * valid + ["test"] * test


def _told(run: Run, *job: Any) -> None:
    _stage(run, *job)


def _stage(
    run: Run, start: Frames, source: Source, sampling: Sampling | None, number: int, word: str
) -> dict[str, Tensor]:
    def told(
        start: Frames, source: Source, sampling: Sampling | None, number: int
    ) -> dict[str, Any]:
        import torch

        bare = start if sampling is None else _moved(run, start, source, sampling, number)
        found, failed = told_by(bare, source)
        kept = [place for place in range(len(bare)) if place not in failed]
        return {
            **({} if found is None else tensors_of(found)),
            "kept": torch.tensor(kept, dtype=torch.int64),
            "asked": torch.tensor(len(bare)),
        }

    return run.stage(word, told, start=start, source=source, sampling=sampling, number=number)


def _moved(run: Run, start: Frames, source: Source, sampling: Sampling, number: int) -> Frames:
    """Frames of dynamics that the source drives, the start first."""
    from limbeck.bridges.ase import simulate

    (atoms,) = to_atoms(start)
    path = simulate(
        atoms,
        source.calculator(float(start.charge[0])),
        temperature=sampling.temperature,
        timestep=sampling.timestep,
        steps=sampling.steps(sampling.cluster_picoseconds),
        every=max(sampling.steps(sampling.every), 1),
        seed=keyed.key(run.seed, "labels", number) % 2**31,
        out=run.dir / "dynamics",
    )
    frames = path.frames.without_labels()
    return frames.replace(charge=np.repeat(start.charge, len(frames)))
