"""How the command line speaks: tables and words for people, one line of JSON for programs."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.errors import (
    ArgumentError,
    Interrupted,
    LimbeckError,
    SettingsError,
    UnknownNameError,
)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on the last line, for programs.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show full tracebacks of errors.")]
DataRoot = Annotated[
    str | None,
    typer.Option(
        "--data-root", help="Folder whose sub-folders are data sets by name.", envvar="LIMBECK_DATA"
    ),
]
DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130


def say(text: str = "", *, json_wanted: bool = False) -> None:
    """Print words for people: on standard output, or on standard error beside JSON."""
    print(text, file=sys.stderr if json_wanted else sys.stdout, flush=True)


def emit(facts: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of standard output."""
    print(json.dumps(facts, allow_nan=False), flush=True)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, json_wanted: bool = False
) -> None:
    """Print a table: ruled in a terminal, plain aligned columns elsewhere."""
    stream = sys.stderr if json_wanted else sys.stdout
    cells = [[str(cell) for cell in row] for row in rows]
    if stream.isatty():
        from rich.console import Console
        from rich.table import Table

        shown = Table(*heads, box=None, header_style="bold", pad_edge=False)
        for row in cells:
            shown.add_row(*row)
        Console(file=stream).print(shown)
        return
    widths = [
        max(len(line[place]) for line in [list(heads), *cells]) for place in range(len(heads))
    ]
    for line in [list(heads), *cells]:
        padded = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(padded.rstrip(), file=stream)
    stream.flush()


def use_data_root(folder: str | None) -> None:
    """Let data sets be found by name below a folder, here and in child processes."""
    import os

    if folder is None:
        return
    if not os.path.isdir(folder):
        raise SettingsError(f"--data-root {folder} is no folder")
    os.environ["LIMBECK_DATA"] = folder


@contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Say how to go on with a run whose block is stopped by the user."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stop:
        from limbeck.run.folder import how_to_go_on

        how = how_to_go_on(folder)
        # A seed's own folder need not be named: the run as a whole goes on.
        words = str(stop).partition("; go on with")[0] or "stopped"
        raise Interrupted(f"{words}; {how}") from None


def failing(app: Callable[..., Any]) -> int:
    """Call the command line; turn errors into a message and an exit status."""
    verbose = "--verbose" in sys.argv or "-v" in sys.argv
    try:
        status = app(standalone_mode=False)
        # The parser answers a key press of its own with a status instead of an exception.
        return status if isinstance(status, int) else DONE
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        return STOPPED
    except LimbeckError as error:
        if verbose:
            traceback.print_exc()
        print(f"Error: {error}", file=sys.stderr)
        usage = isinstance(error, (SettingsError, ArgumentError, UnknownNameError))
        return USAGE if usage else FAILED
    except typer.Exit as ended:
        return ended.exit_code
    except Exception as error:
        # Bad usage as the parser reports it: it knows how to print itself.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return getattr(error, "exit_code", USAGE)
