"""The command line: one verb a file."""

from __future__ import annotations

import sys

from limbeck.cli.app import app
from limbeck.cli.speaking import failing


def main() -> None:
    """Run the command line and exit with 0 (done), 1 (failed), 2 (bad usage) or 130 (stopped)."""
    sys.exit(failing(app))


__all__ = ["app", "main"]
