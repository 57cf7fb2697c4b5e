"""Libraries of chemistry, imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from limbeck.errors import DataError


def science(name: str) -> Any:
    """Import a library that reads, labels or moves atoms, or say how to install it.

    Args:
        name: as it is imported, such as ``"ase.io"``.

    Raises:
        DataError: it is not installed.

    Example:
        >>> science("ase.data").atomic_numbers["Li"]
        3
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError(
            f"{name.partition('.')[0]} is not installed; pip install 'limbeck[science]'"
        ) from None
