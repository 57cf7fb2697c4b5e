"""Options of the test suite. They stand here because pytest reads options from this level only."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        help="read the golden cases from DIR/*.json, not from tests/golden/cases",
    )
