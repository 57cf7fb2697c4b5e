"""The run folder's identity: what it was asked to do, and who may write to it now."""

from __future__ import annotations

import os
import shutil
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck import files, locks
from limbeck.errors import CorruptFileError, Interrupted, RunError
from limbeck.run.processes import rank

SETTINGS, ENVIRONMENT, INPUTS = "settings.toml", "environment.json", "inputs.json"
LOCK_SECONDS, SETTINGS_SECONDS = 1.0, 60.0
# Other processes of the same run may be writing already.
SWEEP_SECONDS = 5.0
LOCK = ".lock"
BOOKKEEPING = (SETTINGS, ENVIRONMENT, INPUTS, LOCK)


# Folders that this process holds, by which thread and how often: a lock of the system belongs to
# the process, and does not keep its threads from each other.
_held: dict[tuple[int, Path], tuple[int, int]] = {}
_holding = threading.Lock()
Full = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@contextmanager
def claimed(folder: Path, identity: Mapping[str, Any], full: Full | None = None) -> Iterator[None]:
    """Hold a folder for one run while the block runs; write down first what it is asked to do.

    Args:
        folder: made if it is absent.
        identity: plain values and tables: method, settings, inputs, options.
        full: puts defaults in for what an identity leaves out; two that are the same then are
            the same run.

    A folder that was begun here and in which nothing was computed is removed when the block
    fails, so that the corrected command can use the same name.

    Raises:
        RunError: the folder holds another run (the differences are listed) or other files, is in
            use by another process, or cannot be written. Nothing in it is changed then.
    """
    import tomli_w

    text = tomli_w.dumps(identity)
    path = folder / SETTINGS
    if rank():
        # The first process of a run holds the folder for all.
        _wait_for(path)
        _admit(folder, text, full)
        yield
        return
    # Nothing is changed in a folder that is refused, and between a look and a lock may be another.
    _admit(folder, text, full)
    with _holds(folder):
        begun = _admit(folder, text, full)
        try:
            if begun:
                files.write_text(path, text)
            _sweep(folder)
            yield
        except Interrupted:
            raise
        except Exception:
            if begun and not _holds_work(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _admit(folder: Path, text: str, full: Full | None) -> bool:
    """Whether a run begins in a folder, rather than goes on; refuse what is in it otherwise."""
    if (folder / SETTINGS).exists():
        old, new = read_identity(folder), tomllib.loads(text)
        if old == new:
            return False
        difference = differences(*(map(full, (old, new)) if full else (old, new)))
        if difference:
            listing = "\n  ".join(difference)
            raise RunError(
                f"{folder} holds another run; it differs in\n  {listing}\n"
                "choose another folder with --out, or delete this one"
            )
        return False
    if folder.is_file():
        raise RunError(f"{folder} is a file; choose another folder with --out")
    if folder.is_dir() and not all(map(_is_ours, os.listdir(folder))):
        raise RunError(f"{folder} is not empty and holds no run; choose another folder with --out")
    return True


def read_identity(folder: Path) -> dict[str, Any]:
    """Read what a run folder was asked to do.

    Raises:
        RunError: the folder holds no run.
        CorruptFileError: its settings do not read.
    """
    path = folder / SETTINGS
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} holds no run: there is no {SETTINGS} in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} does not read ({error})") from None


def how_to_go_on(folder: Path) -> str:
    """The words that tell how an unfinished run goes on.

    Example:
        >>> how_to_go_on(Path("runs/first"))
        'go on with: limbeck resume runs/first'
    """
    try:
        objects = "object:" in str(read_identity(folder).get("inputs", {}))
    except RunError:
        objects = False
    if objects:
        return f"go on in Python: call distill again with the same arguments and {folder}"
    return f"go on with: limbeck resume {folder}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], place: str = "") -> list[str]:
    """List where two nested tables differ.

    Example:
        >>> differences({"seed": 0, "optim": {"lr": 0.1}}, {"seed": 1, "optim": {"lr": 0.1}})
        ['seed: there 0, now 1']
    """
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{place}{name}.")
        elif before != after:
            found.append(f"{place}{name}: there {before!r}, now {after!r}")
    return found


def _is_ours(name: str) -> bool:
    """Whether another process of this run may just have put it there, or a killed one left it."""
    hidden = name.startswith(".")
    return _is_bookkeeping(name) or (hidden and name.endswith(".part"))


def _is_bookkeeping(name: str) -> bool:
    return name in BOOKKEEPING or name in {files.checksum_file(Path(n)).name for n in BOOKKEEPING}


def _sweep(folder: Path) -> None:
    """Remove what a killed process had half written; it was never in place."""
    for half in sorted(folder.rglob(".*")):
        # One that lies in another has gone with it.
        if half.suffix not in (".part", ".old") or not half.exists():
            continue
        if time.time() - half.stat().st_mtime > SWEEP_SECONDS:
            shutil.rmtree(half) if half.is_dir() else half.unlink()


def _holds_work(folder: Path) -> bool:
    """Whether anything lies in a folder beside what tells which run it is."""
    return any(file.is_file() and not _is_bookkeeping(file.name) for file in folder.rglob("*"))


@contextmanager
def _holds(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes and threads; what holds it already may do so again."""
    # A copy of this process, made by a fork, holds nothing.
    place, thread = (os.getpid(), folder.resolve()), threading.get_ident()
    patience = time.monotonic() + LOCK_SECONDS
    handle = None
    while True:
        with _holding:
            owner, times = _held.get(place, (thread, 0))
            if owner == thread:
                # A second handle on the file, closed, would end the lock of the first.
                handle = None if times else locks.try_lock(folder / LOCK)
                if times or handle is not None:
                    _held[place] = (thread, times + 1)
                    break
        # A killed run's workers notice within a moment that they are alone.
        if time.monotonic() > patience:
            what = "process" if owner == thread else "thread"
            raise RunError(
                f"{folder} is in use by another {what}; wait for it or choose another folder with "
                "--out"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        with _holding:
            if times:
                _held[place] = (thread, times)
            else:
                del _held[place]
            if handle is not None:
                os.close(handle)


def _wait_for(path: Path) -> None:
    patience = time.monotonic() + SETTINGS_SECONDS
    while not path.exists():
        if time.monotonic() > patience:
            raise RunError(f"the first process of this run wrote no {path}; see what it says")
        time.sleep(0.05)
