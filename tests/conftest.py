"""Options of the test suite. They stand here: pytest reads options from this level only."""

from __future__ import annotations

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
