"""Run Python code, and ``limbeck`` in a shell, without importing the large libraries anew.

The processes are forked off a server that has imported what stands below and nothing of limbeck:
what code forgets to import is missing there as it is for a user.
"""

import atexit
import contextlib
import json
import multiprocessing
import os
import socket
import socketserver
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
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
    opened = [os.open(os.devnull, os.O_RDONLY)]
    opened += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (out, err)]

    def called() -> None:
        if strict:
            from limbeck.errors import LimbeckWarning

            warnings.simplefilter("error", LimbeckWarning)
        main = type(sys)("__main__")
        main.__file__ = name
        sys.modules["__main__"] = main
        exec(compile(code, name, "exec"), main.__dict__)

    _as_a_program([name], opened, without, called)


def _as_a_program(
    words: list[str], streams: list[int], without: Collection[str], called: Callable[[], None]
) -> None:
    """Call something as an interpreter does: with arguments, streams, and an exit status."""
    absent.hide(without)
    # A worker would import all of it, for jobs of moments; other tests have jobs in workers.
    os.environ.setdefault("LIMBECK_EXECUTOR", "serial")
    for stream, opened in enumerate(streams):
        os.dup2(opened, stream)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    # By lines: a process that is killed has said what it said.
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.argv = words
    status = 1
    try:
        called()
        status = 0
    except SystemExit as ended:
        status = 0 if ended.code is None else ended.code
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends, and a child of multiprocessing does not: workers are let go.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def command_line(without: Collection[str] = ()) -> Iterator[str]:
    """A folder for ``PATH`` whose ``limbeck`` is the command line, as a process forked off.

    Args:
        without: modules that it does not find.
    """
    with tempfile.TemporaryDirectory() as folder:
        address, program = os.path.join(folder, "asked"), os.path.join(folder, "limbeck")
        Path(program).write_text(ASKING.format(python=sys.executable, address=address))
        os.chmod(program, 0o755)
        with _Commands(address, _Asked) as server:
            server.without = without
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            try:
                yield folder
            finally:
                server.shutdown()
                server.end()


# Passes on what a program has: arguments, folder, environment, streams, and signals that it gets.
ASKING = """#!{python} -IS
import json, os, signal, socket, sys
heard = signal.SIGINT, signal.SIGTERM
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
socket.send_fds(asked, [b"-"], [0, 1, 2])
asked.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
asked.shutdown(socket.SHUT_WR)
said = asked.makefile()
process = int(said.readline())
def pass_on(number, _):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
for one in heard:
    # A shell lets what runs in its background ignore a press of Ctrl-C.
    if signal.getsignal(one) != signal.SIG_IGN:
        signal.signal(one, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
sys.exit(int(said.readline() or 1))
"""


class _Commands(socketserver.ThreadingUnixStreamServer):
    """Starts what the programs on ``PATH`` ask for."""

    daemon_threads = True

    def __init__(self, address: str, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(address, handler)
        self.without: Collection[str] = ()
        # Processes are started, and those that ended are seen, by one thread at a time.
        self.lock, self.ended = threading.Lock(), False
        self.started: list[multiprocessing.process.BaseProcess] = []

    def end(self) -> None:
        """Kill what still runs, and start no more."""
        with self.lock:
            self.ended = True
            for process in self.started:
                process.kill()


class _Asked(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        _, opened, _, _ = socket.recv_fds(self.connection, 1, 3)
        # What a connection holds is handed on to the process.
        streams = [Connection(one) for one in opened]
        asked = json.loads(self.rfile.read())
        process = SERVER.Process(target=_command, args=(*asked, streams, self.server.without))
        with self.server.lock:
            if self.server.ended:
                return
            process.start()
            self.server.started.append(process)
        for one in streams:
            one.close()
        # Who asked may be gone.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(f"{process.pid}\n".encode())
            wait([process.sentinel])
            with self.server.lock:
                status = process.exitcode
            self.wfile.write(f"{status if status >= 0 else 128 - status}\n".encode())


def _command(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    streams: list[Connection],
    without: Collection[str],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)

    def called() -> None:
        from limbeck.cli import main

        main()

    _as_a_program(["limbeck", *words], [one.fileno() for one in streams], without, called)
