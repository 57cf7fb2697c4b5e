"""Progress for people: a bar in a terminal, now and then a line elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET_SECONDS = 2.0
LINE_SECONDS = 10.0


class Progress:
    """Counts what is done of one long task.

    Args:
        label: what is being done.
        total: how many steps there are.
        start: how many were done before.
        bar: a rich progress bar, or None for plain lines.
        quiet: show nothing.
    """

    def __init__(self, label: str, total: int, start: int, bar: Any, quiet: bool) -> None:
        self._label, self._total, self._done = label, total, start
        self._bar, self._quiet = bar, quiet
        self._task = bar.add_task(label, total=total, completed=start) if bar else None
        self._begun = self._said = time.monotonic()

    def advance(self, steps: int = 1, text: str | None = None) -> None:
        """Note that more steps are done, and what there is to say of them."""
        self._done += steps
        if self._quiet:
            return
        if self._bar is not None:
            shown = f"{self._label} {text}" if text else None
            self._bar.update(self._task, advance=steps, **({"description": shown} if shown else {}))
            return
        now = time.monotonic()
        if now - self._begun > QUIET_SECONDS and now - self._said > LINE_SECONDS:
            self._said = now
            words = f" {text}" if text else ""
            print(f"{self._label}: {self._done}/{self._total}{words}", file=sys.stderr, flush=True)


@contextmanager
def progress(label: str, total: int, *, start: int = 0, quiet: bool = False) -> Iterator[Progress]:
    """Show progress on standard error while the block runs.

    Args:
        label: what is being done.
        total: how many steps there are.
        start: how many were done before.
        quiet: show nothing.

    Yields:
        An object with ``advance(steps, text)``.
    """
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield Progress(label, total, start, None, quiet)
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(label, total, start, bar, quiet)
