"""Settings: frozen dataclasses of plain values, checked when made, the same text everywhere."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from limbeck.errors import SettingsError, nearest

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class of annotated fields a frozen dataclass whose values are checked on construction.

    Args:
        cls: a class with annotated fields and defaults.

    Returns:
        The class. Its constructor raises `SettingsError` for an unknown name or a bad value.

    Example:
        >>> @settings
        ... class Softening:
        ...     temperature: float = 1.0
        >>> Softening(temperature=2)
        Softening(temperature=2.0)
    """
    checked: Any = pydantic_dataclass(config=ConfigDict(extra="forbid"), frozen=True)(cls)
    construct = checked.__init__
    names = [field.name for field in dataclasses.fields(checked)]

    @functools.wraps(construct)
    def speaking(self: Any, *args: Any, **values: Any) -> None:
        try:
            construct(self, *args, **values)
        except ValidationError as error:
            raise SettingsError(_explain(cls.__name__, names, error)) from None

    checked.__init__ = speaking
    # repr and str(Name(field=value)) name fields in order, so equal settings print equal text.
    return checked


def _explain(owner: str, names: list[str], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = names if len(problem["loc"]) == 1 else []
            hint = f"; {nearest(place, known)}" if known else ""
            lines.append(f"{owner} has no setting {place!r}{hint}")
        else:
            reason = problem["msg"][0].lower() + problem["msg"][1:]
            lines.append(f"{owner}.{place} is {problem['input']!r}: {reason}")
    return "\n".join(lines)
