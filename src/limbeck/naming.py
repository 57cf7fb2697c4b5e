"""Names of models and data: a prefix, the name proper, and options behind a question mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.errors import ArgumentError
from limbeck.plain import parse_value


def split_name(name: str) -> tuple[str, str, dict[str, Any]]:
    """Take a name apart.

    Args:
        name: such as ``timm:resnet18?pretrained=false&drop_rate=0.1``.

    Returns:
        Prefix (empty where there is none), the name proper, and the options.

    Raises:
        ArgumentError: an option has no value.

    Example:
        >>> split_name("timm:resnet18?pretrained=false")
        ('timm', 'resnet18', {'pretrained': False})
        >>> split_name("file:w.pt?network=cnn?width=8&stages=2")[2]
        {'network': 'cnn?width=8&stages=2'}
        >>> split_name("mlp?hidden=64x64")
        ('', 'mlp', {'hidden': '64x64'})
    """
    body, _, tail = name.partition("?")
    prefix, colon, rest = body.partition(":")
    options: dict[str, Any] = {}
    # What stands behind network= is a whole name, with options of its own.
    words, inner, network = tail.partition("network=")
    if inner:
        options["network"] = network
    for word in filter(None, words.split("&")):
        key, equals, value = word.partition("=")
        if not equals:
            raise ArgumentError(f"{name}: option {word!r} has no value; write ?{key}=VALUE")
        options[key] = parse_value(value)
    return (prefix, rest, options) if colon else ("", prefix, options)


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """A name with options put behind it.

    Args:
        name: such as ``csv:houses.csv?missing=mean``.
        options: to be put behind it.

    Returns:
        The name, with those options that it has not yet.

    Raises:
        ArgumentError: it has an option with another value.

    Example:
        >>> with_options("csv:houses.csv?missing=mean", {"target": "price"})
        'csv:houses.csv?missing=mean&target=price'
    """
    known = split_name(name)[2]
    for option, value in options.items():
        if option not in known:
            name += f"{'&' if '?' in name else '?'}{option}={value}"
        elif known[option] != value:
            raise ArgumentError(
                f"{option} is {value!r} and {name} says {known[option]!r}; leave one of them out"
            )
    return name


def brings_members(data: object) -> bool:
    """Whether data, or what its name stands for, holds predictions of members that can teach.

    Example:
        >>> brings_members("oof:table.parquet?target=y"), brings_members("digits")
        (True, False)
    """
    named = isinstance(data, str) and data.startswith("oof:")
    return named or bool(getattr(data, "members", ()))


def missing_inputs(names: Sequence[str], given: Mapping[str, Any]) -> list[str]:
    """Inputs that are not given; no teacher is missed where members come with the data.

    Example:
        >>> missing_inputs(("teacher", "student", "data"), {"data": "oof:table.parquet"})
        ['student']
    """
    missing = [name for name in names if given.get(name) is None]
    taught = brings_members(given.get("data"))
    return [name for name in missing if not (name == "teacher" and taught)]


def without_place(name: str) -> str:
    """A name whose file or folder is called by its last part, for pages that others read.

    Example:
        >>> without_place("folder:/srv/someone/flowers?size=64")
        'folder:flowers?size=64'
        >>> without_place("timm:resnet18?pretrained=false")
        'timm:resnet18?pretrained=false'
    """
    body, mark, tail = name.partition("?")
    prefix, colon, rest = body.partition(":")
    if (colon and rest[:1] in ("/", "~", ".", "\\")) or rest[1:3] in (":/", ":\\"):
        body = prefix + colon + rest.replace("\\", "/").rstrip("/").rpartition("/")[2]
    inner, equals, network = tail.partition("network=")
    return body + mark + inner + equals + (without_place(network) if network else "")


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names with a number behind those that come again.

    Example:
        >>> distinct(["mlp", "ridge", "mlp"])
        ('mlp', 'ridge', 'mlp (2)')
    """
    found: list[str] = []
    for name in names:
        number, said = 1, name
        while said in found:
            number += 1
            said = f"{name} ({number})"
        found.append(said)
    return tuple(found)


def spaced(name: str) -> str:
    """The name of a class as words.

    Example:
        >>> spaced("SyntheticDataset")
        'synthetic dataset'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
