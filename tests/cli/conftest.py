"""The command line, called in the process of the test.

A command in a process of its own spends seconds on imports. Those are left for what only a process
can show: signals, several processes, standard output as a program meets it. The verbs also run as
commands of their own in the blocks of the pages.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from limbeck.cli import main


class Said(NamedTuple):
    """What a command leaves: its exit status and what it wrote to each stream."""

    status: int
    out: str
    err: str


@pytest.fixture
def limbeck(tmp_path, monkeypatch, capsys) -> Callable[..., Said]:
    """Call the command line in a folder of the test's own, or in ``cwd``."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: str, cwd: Path = tmp_path) -> Said:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["limbeck", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return Said(ended.value.code, *capsys.readouterr())

    return call
