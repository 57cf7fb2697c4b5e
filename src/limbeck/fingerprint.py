"""Fingerprints: a short name for content, equal exactly where the content is equal."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn


def fingerprint(*values: Any) -> str:
    """Return 16 hexadecimal digits that stand for the content of the values.

    Args:
        values: plain values, containers, arrays, tensors, modules (class, mode-free weights),
            settings, functions (by their full name; those made inside a function by their code
            and what they close over), or anything with a ``fingerprint`` attribute.

    Returns:
        A word of 16 characters, the same on every machine and in every process; for functions
        made inside a function, under the same version of Python.

    Raises:
        ArgumentError: a value is of a kind whose content cannot be read.

    Example:
        >>> fingerprint({"a": 1}) == fingerprint({"a": 1})
        True
        >>> fingerprint(1) == fingerprint("1")
        False
    """
    state = hashlib.blake2b(digest_size=8)
    for value in values:
        _feed(state, value)
    return state.hexdigest()


def fingerprint_of_object(value: Any) -> str:
    """Return what stands for an object of somebody else's class: of that class and what it holds.

    Args:
        value: anything; what `fingerprint` reads has that fingerprint.

    Returns:
        A word of 16 characters.

    Raises:
        ArgumentError: the object holds what cannot be read, such as a connection.

    Example:
        >>> one, other = types.SimpleNamespace(scale=1), types.SimpleNamespace(scale=2)
        >>> fingerprint_of_object(one) == fingerprint_of_object(other)
        False
    """
    try:
        return fingerprint(value)
    except ArgumentError:
        kind = type(value)
        try:
            return fingerprint(kind.__module__, kind.__qualname__, vars(value))
        except (ArgumentError, TypeError, RecursionError):
            raise ArgumentError(
                f"a {kind.__name__} holds what cannot be read, so that it could be taken for "
                "another; give it a text attribute named fingerprint"
            ) from None


def _feed(state: Any, value: Any) -> None:
    import torch

    own = getattr(value, "fingerprint", None)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(own, str):
        state.update(f"fingerprint:{own!r};".encode())
    elif value is None or isinstance(value, (bool, int, float, str, bytes)):
        state.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, torch.Tensor):
        _feed_tensor(state, value)
    elif isinstance(value, np.ndarray):
        state.update(f"array:{value.dtype}:{value.shape};".encode())
        state.update(np.ascontiguousarray(value).view(np.uint8).reshape(-1).data)
    elif isinstance(value, torch.nn.Module):
        _feed_module(state, value)
    elif isinstance(value, Mapping):
        state.update(f"mapping:{len(value)};".encode())
        for name in sorted(value, key=repr):
            _feed(state, name)
            _feed(state, value[name])
    elif isinstance(value, (list, tuple)):
        state.update(f"sequence:{len(value)};".encode())
        for item in value:
            _feed(state, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        state.update(f"{type(value).__qualname__};".encode())
        for field in dataclasses.fields(value):
            _feed(state, field.name)
            _feed(state, getattr(value, field.name))
    elif isinstance(value, functools.partial):
        _feed(state, [value.func, value.args, value.keywords])
    elif callable(value) and hasattr(value, "__qualname__"):
        _feed_callable(state, value)
    else:
        raise ArgumentError(
            f"cannot take the fingerprint of a {type(value).__name__}: give it a text attribute "
            "named fingerprint, or pass plain values, tensors or modules"
        )


def _feed_callable(state: Any, value: Any) -> None:
    state.update(f"callable:{value.__module__}.{value.__qualname__};".encode())
    owner = getattr(value, "__self__", None)
    if owner is not None and not inspect.ismodule(owner):
        _feed(state, owner)
    function = getattr(value, "__func__", value)
    if "<" in value.__qualname__ and isinstance(function, types.FunctionType):
        # Many functions may have this name: what they do tells them apart.
        _feed_code(state, function.__code__)
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        cells = [content for content in cells if content is not function]
        _feed(state, [cells, function.__defaults__, function.__kwdefaults__])


def _feed_code(state: Any, code: types.CodeType) -> None:
    _feed(state, [code.co_code, code.co_names])
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(state, constant)
        else:
            # Sets have no order of their own.
            plain = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
            _feed(state, repr(plain))


def _feed_tensor(state: Any, value: Tensor) -> None:
    import torch

    value = value.detach().cpu().contiguous()
    state.update(f"tensor:{value.dtype}:{tuple(value.shape)};".encode())
    state.update(value.view(-1).view(torch.uint8).numpy().data if value.numel() else b"")


def _feed_module(state: Any, value: nn.Module) -> None:
    state.update(f"module:{type(value).__module__}.{type(value).__qualname__};".encode())
    # The structure is part of the content: two networks may share weights of the same names.
    state.update(repr(value).encode())
    for name, tensor in value.state_dict().items():
        _feed(state, name)
        _feed(state, tensor)
