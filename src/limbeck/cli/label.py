"""``limbeck label``: frames with energies and forces of a label source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.speaking import Json, Verbose, emit, say
from limbeck.errors import SettingsError

FRAMES, ENERGIES = "frames.xyz", "isolated_energies_eV.json"


def label(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Frames of atoms, as ASE reads them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the labelled frames.")],
    source: Annotated[
        str, typer.Option(help="What labels: tblite, perhaps with options (?method=GFN1-xTB).")
    ] = "tblite",
    picoseconds: Annotated[
        float,
        typer.Option(
            min=0,
            help="Sample frames by dynamics that the source drives from each frame of the file for "
            "so long; 0 labels the frames themselves.",
        ),
    ] = 0.0,
    every: Annotated[
        float, typer.Option(help="Ps from one frame that is kept to the next.")
    ] = 0.02,
    temperature: Annotated[float, typer.Option(help="Of the dynamics, in K.")] = 300.0,
    seed: Annotated[int, typer.Option(help="Of velocities and the heat bath.")] = 0,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Label frames of atoms for a force field to learn from.

    OUT/data holds frames.xyz and the energies of free atoms: what --data xyz:OUT/data reads. What
    is labelled stays in OUT, so that the same command goes on after a stop. Frames of one start
    are of one split: a fifth of the starts is for test and a tenth for validation; of fewer than
    ten starts the last frames of each.

    \b
    Examples:
      limbeck label clusters.xyz --out labels
      limbeck label clusters.xyz --out labels --picoseconds 0.5 --temperature 600
      limbeck run bamboo --data xyz:labels/data --set sampling.clusters=30
    """
    from limbeck import files
    from limbeck.data.atoms import from_atoms
    from limbeck.data.elements import symbols
    from limbeck.data.labelling import label_source
    from limbeck.data.xyz_files import read_frames, write_xyz
    from limbeck.experiment import is_run
    from limbeck.loops.force_frames import Sampling
    from limbeck.loops.force_labels import labelled_frames, splits_of
    from limbeck.run import Run

    if is_run(out):
        raise SettingsError(f"--out {out} is the folder of a run; choose another one")
    frames = from_atoms(read_frames(file), what=str(file)).without_labels()
    sampling = None
    if picoseconds:
        sampling = Sampling(temperature=temperature, cluster_picoseconds=picoseconds, every=every)
        if sampling.steps(picoseconds) < sampling.steps(every):
            raise SettingsError(
                f"--picoseconds is {picoseconds:g} and --every {every:g}: no frame would be kept; "
                "raise the one or lower the other"
            )
    chosen = label_source(source)
    told, origin = labelled_frames(Run(out, seed=seed), frames, chosen, sampling)
    free_atoms = chosen.free_atoms(told.elements)
    facts = [{"split": name} for name in splits_of(origin, seed)]
    data = out / "data"
    write_xyz(data / FRAMES, told, free_atoms=free_atoms, facts=facts)
    energies = {symbols([number])[0]: energy for number, energy in free_atoms.items()}
    files.write_text(data / ENERGIES, json.dumps(energies, indent=1) + "\n")
    counts = {
        name: sum(one["split"] == name for one in facts) for name in ("train", "valid", "test")
    }
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    say(
        f"{len(told)} frames by {chosen.name} ({parts}): {data}\n"
        f"limbeck run bamboo --data xyz:{data}",
        json_wanted=json_wanted,
    )
    if json_wanted:
        emit({"to": str(data), "source": chosen.name, "frames": len(told), "splits": counts})
