"""Frames without labels for a student of force fields: drawn by dynamics, labelled by teachers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.averaging import MeanOf
from limbeck.data.atoms import to_atoms
from limbeck.data.frames import PER_ATOM, PER_FRAME, Frames, join
from limbeck.errors import ArgumentError, RunError
from limbeck.features import device_of
from limbeck.loops.force_fields import shown
from limbeck.run.run import Run
from limbeck.settings import settings
from limbeck.teachers import ensemble, teacher

Places = npt.NDArray[np.int64]
# What members say of a frame, averaged.
SAID = MeanOf("energy", "forces", "extra.virial")


@settings
class Sampling:
    """How frames are drawn: by dynamics that each member drives at a temperature.

    Args:
        temperature: in K.
        timestep: in fs.
        ensemble: of boxes: ``"nvt"``, or ``"npt"`` at 1 atm, where boxes go to their own density.
        settling: ps at constant volume before constant pressure.
        picoseconds: of each periodic box, with each member.
        clusters: training frames that are simulated too, dealt to the members in turn.
        cluster_picoseconds: of each of these.
        every: ps from one frame that is kept to the next.
    """

    temperature: Annotated[float, Field(gt=0)] = 300.0
    timestep: Annotated[float, Field(gt=0)] = 0.5
    ensemble: Literal["nvt", "npt"] = "nvt"
    settling: Annotated[float, Field(ge=0)] = 1.0
    picoseconds: Annotated[float, Field(ge=0)] = 5000.0
    clusters: Annotated[int, Field(ge=0)] = 0
    cluster_picoseconds: Annotated[float, Field(ge=0)] = 1.0
    every: Annotated[float, Field(gt=0)] = 10.0

    def check(self, boxes: int, *, aligned: bool, name: str = "sampling") -> None:
        """Raise `ArgumentError` if these dynamics can give no frame, or none to align boxes on.

        Args:
            boxes: how many there are.
            aligned: whether the boxes are aligned to a density.
            name: of these settings.
        """
        spacing = max(self.steps(self.every), 1)
        of_boxes = boxes > 0 and self.steps(self.picoseconds) >= spacing
        of_clusters = self.clusters > 0 and self.steps(self.cluster_picoseconds) >= spacing
        if aligned and not of_boxes:
            raise ArgumentError(
                f"{name}.picoseconds is {self.picoseconds:g} and {name}.every {self.every:g}: "
                f"boxes give no frame to be aligned on; raise {name}.picoseconds"
            )
        if not (of_boxes or of_clusters):
            raise ArgumentError(
                f"nothing gives frames: there are {boxes} periodic boxes of "
                f"{self.picoseconds:g} ps and {name}.clusters is {self.clusters}, of "
                f"{self.cluster_picoseconds:g} ps, and a frame comes every {self.every:g} ps; give "
                f"a box (--liquid H2O?count=32), set {name}.clusters, or lower {name}.every"
            )

    def steps(self, picoseconds: float) -> int:
        """Steps of the dynamics in some picoseconds."""
        return round(1000 * picoseconds / self.timestep)


def tensors_of(frames: Frames) -> dict[str, Tensor]:
    """Frames as named tensors, to be stored."""
    arrays = {name: getattr(frames, name) for name in (*PER_ATOM, *PER_FRAME)}
    return {
        name: torch.from_numpy(array.copy()) for name, array in arrays.items() if array is not None
    }


def frames_from(tensors: dict[str, Tensor]) -> Frames:
    """What `tensors_of` was made from."""
    known = (*PER_ATOM, *PER_FRAME)
    return Frames(**{name: tensors[name].numpy() for name in known if name in tensors})


def drawn_frames(
    run: Run,
    members: Sequence[nn.Module],
    clusters: Frames,
    boxes: Frames | None,
    sampling: Sampling,
    *,
    word: str = "frames",
) -> tuple[Frames, Places]:
    """Frames of dynamics with each member, in jobs that go on after a stop.

    Args:
        run: each simulation has a run folder of its own below its ``jobs``.
        members: force fields.
        clusters: training frames, some of which are simulated.
        boxes: periodic frames to start from, all of which are simulated with each member.
        sampling: how.
        word: names the simulations, and keys their draws.

    Returns:
        The frames, without labels, those of a simulation that broke off up to that moment; and
        the number of the box that each is of ``(N,)``, -1 of clusters.

    Raises:
        RunError: none of the simulations gave a frame.
    """
    order = keyed.permutation(keyed.key(run.seed, word, "starts"), len(clusters))
    chosen = np.sort(order[: min(sampling.clusters, len(clusters))])
    time = sampling.cluster_picoseconds
    starts = [
        (-1, place % len(members), clusters.take([one]), time)
        for place, one in enumerate(chosen.tolist())
    ]
    for number in range(len(boxes) if boxes is not None else 0):
        box = boxes.take([number])  # type: ignore[union-attr]
        starts += [(number, place, box, sampling.picoseconds) for place in range(len(members))]
    names = [f"{word}-{number}" for number in range(len(starts))]
    jobs = [
        (members[place], start.without_labels(), sampling, time, number, word)
        for number, (_, place, start, time) in enumerate(starts)
    ]
    run.executor.runs(_simulated, names, jobs, "dynamics")
    parts = [
        frames_from(_stage(run.executor.part(name), *job))
        for name, job in zip(names, jobs, strict=True)
    ]
    if run.trying:  # members know nothing, and what they come to is no frame to go on with
        every = max(sampling.steps(sampling.every), 1)
        parts = [
            start.without_labels().take([0] * max(sampling.steps(time) // every, 1))
            for _, _, start, time in starts
        ]
    if not any(map(len, parts)):
        raise RunError(
            f"{len(starts)} simulations gave no frame: all broke off before sampling.every; train "
            "members for longer, or lower sampling.every"
        )
    origin = [box for box, _, _, _ in starts]
    return join(parts), np.repeat(origin, [len(part) for part in parts])


def _simulated(
    run: Run,
    network: nn.Module,
    start: Frames,
    sampling: Sampling,
    picoseconds: float,
    number: int,
    word: str,
) -> None:
    _stage(run, network, start, sampling, picoseconds, number, word)


def _stage(
    run: Run,
    network: nn.Module,
    start: Frames,
    sampling: Sampling,
    picoseconds: float,
    number: int,
    word: str,
) -> dict[str, Tensor]:
    def moved(start: Frames, sampling: Sampling, picoseconds: float, **key: Any) -> Any:
        from limbeck.bridges.ase import ForceFieldCalculator, simulate

        (atoms,) = to_atoms(start)
        breathing = sampling.ensemble == "npt" and bool(start.periodic.all())
        path = simulate(
            atoms,
            ForceFieldCalculator(network),
            ensemble="npt" if breathing else "nvt",
            temperature=sampling.temperature,
            timestep=sampling.timestep,
            steps=sampling.steps(picoseconds),
            every=max(round(1000 * sampling.every / sampling.timestep), 1),
            seed=keyed.key(run.seed, word, number) % 2**31,
            settling=sampling.settling if breathing else 0.0,
            out=None if run.trying else run.dir / word,
        )
        # The first is the start.
        kept = path.frames.take(range(1, len(path.frames))).without_labels()
        return tensors_of(kept.replace(charge=np.repeat(start.charge, len(kept))))

    return run.stage(
        word,
        moved,
        network=network,
        start=start,
        sampling=sampling,
        picoseconds=picoseconds,
        number=number,
    )


def told_frames(run: Run, members: Sequence[nn.Module], frames: Frames) -> tuple[Frames, float]:
    """Frames with what an ensemble says of them: the mean of its members, in a memoised stage.

    Args:
        run: the folder.
        members: force fields.
        frames: of any kind.

    Returns:
        The frames with energies, forces and virials, and how far members are apart in their
        forces: the root mean square of their standard deviation, in kcal/mol/Angstrom.
    """
    asking = [teacher(one) for one in members]
    council = ensemble(*asking, combine=SAID)

    def asked(council: Any, frames: Frames) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {"energy": [], "forces": [], "virial": []}
        spread: list[Tensor] = []
        with run.progress(f"{run.dir.name} targets", len(frames)) as progress:
            # Each member is shown its own neighbours: cutoffs differ.
            for batches in zip(*(shown(one, frames) for one in members), strict=True):
                said = SAID.outputs(
                    [
                        ask(batch.to(device_of(one)))
                        for one, ask, batch in zip(members, asking, batches, strict=True)
                    ]
                )
                for name, values in parts.items():
                    path = name if name != "virial" else f"extra.{name}"
                    values.append(said.read(path).double().cpu())
                each = said.extra["member_forces"].double().cpu()
                spread.append(each.var(0) if len(each) > 1 else torch.zeros_like(each[0]))
                progress.advance(batches[0].size)
        found = {name: torch.cat(values) for name, values in parts.items()}
        return {**found, "forces_variance": torch.cat(spread)}

    found = run.stage("targets", asked, council=council, frames=frames)
    spread = math.sqrt(float(found["forces_variance"].mean()))
    labels = {name: found[name].numpy() for name in ("energy", "forces", "virial")}
    return frames.replace(**labels), spread
