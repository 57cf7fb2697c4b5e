"""Files of extended XYZ: read through ASE, written so that numbers read back in the same bits."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import files
from limbeck.data.atoms import FreeAtoms, to_atoms
from limbeck.data.frames import Frames
from limbeck.data.science import science
from limbeck.errors import DataError

ENDINGS = (".xyz", ".extxyz", ".xyz.gz", ".extxyz.gz")
KINDS = {"i": "I", "f": "R", "b": "L"}


def xyz_files(folder: Path) -> list[Path]:
    """Files of extended XYZ in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS))


def stem(file: Path) -> str:
    """Name of a file without its endings.

    Example:
        >>> stem(Path("clusters.xyz.gz"))
        'clusters'
    """
    ending = max((one for one in ENDINGS if file.name.endswith(one)), key=len, default="")
    return file.name.removesuffix(ending)


def read_atoms(file: Path) -> list[Any]:
    """Read all frames of a file, plain or packed by gzip.

    Args:
        file: extended XYZ.

    Returns:
        ASE's `Atoms`, labels as results of a calculator.

    Raises:
        DataError: the file is damaged or no extended XYZ, or ASE is not installed.
    """
    read = science("ase.io").read
    try:
        content = file.read_bytes()
        # Unpacked at once: the reader goes back and forth, which a packed file pays for each time.
        text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is damaged ({error}); fetch it again") from None
    try:
        frames = read(io.StringIO(text), index=":", format="extxyz")
    except Exception as error:  # a damaged line can fail in the reader in any way
        words = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file} does not read as extended XYZ ({words})") from None
    if not frames:
        raise DataError(f"{file} holds no frame")
    return frames


def read_frames(file: Path) -> list[Any]:
    """Read the frames of a file of any kind that ASE knows by its ending.

    Args:
        file: such as extended XYZ, CIF or PDB.

    Returns:
        ASE's `Atoms`.

    Raises:
        DataError: the file is damaged or of an unknown kind, or ASE is not installed.
    """
    return read_atoms(file) if file.name.endswith(ENDINGS) else _by_ase(file, ":")


def read_first(file: Path) -> Any:
    """Read the first frame of a file as `read_frames` reads all."""
    return read_atoms(file)[0] if file.name.endswith(ENDINGS) else _by_ase(file, 0)


def _by_ase(file: Path, index: Any) -> Any:
    try:
        return science("ase.io").read(file, index=index)
    except Exception as error:  # readers of many kinds fail in any way
        words = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file} does not read as atoms ({words})") from None


def write_xyz(
    path: str | Path,
    frames: Frames,
    *,
    free_atoms: FreeAtoms | None = None,
    facts: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write frames with their labels as extended XYZ, in eV, Angstrom and e.

    Args:
        path: the file, packed by gzip where it ends in ``.gz``.
        frames: of any kind.
        free_atoms: energies in eV by atomic number that are added to the energies.
        facts: further words and numbers of each frame, such as its ``split``.

    Raises:
        RunError: the file cannot be written.
    """
    parts = []
    for place, atoms in enumerate(to_atoms(frames, free_atoms=free_atoms)):
        results = dict(getattr(atoms.calc, "results", {}))
        columns = {name: results.pop(name) for name in ("forces", "charges") if name in results}
        if atoms.has("mol"):
            columns["mol"] = atoms.get_array("mol")
        said = {**results, **atoms.info, **(facts[place] if facts else {})}
        parts.append(frame_text(atoms, columns, said))
    content = "".join(parts).encode()
    # No time stamp: the same frames give the same bytes.
    packed = gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content
    files.write_bytes(Path(path), packed)


def frame_text(atoms: Any, columns: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """One frame of extended XYZ; numbers are told in as many digits as they have.

    Args:
        atoms: ASE's `Atoms`.
        columns: further numbers of atoms, by name, ``(A,)`` or ``(A, M)``.
        facts: numbers, words and small arrays of the frame.

    Returns:
        The lines.

    Example:
        >>> from ase import Atoms
        >>> print(frame_text(Atoms("H", [(0, 0, 0.1)]), {}, {"energy": -0.5}), end="")
        1
        Properties=species:S:1:pos:R:3 energy=-0.5 pbc="F F F"
        H 0.0 0.0 0.1
    """
    table = {"pos": atoms.positions, **columns}
    shaped = {name: np.asarray(one).reshape(len(atoms), -1) for name, one in table.items()}
    kinds = [f"{name}:{KINDS[one.dtype.kind]}:{one.shape[1]}" for name, one in shaped.items()]
    said = {"Properties": ":".join(["species:S:1", *kinds]), **facts}
    if np.any(atoms.cell):
        said = {"Lattice": np.asarray(atoms.cell).T, **said}
    said["pbc"] = np.asarray(atoms.pbc)
    head = " ".join(f"{name}={_fact(value)}" for name, value in said.items())
    cells = [map(repr, column) for one in shaped.values() for column in one.T.tolist()]
    lines = zip(atoms.get_chemical_symbols(), *cells, strict=True)
    return "\n".join([str(len(atoms)), head, *map(" ".join, lines)]) + "\n"


def _fact(value: Any) -> str:
    if isinstance(value, str):
        # A word with a space in it needs quotes; quotes within are not told apart from them.
        return f'"{value}"' if any(map(str.isspace, value)) or not value else value
    array = np.asarray(value)
    if array.dtype.kind == "b":
        words = ["T" if one else "F" for one in array.reshape(-1)]
    else:
        # Readers take nine numbers as a matrix column by column.
        words = [repr(one) for one in array.reshape(-1, order="F").tolist()]
    return words[0] if array.ndim == 0 else f'"{" ".join(words)}"'
