"""Options of data names, checked against what the reader takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from limbeck.errors import DataError, nearest

# Options of every name: how many training samples are kept, for all or for the student.
COUNTS = ("samples", "labels")


def check_options(reader: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise `DataError` for an option that a reader does not take; the nearest is suggested."""
    parameters = inspect.signature(reader).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return  # it asks again once it knows the layout
    known = [*COUNTS, *(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)]
    for option in options:
        if option not in known:
            raise DataError(f"the data has no option {option!r}; {nearest(option, known)}")
