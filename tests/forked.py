"""Run Python code in a process of its own that need not import the large libraries anew.

The processes are forked off a server that has imported what stands below and nothing of limbeck:
what code forgets to import is missing there as it is for a user.
"""

import atexit
import multiprocessing
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from . import absent

LIBRARIES = ["torch", "lightning_fabric", "sklearn.linear_model", "scipy.stats", "pandas"]
# Pages and examples take a third of it where nothing else runs.
SECONDS = 250
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(LIBRARIES)


@dataclass(frozen=True)
class Done:
    """How a process ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(
    code: str,
    folder: Path,
    *,
    name: str = "<code>",
    strict: bool = False,
    without: Collection[str] = (),
) -> Done:
    """Run code as a script.

    Args:
        code: the source.
        folder: where it runs; what it prints is kept beside.
        name: of the script.
        strict: warnings of limbeck end it.
        without: modules that it does not find.
    """
    said = [folder.with_name(f"{folder.name}.{stream}") for stream in ("out", "err")]
    process = SERVER.Process(target=_script, args=(code, folder, name, strict, without, *said))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"{name} was not done after {SECONDS} s: {said[1].read_text()[-2000:]}")
    return Done(process.exitcode, *(path.read_text() for path in said))


def _script(
    code: str,
    folder: Path,
    name: str,
    strict: bool,
    without: Collection[str],
    out: Path,
    err: Path,
) -> None:
    os.chdir(folder)
    absent.hide(without)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    sys.argv = [name]
    if strict:
        from limbeck.errors import LimbeckWarning

        warnings.simplefilter("error", LimbeckWarning)
    main = type(sys)("__main__")
    main.__file__ = name
    sys.modules["__main__"] = main
    status = 1
    try:
        exec(compile(code, name, "exec"), main.__dict__)
        status = 0
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends, and a child of multiprocessing does not: workers are let go.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
