"""Fitted estimators as bytes: the same fit gives the same bytes, and reading them runs no code."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import ModelError, absent

# Whose classes a file may name beside those that skops trusts itself, which are all that arrays
# need. Not the whole of SciPy: making some of its classes, or a memmap, empties a file.
TRUSTED = (
    "sklearn",
    "scipy.interpolate",
    "scipy.sparse",
    "scipy.spatial",
    "scipy.stats",
    "limbeck.bridges.sklearn",
    "limbeck.functional",
)
SCHEMA = "schema.json"
EARLIEST = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def estimator_bytes(estimator: Any) -> bytes:
    """Write a fitted estimator in the format of skops, which holds no code.

    What skops takes from the process that writes, such as addresses of objects and the time, is
    replaced by numbers in order, so that equal fits have equal bytes.

    Args:
        estimator: fitted, of scikit-learn or of a class that skops can write.

    Returns:
        A whole skops file.

    Raises:
        ModelError: it holds something that cannot be written, such as a lambda.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> fits = [Ridge().fit([[0.0], [1.0]], [0.0, 1.0]) for _ in range(2)]
        >>> estimator_bytes(fits[0]) == estimator_bytes(fits[1])
        True
    """
    from skops import io as skops

    try:
        written = skops.dumps(estimator)
        unnamed = [one for one in skops.get_untrusted_types(data=written) if "<" in one]
        if unnamed:
            raise TypeError(f"{unnamed[0]} has no name to find it by")
    except Exception as error:  # parts of every class can fail in their own way
        raise ModelError(
            f"the {type(estimator).__name__} cannot be stored: {error}\nskops writes estimators "
            "of scikit-learn and plain objects; take functions with a name instead of lambdas"
        ) from None
    with zipfile.ZipFile(io.BytesIO(written)) as found:
        schema = json.loads(found.read(SCHEMA))
        files = _renumbered(schema)
        content = {name: _clean(old, found.read(old)) for old, name in files.items()}
    content[SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    return _packed(content)


def read_estimator(source: str | Path | bytes, *, trusted: Sequence[str] = ()) -> Any:
    """Read a fitted estimator that `estimator_bytes` or skops wrote.

    Classes of scikit-learn, of SciPy as far as estimators keep them, and of limbeck are trusted,
    and so are arrays. What stands in arrays is not looked at: a tree that somebody wrote by hand
    can end the process when it is asked, so take files from those whom you would take a program
    from.

    Args:
        source: a file, or its bytes.
        trusted: full names of other classes and functions that may be loaded.

    Returns:
        The estimator.

    Raises:
        ModelError: there is no such file, it is damaged or a pickle, or it names types that are
            not trusted (all of them are listed).

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> stored = estimator_bytes(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
        >>> read_estimator(stored)
        Ridge()
    """
    from skops import io as skops

    what = "the stored estimator" if isinstance(source, bytes) else str(source)
    if isinstance(source, bytes):
        content = source
    elif Path(source).is_file():
        content = Path(source).read_bytes()
    else:
        raise ModelError(absent(Path(source)))
    try:
        named = skops.get_untrusted_types(data=content)
    except Exception as error:  # a file of another kind can fail in the reader in any way
        raise ModelError(
            f"{what} is not read: it is damaged or a pickle, which can run code when it is "
            "opened. Write the estimator with skops.io.dump(estimator, 'model.skops') and name "
            f"that file ({type(error).__name__}: {error})"
        ) from None
    foreign = [name for name in named if name not in trusted and not _is_known_class(name)]
    if foreign:
        raise ModelError(
            f"{what} holds {', '.join(foreign)}, and only classes of {', '.join(TRUSTED)} and "
            "arrays of NumPy are loaded; where you trust whoever wrote it, read or load it with "
            f"trusted={foreign!r}"
        )
    try:
        return skops.loads(content, trusted=named)
    except Exception as error:  # classes of another version can refuse in any way
        raise ModelError(
            f"{what} does not load with the scikit-learn that is installed "
            f"({type(error).__name__}: {error}); fit it anew, or install the version it is from"
        ) from None


def _renumbered(schema: dict[str, Any]) -> dict[str, str]:
    """Number objects in order of appearance, in place; the new names of files by their old ones."""
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    for node in _nodes(schema):
        if node.get("__loader__") == "JsonNode":
            # Whether equal numbers are one object is up to the interpreter.
            node.pop("__id__", None)
        elif "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if "file" in node and "__loader__" in node:
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files)}{Path(old).suffix}")
    return files


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for inside in part.values() if isinstance(part, dict) else part:
        if isinstance(inside, dict | list):
            yield from _nodes(inside)


def _clean(name: str, content: bytes) -> bytes:
    """The file of an array without what lies between the fields of its records.

    Trees are arrays of records, and nothing writes the bytes that fill up a record.
    """
    if not name.endswith(".npy"):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False).ravel("K")
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    # The writer of NumPy copies records field by field and would leave the gaps unwritten again.
    return content[: len(content) - array.nbytes] + clean.tobytes()


def _packed(content: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    # Not compressed: compressors of other versions give other bytes.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, held in content.items():
            facts = zipfile.ZipInfo(name, EARLIEST)
            facts.create_system = UNIX
            archive.writestr(facts, held)
    return packed.getvalue()


def _is_known_class(name: str) -> bool:
    """Whether a full name is of a class that was written there, neither a function nor borrowed."""
    module, _, leaf = name.rpartition(".")
    if not any(module == root or module.startswith(f"{root}.") for root in TRUSTED):
        return False
    try:
        found = getattr(importlib.import_module(module), leaf, None)
    except ImportError:
        return False
    # Modules import classes of others, such as files that are emptied when they are opened.
    return inspect.isclass(found) and found.__module__ == module
