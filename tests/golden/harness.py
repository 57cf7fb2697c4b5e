"""Runs the adapters of golden cases and compares what comes out with what is expected.

An adapter is a short function in a module of the `adapters` folder, found without being listed::

    @adapter("ofa-kd", "kd_kl_loss", grad="student_logits")
    def kd_kl_loss(inputs, params):
        return {"loss": soft_target_loss(inputs["student_logits"], inputs["teacher_logits"])}

`inputs` arrive as `reading` describes, `params` as they stand in the file. ``name="input"`` adds
the gradient of ``loss`` with respect to that input under the expected name. Stacked decorators
serve several golden functions. Names returned beyond the expected ones are not compared, because
the cases of one function may expect different ones.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .reading import SPELLED, Case

Compute = Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]]
Name = tuple[str, str]


@dataclass(frozen=True)
class Adapter:
    """How to compute a case; `gradients` maps expected names to the inputs they are taken for."""

    compute: Compute
    of: str = "loss"
    gradients: dict[str, str] = field(default_factory=dict)


def adapter(
    stem: str, function: str, *, of: str = "loss", **gradients: str
) -> Callable[[Compute], Compute]:
    """Mark a function as the adapter of a golden function; `of` is what gradients are taken of."""

    def mark(compute: Any) -> Any:
        compute.golden = [
            *getattr(compute, "golden", []),
            ((stem, function), Adapter(compute, of, gradients)),
        ]
        return compute

    return mark


def find_adapters(package: ModuleType) -> dict[Name, Adapter]:
    """The adapters of every module in a package's folder."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return table(importlib.import_module(f"{package.__name__}.{name}") for name in names)


def table(modules: Iterable[Any]) -> dict[Name, Adapter]:
    """The adapters that are marked in some modules; two for one golden function are an error."""
    found: dict[Name, Adapter] = {}
    for module in modules:
        for value in vars(module).values():
            for name, entry in getattr(value, "golden", []):
                if found.setdefault(name, entry).compute is not entry.compute:
                    raise ValueError(f"two adapters for {name[0]} {name[1]}")
    return found


def read_built(path: Path) -> frozenset[str]:
    """The stems whose every case must have an adapter."""
    return frozenset(tomllib.loads(path.read_text())["stems"])


def plan(
    cases: list[Case], adapters: dict[Name, Adapter], built: Iterable[str]
) -> tuple[list[Case], dict[str, str]]:
    """Which cases run, and for each unbuilt stem one line that says what is left out."""
    finished = set(built)
    run: list[Case] = []
    left: dict[str, Counter[str]] = {}
    for case in cases:
        if (case.stem, case.function) in adapters or case.stem in finished:
            run.append(case)
        else:
            left.setdefault(case.stem, Counter())[case.function] += 1
    return run, {
        stem: f"{stem}: {count.total()} cases without an adapter: {', '.join(sorted(count))}"
        for stem, count in left.items()
    }


def check(case: Case, adapters: dict[Name, Adapter]) -> None:
    """Compute a case and raise `AssertionError` with a line for each value that is off."""
    entry = adapters.get((case.stem, case.function))
    if entry is None:
        raise AssertionError(f"{case.stem} is built, but {case.function} has no adapter")
    faults = [*differences(compute(case, entry), case.expected, case)]
    if faults:
        more = f"\n... and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise AssertionError(f"{case.id}:\n" + "\n".join(faults[:10]) + more)


def compute(case: Case, entry: Adapter) -> dict[str, Any]:
    """What the adapter returns for a case, with the gradients that the case expects."""
    inputs = case.tensors()
    wanted = {name: source for name, source in entry.gradients.items() if name in case.expected}
    for source in wanted.values():
        inputs[source] = _leaf(inputs[source], case.dtype)
    results = dict(entry.compute(inputs, case.params))
    if wanted:
        leaves = [x for source in wanted.values() for x in _tensors(inputs[source])]
        slopes = iter(
            torch.autograd.grad(
                results[entry.of], leaves, allow_unused=True, materialize_grads=True
            )
        )
        for name, source in wanted.items():
            value = inputs[source]
            results[name] = (
                next(slopes) if isinstance(value, Tensor) else [next(slopes) for _ in value]
            )
    return results


def differences(actual: Any, expected: Any, case: Case, path: str = "") -> Iterator[str]:
    """Yield a line for each place where a result is not what a case expects."""
    actual = _plain(actual)
    if isinstance(expected, dict):
        if not isinstance(actual, Mapping):
            yield f"{path} is {_short(actual)}, expected a mapping"
            return
        have = {str(key): value for key, value in actual.items()}
        for key, value in expected.items():
            place = f"{path}.{key}" if path else key
            if key in have:
                yield from differences(have[key], value, case, place)
            else:
                yield f"{place} is missing, the adapter returned {', '.join(have) or 'nothing'}"
    elif isinstance(expected, list):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            yield f"{path} is {_short(actual)}, expected {_short(expected)}"
            return
        for index, (have, value) in enumerate(zip(actual, expected, strict=True)):
            yield from differences(have, value, case, f"{path}[{index}]")
    elif not _equal(actual, expected, case):
        yield f"{path} is {_short(actual)}, expected {_short(expected)}"


def _equal(actual: Any, expected: Any, case: Case) -> bool:
    """Whether two single values agree, numbers within the tolerance of the case in its dtype."""
    if expected is None:  # JSON has no word for what is not a number
        return actual is None or (isinstance(actual, float) and math.isnan(actual))
    if isinstance(expected, str) and not isinstance(actual, str):
        expected = SPELLED.get(expected.lower(), expected)
    if isinstance(expected, bool) or not isinstance(expected, int | float):
        return type(actual) is type(expected) and actual == expected
    if not isinstance(actual, int | float):
        return False
    if case.dtype == torch.float32:
        with np.errstate(over="ignore"):
            actual, expected = float(np.float32(actual)), float(np.float32(expected))
    if not (math.isfinite(actual) and math.isfinite(expected)):
        return actual == expected or (math.isnan(actual) and math.isnan(expected))
    return abs(actual - expected) <= case.atol + case.rtol * abs(expected)


def _plain(value: Any) -> Any:
    """Tensors and arrays as nested lists of Python numbers."""
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _leaf(value: Any, dtype: torch.dtype) -> Any:
    """A number, a tensor or a list of tensors as what a gradient can be taken for."""
    if isinstance(value, list):
        return [_leaf(inner, dtype) for inner in value]
    return torch.as_tensor(value, dtype=dtype).requires_grad_()


def _tensors(value: Any) -> list[Tensor]:
    return value if isinstance(value, list) else [value]
