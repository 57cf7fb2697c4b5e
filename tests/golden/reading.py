"""Golden files as cases, and their inputs as tensors.

A golden file is ``{"cases": [{"function", "inputs", "params", "expected", "rtol", "atol"}]}``,
its name is the stem. Lists of numbers become tensors: those that hold whole numbers in every case
of a function as int64, the others in the case's dtype. Lists of differing shapes become lists of
tensors; all else (single numbers, words, None) stays as it stands in the file.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SPELLED = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
SPELLED |= {"infinity": math.inf, "-infinity": -math.inf}


@dataclass(frozen=True, eq=False)
class Case:
    """One golden case; `real` holds the places of inputs where some case has a fraction."""

    stem: str
    function: str
    number: int
    inputs: dict[str, Any]
    params: dict[str, Any]
    expected: dict[str, Any]
    dtype: torch.dtype = torch.float64
    rtol: float = 0.0
    atol: float = 0.0
    real: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return f"{self.stem}-{self.function}-{self.number}"

    def tensors(self) -> dict[str, Any]:
        """The inputs, lists of numbers as tensors."""
        return {name: _convert(value, name, self) for name, value in self.inputs.items()}


def read_cases(folder: Path) -> list[Case]:
    """The cases of every file in a folder, in the order of file names."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no golden files *.json in {folder}")
    return [case for path in paths for case in _read_file(path)]


def _read_file(path: Path) -> Iterator[Case]:
    content = json.loads(path.read_text())
    entries = content["cases"]
    real: dict[str, set[str]] = {}
    for entry in entries:
        places = real.setdefault(entry["function"], set())
        for name, value in entry["inputs"].items():
            places.update(_fractions(value, name))
    seen: Counter[str] = Counter()
    for entry in entries:
        function = entry["function"]
        params = entry.get("params", {})
        words = entry.get("dtype") or params.get("dtype") or content.get("dtype") or ""
        yield Case(
            stem=path.stem,
            function=function,
            number=seen[function],
            inputs=entry["inputs"],
            params=params,
            expected=entry["expected"],
            dtype=_dtype(words),
            rtol=entry["rtol"],
            atol=entry["atol"],
            real=frozenset(real[function]),
        )
        seen[function] += 1


def _dtype(words: str) -> torch.dtype:
    """The floating dtype that a description such as "int16/float32" names first."""
    named = re.search(r"float(32|64)", words)
    return torch.float32 if named and named[1] == "32" else torch.float64


def _fractions(value: Any, place: str) -> Iterator[str]:
    """Yield the place of each list that holds a number which is not whole."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fractions(inner, f"{place}.{key}")
    elif isinstance(value, list):
        if any(isinstance(x, float) or _spelled(x) for x in value):
            yield place
        for inner in value:
            if isinstance(inner, list | dict):
                yield from _fractions(inner, place)


def _convert(value: Any, place: str, case: Case) -> Any:
    if isinstance(value, dict):
        return {key: _convert(inner, f"{place}.{key}", case) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    shape = _shape(value)
    if shape is None:
        return [_convert(inner, place, case) for inner in value]
    flat = [*_leaves(value)]
    if place not in case.real and flat:
        return torch.tensor(flat).reshape(shape)
    numbers = [SPELLED[x.lower()] if isinstance(x, str) else x for x in flat]
    return torch.tensor(numbers, dtype=case.dtype).reshape(shape)


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers, None if they are ragged or hold something else."""
    if isinstance(value, list):
        inner = {_shape(x) for x in value} or {()}
        only = inner.pop()
        return None if inner or only is None else (len(value), *only)
    return () if isinstance(value, int | float) or _spelled(value) else None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _spelled(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in SPELLED
