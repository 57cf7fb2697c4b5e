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

from limbeck.cli import completing
from limbeck.cli.layout import table_lines, width_of, wrapped
from limbeck.errors import (
    ArgumentError,
    Interrupted,
    LimbeckError,
    RunError,
    SettingsError,
    UnknownNameError,
    absent,
    warnings_in_words,
)


def _there(ctx: typer.Context, folder: Path) -> Path:
    """A run's folder, refused before libraries are imported where there is none."""
    if not ctx.resilient_parsing and not folder.exists():
        raise RunError(f"{folder} holds no run: {absent(folder)}")
    return folder


MethodName = Annotated[
    str,
    typer.Argument(help="Name of the method; see limbeck list.", autocompletion=completing.methods),
]
RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of the run.",
        autocompletion=completing.runs,
        callback=_there,
    ),
]
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
    stream = sys.stderr if json_wanted else sys.stdout
    print(wrapped(text, width_of(stream)), file=stream, flush=True)


def emit(facts: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of standard output."""
    print(json.dumps(facts, allow_nan=False), flush=True)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, json_wanted: bool = False
) -> None:
    """Print a table in aligned columns: in the width of a terminal, one line a row elsewhere."""
    stream = sys.stderr if json_wanted else sys.stdout
    cells = [[str(cell) for cell in row] for row in rows]
    blocks = table_lines(heads, cells, width_of(stream))
    print("\n\n".join("\n".join(block) for block in blocks), file=stream, flush=True)


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
        with warnings_in_words(lambda words: wrapped(words, width_of(sys.stderr))):
            status = app(standalone_mode=False, prog_name="limbeck")
        # The parser answers a key press of its own with a status instead of an exception.
        return status if isinstance(status, int) else DONE
    except Interrupted as stop:
        print(wrapped(f"\n{stop}", width_of(sys.stderr)), file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        return STOPPED
    except LimbeckError as error:
        if verbose:
            traceback.print_exc()
        print(wrapped(f"Error: {error}", width_of(sys.stderr)), file=sys.stderr)
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
