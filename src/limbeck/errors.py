"""Errors and warnings: each names the argument, what came, what was expected and the fix."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


class LimbeckError(Exception):
    """Base of every error that limbeck raises on purpose."""


class ArgumentError(LimbeckError, ValueError):
    """An argument has a value, type or shape that the callee cannot use."""


class NotFiniteError(ArgumentError):
    """Numbers that must be finite are not: NaN or infinity came in or out."""


class SettingsError(LimbeckError, ValueError):
    """A setting, preset or option is unknown or has a value outside its range."""


class DataError(LimbeckError, ValueError):
    """A data set is empty, damaged, or does not fit the models it is given to."""


class ModelError(LimbeckError, ValueError):
    """A model cannot be found, built or loaded, or its outputs cannot be read."""


class UnknownNameError(ModelError, DataError):
    """A name stands for no model and no data that limbeck knows."""


class RunError(LimbeckError, RuntimeError):
    """A run folder cannot be used as asked."""


class DivergedError(RunError):
    """A loss became NaN or infinite."""


class CorruptFileError(RunError):
    """A file is cut short or altered: its checksum does not match its content."""


class Interrupted(LimbeckError):
    """The run was stopped by the user after its state was saved."""


class LimbeckWarning(UserWarning):
    """Base of every warning that limbeck raises."""


class NoEffectWarning(LimbeckWarning):
    """What was asked for runs, but changes nothing."""


class UnusualUseWarning(LimbeckWarning):
    """What was asked for runs, but is probably not what was meant."""


@contextlib.contextmanager
def warnings_in_words(written: Callable[[str], str] = str) -> Iterator[None]:
    """Show warnings of limbeck inside the block as words, without a place in its source.

    Args:
        written: from the words to those that are shown, such as folded to a width.

    Example:
        >>> with warnings_in_words():
        ...     warnings.formatwarning(NoEffectWarning("drop it"), NoEffectWarning, "file.py", 3)
        'Warning: drop it\\n'
    """
    before = warnings.formatwarning

    def shown(message: Any, category: type[Warning], *place: Any, **more: Any) -> str:
        if issubclass(category, LimbeckWarning):
            return written(f"Warning: {message}") + "\n"
        return before(message, category, *place, **more)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = before


def absent(path: Path) -> str:
    """Say that a file or folder does not exist, and which one beside it was probably meant.

    Example:
        >>> absent(Path("absent.npz"))
        'absent.npz does not exist'
    """
    said = f"{path} does not exist"
    try:
        beside = [one.name for one in path.parent.iterdir() if not one.name.startswith(".")]
    except OSError:
        return said
    close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)
    return f"{said}; did you mean {path.parent / close[0]}?" if close else said


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a clause that suggests the nearest valid name and lists the others.

    Args:
        name: what was given.
        valid: the names that would have been accepted.

    Returns:
        Text to put behind an error message.

    Example:
        >>> nearest("temprature", ["temperature", "steps"])
        'did you mean temperature? Valid: steps, temperature'
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listing = f"Valid: {', '.join(names)}" if names else "There are none"
    return f"did you mean {close[0]}? {listing}" if close else listing
