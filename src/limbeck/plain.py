"""Plain values: nested tables as TOML and JSON hold them and as a person types them."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from limbeck.errors import ArgumentError, SettingsError

NONE = "none"


def to_plain(value: Any) -> Any:
    """Turn settings into nested dictionaries and lists of plain values, as TOML and JSON take them.

    Fields whose value is None are left out: TOML has no word for it.

    Example:
        >>> @dataclasses.dataclass
        ... class Loop:
        ...     steps: int = 10
        ...     patience: int | None = None
        >>> to_plain(Loop())
        {'steps': 10}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: to_plain(item) for name, item in items if item is not None}
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, which is how JSON says that there is none.

    Example:
        >>> finite({"rate": math.nan, "bound": (1.0, math.inf)})
        {'rate': None, 'bound': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, tables inside tables merged.

    Example:
        >>> merge({"optim": {"lr": 0.1, "name": "sgd"}}, {"optim": {"lr": 0.2}})
        {'optim': {'lr': 0.2, 'name': 'sgd'}}
    """
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        both_tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(old, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` words as nested settings; a dot goes one table down.

    Args:
        assignments: words such as ``temperature=2`` or ``optim.lr=0.05``. Values are read as
            numbers, booleans, lists or, failing that, as text; ``none`` is None.

    Returns:
        Nested dictionary.

    Raises:
        SettingsError: a word has no equals sign or no name.

    Example:
        >>> parse_assignments(["optim.lr=0.05", "optim.name=sgd", "nested=true"])
        {'optim': {'lr': 0.05, 'name': 'sgd'}, 'nested': True}
    """
    tree: dict[str, Any] = {}
    for word in assignments:
        name, equals, text = word.partition("=")
        *path, last = name.strip().split(".")
        if not equals or not all([*path, last]):
            raise SettingsError(f"--set {word!r}: expected NAME=VALUE, such as temperature=2")
        table = tree
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SettingsError(f"--set {word!r}: {part} already has a value of its own")
        table[last] = parse_value(text.strip())
    return tree


def parse_value(text: str) -> Any:
    """Read one value as a person types it.

    Example:
        >>> [parse_value(text) for text in ("1e-3", "true", "none", "[1, 2]", "sgd")]
        [0.001, True, None, [1, 2], 'sgd']
    """
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text


def worded(value: Any) -> Any:
    """Plain values with the word none for None, which a settings file cannot hold."""
    if isinstance(value, Mapping):
        return {name: worded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [worded(item) for item in value]
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ArgumentError(
            f"{value!r} is no plain value: an experiment is made of names and numbers; pass "
            "objects to a method's distill"
        )
    return NONE if value is None else value


def unworded(value: Any) -> Any:
    """Plain values as a settings file holds them, with None for the word none."""
    if isinstance(value, Mapping):
        return {name: unworded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [unworded(item) for item in value]
    return None if value == NONE else value
