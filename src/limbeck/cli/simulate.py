"""``limbeck simulate``: molecular dynamics with a run's force field."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.speaking import DataRoot, Json, RunFolder, Verbose, emit, say, use_data_root
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.products import ForceField

FIGURES = "figures.json"


def simulate(
    folder: RunFolder,
    start: Annotated[
        str | None,
        typer.Option(
            help="FILE of atoms as ASE reads them (its first frame), or a molecule of the run's "
            "data by its formula, such as H2O?count=32; the periodic box of the data by default."
        ),
    ] = None,
    ensemble: Annotated[
        str, typer.Option(help="nvt (a heat bath), npt (and a barostat), or nve (neither).")
    ] = "nvt",
    picoseconds: Annotated[float, typer.Option(min=0, help="How long.")] = 10.0,
    temperature: Annotated[float, typer.Option(help="In K.")] = 300.0,
    pressure: Annotated[float, typer.Option(help="Of npt, in atm.")] = 1.0,
    timestep: Annotated[float, typer.Option(help="In fs.")] = 0.5,
    every: Annotated[float, typer.Option(help="Ps from one frame that is kept to the next.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of velocities and the heat bath.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder; RUN/simulations/ENSEMBLE-TEMPERATURE by default.")
    ] = None,
    data_root: DataRoot = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Move atoms by a run's force field.

    Writes trajectory.xyz, a row of thermodynamics a frame, and figures: density, diffusion, drift
    of the energy; charts of them join the run's report. A simulation that was stopped goes on where
    it was; one that explodes is ended with its last good frame, last-good.xyz, and a warning.

    \b
    Examples:
      limbeck simulate runs/first
      limbeck simulate runs/first --ensemble npt --picoseconds 50
      limbeck simulate runs/first --start 'C3H6O3?count=16' --temperature 350
    """
    use_data_root(data_root)
    from limbeck import files
    from limbeck.evaluate.trajectories import trajectory_charts, trajectory_figures
    from limbeck.experiment import is_run
    from limbeck.loading import load
    from limbeck.products import ForceField
    from limbeck.run.exhibits import add_charts
    from limbeck.run.interrupt import deferred
    from limbeck.run.progress import progress

    product = load(folder)
    if not isinstance(product, ForceField):
        raise SettingsError(
            f"{folder} holds no force field, and only those move atoms; limbeck show METHOD tells "
            "what a method gives"
        )
    steps, between = _steps(picoseconds, timestep, every)
    name = f"{ensemble}-{temperature:g}K"
    place = _place(folder, out, name)
    atoms = _start(folder, product, start)
    with progress(f"{name}", steps) as shown, deferred() as stop:
        path = product.simulate(
            atoms,
            ensemble=ensemble,
            temperature=temperature,
            pressure=pressure,
            timestep=timestep,
            steps=steps,
            every=between,
            seed=seed,
            out=place,
            progress=shown,
            stop=stop,
        )
    figures = trajectory_figures(path, ensemble)
    files.write_text(place / FIGURES, json.dumps(figures, indent=1) + "\n")
    if is_run(folder):
        add_charts(folder, trajectory_charts(path, f"Dynamics {name}"))
    say(_told(figures, place), json_wanted=json_wanted)
    if path.stopped is not None:
        from limbeck.bridges.ase.trajectory import LAST

        # Beside the figures, which programs read: what was asked for was not done.
        print(
            f"Warning: the simulation broke off after {path.steps} of {steps} steps, "
            f"{path.stopped}; its last good frame is {place / LAST}",
            file=sys.stderr,
        )
    if json_wanted:
        emit({"run": str(folder), "to": str(place), **figures})


def _steps(picoseconds: float, timestep: float, every: float) -> tuple[int, int]:
    """How many steps of fs there are in all, and from one frame to the next."""
    for name, value, unit in (("timestep", timestep, "fs"), ("every", every, "ps")):
        if not 0 < value < math.inf:
            raise SettingsError(f"--{name} is {value}, expected a finite number of {unit} above 0")
    if not 0 <= picoseconds < math.inf:
        raise SettingsError(f"--picoseconds is {picoseconds}, expected a finite number from 0 on")
    return round(1000 * picoseconds / timestep), max(round(1000 * every / timestep), 1)


def _place(folder: Path, out: Path | None, name: str) -> Path:
    """Where files go: never into a product, whose files are whole only as they were written."""
    from limbeck.products.export_folder import FACTS

    if out is None and (folder / FACTS).is_file():
        raise SettingsError(
            f"{folder} is a product without its run; say where files go: --out FOLDER, outside it"
        )
    place = out or folder / "simulations" / name
    whole = place.resolve()
    if any((above / FACTS).is_file() for above in (whole, *whole.parents)):
        raise SettingsError(
            f"--out {place} lies in a product, which more files would make unreadable; choose a "
            "folder outside it"
        )
    return place


def _start(folder: Path, product: ForceField, start: str | None) -> Any:
    """The atoms to start from."""
    from limbeck.data.atoms import to_atoms
    from limbeck.data.boxes import with_box
    from limbeck.data.names import resolve
    from limbeck.data.xyz_files import read_first
    from limbeck.experiment import Request, is_run

    path = Path(start.removeprefix("xyz:")).expanduser() if start else None
    if path is not None and path.is_file():
        return read_first(path)
    if not is_run(folder):
        raise SettingsError(
            f"{folder} is a product without its run; say what to start from: --start FILE"
        )
    request = Request.read(folder)
    data = resolve(request.data)
    # Packed as the run packed it; the seed of the simulation is one of velocities.
    given = start or request.inputs.get("liquid")
    found = with_box(data, given, seed=request.seeds[0]).liquid
    if found is None:
        raise SettingsError(
            f"{data.name} has no periodic box to start from; give --start FILE, or a molecule such "
            "as --start H2O?count=32"
        )
    return to_atoms(found.take([0]))[0]


def _told(figures: dict[str, Any], place: Path) -> str:
    """What came of it, in lines for people."""
    lines = [f"{figures['picoseconds']:g} ps: {place}"]
    lines.append(f"temperature {figures['temperature_k']:.1f} K")
    if "density_g_cm3" in figures:
        lines.append(f"density {figures['density_g_cm3']:.4f} g/cm3")
    if "diffusion_cm2_s" in figures:
        lines.append(f"diffusion {figures['diffusion_cm2_s']:.3g} cm2/s")
    if "drift_kcal_mol_atom_ns" in figures:
        lines.append(f"drift {figures['drift_kcal_mol_atom_ns']:.3g} kcal/mol an atom and ns")
    return "\n".join(lines)
