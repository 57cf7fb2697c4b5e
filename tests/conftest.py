"""Options of the test suite and the order of its files.

They stand here: pytest reads options from this level only.
"""

from __future__ import annotations

import os

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        help="read the golden cases from DIR/*.json, not from tests/golden/cases",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Tests are made of tiny tensors: threads would only wait for each other.
    torch.set_num_threads(1)
    # Tests say where their jobs run.
    os.environ.pop("LIMBECK_EXECUTOR", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files that start processes take longest: a process imports torch anew. One of them that came
    # last would keep one core busy while the other has nothing left to do.
    items.sort(key=lambda item: not _starts(getattr(item, "module", None)))


def _starts(module: object) -> bool:
    """Whether the tests of a file start processes."""
    return any(hasattr(module, name) for name in ("subprocess", "forked"))
