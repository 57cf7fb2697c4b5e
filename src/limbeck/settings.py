"""Settings: frozen dataclasses of plain values, checked when made, the same text everywhere."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform, get_args

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from limbeck.errors import SettingsError, nearest
from limbeck.plain import NONE

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class of annotated fields a frozen dataclass whose values are checked on construction.

    Args:
        cls: a class with annotated fields and defaults.

    Returns:
        The class. Its constructor raises `SettingsError` for an unknown name or a bad value. Where
        a field's default is itself of a settings class, a table given for it changes that default
        in the fields that it names; a class with a method ``whole`` says which tables stand alone.

    Example:
        >>> @settings
        ... class Softening:
        ...     temperature: float = 1.0
        >>> Softening(temperature=2)
        Softening(temperature=2.0)
    """
    checked: Any = pydantic_dataclass(config=ConfigDict(extra="forbid"), frozen=True)(cls)
    construct = checked.__init__

    defaults = {field.name: _default(field) for field in dataclasses.fields(checked)}

    @functools.wraps(construct)
    def speaking(self: Any, *args: Any, **values: Any) -> None:
        full = {name: _over(defaults.get(name), value) for name, value in values.items()}
        # On command lines and in files the word none says that there is no value; where it is one
        # of the words to choose from, it is that word.
        fields = checked.__pydantic_fields__
        for name, value in full.items():
            if value is None and name in fields and NONE in get_args(fields[name].annotation):
                full[name] = NONE
        try:
            construct(self, *args, **full)
        except ValidationError as error:
            raise SettingsError(_explain(checked, error)) from None

    checked.__init__ = speaking
    # repr and str(Name(field=value)) name fields in order, so equal settings print equal text.
    return checked


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _over(default: Any, given: Any) -> Any:
    """A table with the fields of a default that it does not name."""
    known = dataclasses.is_dataclass(default) and not isinstance(default, type)
    if not known or not isinstance(given, Mapping):
        return given
    stands_alone = getattr(default, "whole", None)
    if stands_alone is not None and stands_alone(given):
        return given
    kept = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    return kept | {name: _over(kept.get(name), value) for name, value in given.items()}


def _explain(owner: Any, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        if not problem["loc"]:  # the class itself refused values that do not go together
            lines.append(str(problem["ctx"]["error"]))
            continue
        *path, last = map(str, problem["loc"])
        place = ".".join([*path, last])
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = _names(owner, path)
            hint = f"; {nearest(last, known)}" if known else ""
            lines.append(f"{owner.__name__} has no setting {place!r}{hint}")
        elif problem["type"] == "value_error" and isinstance(problem["input"], Mapping):  # a group
            lines.append(f"{owner.__name__}.{place}: {problem['ctx']['error']}")
        else:
            reason = problem["msg"][0].lower() + problem["msg"][1:]
            lines.append(f"{owner.__name__}.{place} is {problem['input']!r}: {reason}")
    return "\n".join(lines)


def _names(owner: Any, path: list[str]) -> list[str]:
    """Names of the settings that a path of names leads to; empty where it leads to none."""
    for name in path:
        field = getattr(owner, "__pydantic_fields__", {}).get(name)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        owner = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    return list(getattr(owner, "__pydantic_fields__", {}))
