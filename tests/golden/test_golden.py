"""Limbeck's functions give the values of published implementations on the golden cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import adapters
from .harness import check, find_adapters, plan, read_built
from .reading import Case, read_cases

HERE = Path(__file__).parent
ADAPTERS = find_adapters(adapters)
BUILT = read_built(HERE / "built.toml")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = read_cases(Path(metafunc.config.getoption("--golden") or HERE / "cases"))
        run, left = plan(cases, ADAPTERS, BUILT)
        unbuilt = [
            pytest.param(None, id=stem, marks=pytest.mark.skip(reason=reason))
            for stem, reason in left.items()
        ]
        metafunc.parametrize("case", [pytest.param(case, id=case.id) for case in run] + unbuilt)


def test_golden(case: Case) -> None:
    check(case, ADAPTERS)


def test_every_adapter_and_built_stem_has_a_committed_case() -> None:
    """A misspelt stem or function would be an adapter that never runs."""
    committed = {(case.stem, case.function) for case in read_cases(HERE / "cases")}
    assert set(ADAPTERS) <= committed
    assert {stem for stem, _ in committed} >= BUILT
