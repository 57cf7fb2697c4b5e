"""Doctor: what is installed here, what it can compute with, and which folders it may use."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import limbeck

NAME = "limbeck"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Library:
    """A package that limbeck can use, as its own metadata name it.

    Args:
        name: of the package.
        extra: of limbeck that brings it; empty where limbeck needs it.
        wanted: versions that will do.
        version: the one that is installed; None where none is.
        state: ``"present"``, ``"missing"``, or ``"other version"``, which will not do.
    """

    name: str
    extra: str
    wanted: str
    version: str | None
    state: str


def libraries(lines: Iterable[str], extras: Iterable[str]) -> list[Library]:
    """What is there of some requirements, those without an extra first.

    Args:
        lines: requirements as the metadata of a package give them.
        extras: names of its extras.

    Returns:
        One entry a package and extra; none of an extra that gathers what several others bring.

    Example:
        >>> found = libraries(["numpy>=2", "absent; extra == 'more'"], ["more"])
        >>> [(one.name, one.extra, one.state) for one in found]
        [('numpy', '', 'present'), ('absent', 'more', 'missing')]
    """
    needed = [one for one in map(Requirement, lines) if one.name != NAME]
    core = [one for one in needed if _wanted_by(one, "")]
    by_extra = {
        extra: [one for one in needed if one not in core and _wanted_by(one, extra)]
        for extra in extras
    }
    found = [_looked_up(one, "") for one in core]
    for extra in _without_gathering(by_extra):
        found += [_looked_up(one, extra) for one in by_extra[extra]]
    return found


def installed() -> list[Library]:
    """What is there of all that this limbeck can use; nothing where it is not installed itself."""
    try:
        facts = importlib.metadata.metadata(NAME)
    except importlib.metadata.PackageNotFoundError:
        return []
    return libraries(facts.get_all("Requires-Dist") or (), facts.get_all("Provides-Extra") or ())


def devices() -> list[dict[str, Any]]:
    """What a run can compute on, with memory in bytes; raises `ImportError` without torch."""
    import torch

    from limbeck.evaluate.memory import free_bytes

    cpu = torch.device("cpu")
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = [
        {"device": "cpu", "name": platform.machine(), "memory": whole, "free": free_bytes(cpu)}
    ]
    for place in range(torch.cuda.device_count()):
        facts, device = torch.cuda.get_device_properties(place), torch.device("cuda", place)
        found.append(
            {
                "device": str(device),
                "name": facts.name,
                "memory": facts.total_memory,
                "free": free_bytes(device),
                # Others emulate it, slower than single precision.
                "bf16": facts.major >= 8,
            }
        )
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "Apple GPU, which runs do not use yet"})
    return found


def threads() -> dict[str, Any]:
    """How many cores there are, and what the environment says of threads."""
    told = {name: os.environ[name] for name in THREADS if name in os.environ}
    return {"cores": os.cpu_count(), "usable": _usable_cores(), **told}


def data_root() -> dict[str, Any]:
    """The folder whose sub-folders are data sets by name, and their names."""
    root = os.environ.get("LIMBECK_DATA")
    if not root:
        return {"path": None, "sets": []}
    place = Path(root)
    try:
        sets = sorted(
            one.name for one in place.iterdir() if one.is_dir() and not one.name.startswith(".")
        )
    except OSError as error:
        return {"path": root, "sets": [], "problem": error.strerror}
    return {"path": root, "sets": sets}


def folders() -> list[dict[str, Any]]:
    """Folders that are written to: of runs, of downloaded weights, of what is thrown away."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub = Path(os.environ.get("HF_HOME") or home / "huggingface")
    named = {
        "runs": Path("runs").absolute(),
        "weights of hf: and timm:": Path(os.environ.get("HF_HUB_CACHE") or hub / "hub"),
        "weights of torchvision:": Path(os.environ.get("TORCH_HOME") or home / "torch"),
        "temporary files": Path(tempfile.gettempdir()),
    }
    return [_folder(name, place) for name, place in named.items()]


def findings() -> dict[str, Any]:
    """All of it in plain values; what cannot be found out is left out and said."""
    found: dict[str, Any] = {
        "limbeck": limbeck.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": [vars(one) for one in installed()],
        "threads": threads(),
        "data_root": data_root(),
        "folders": folders(),
        "devices": [],
    }
    try:
        found["devices"] = devices()
    except (ImportError, OSError, RuntimeError) as error:
        found["problem"] = f"torch does not answer: {error}"
    return found


def _without_gathering(by_extra: Mapping[str, Sequence[Requirement]]) -> list[str]:
    """Extras but those that bring nothing of their own and all of several others."""
    names = {extra: {one.name for one in brought} for extra, brought in by_extra.items()}
    kept = dict(names)
    for extra in sorted(names, key=lambda one: -len(names[one])):
        others = [brought for other, brought in kept.items() if other != extra and brought]
        within = [brought for brought in others if brought <= names[extra]]
        if len(within) > 1 and names[extra] <= set().union(*others):
            del kept[extra]
    return list(kept)


def _wanted_by(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _looked_up(one: Requirement, extra: str) -> Library:
    try:
        version = importlib.metadata.version(one.name)
    except importlib.metadata.PackageNotFoundError:
        return Library(one.name, extra, str(one.specifier), None, "missing")
    fits = one.specifier.contains(version, prereleases=True)
    state = "present" if fits else "other version"
    return Library(one.name, extra, str(one.specifier), version, state)


def _usable_cores() -> int:
    """Cores that this process may use: a container or a queue may leave it fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folder(name: str, place: Path) -> dict[str, Any]:
    # What is not there yet is made below the nearest folder that is.
    there = next(one for one in (place, *place.parents) if one.is_dir())
    return {
        "name": name,
        "path": str(place),
        "exists": place.is_dir(),
        "writable": os.access(there, os.W_OK | os.X_OK),
        "free": shutil.disk_usage(there).free,
    }
