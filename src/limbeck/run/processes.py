"""Processes: how many compute a run together, how they are started and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from limbeck.errors import ArgumentError

PARENT = "LIMBECK_PARENT"
WATCH_SECONDS, GRACE_SECONDS = 0.1, 2.0
_watching = threading.Lock()


def rank() -> int:
    """Number of this process among those that compute a run together, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes compute a run together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_devices(count: int, device: str) -> None:
    """Raise `ArgumentError` unless there are so many devices of a kind."""
    there, what = os.cpu_count() or 1, "processor cores"
    if device != "cpu":
        import torch

        if device == "cuda" or torch.cuda.is_available():
            there, what = torch.cuda.device_count(), "devices of kind cuda"
    if count > there:
        raise ArgumentError(f"--devices is {count} and there are {there} {what}; ask for fewer")


def launch(command: Sequence[str], count: int) -> int:
    """Run a command in several processes that find each other, and wait for them.

    The first one speaks; what the others say is passed on when one of them fails alone. When one
    fails the rest are ended, and they die with this process.

    Args:
        command: program and arguments.
        count: how many processes.

    Returns:
        The exit status of the one that failed first, or 0.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        PARENT: str(os.getpid()),
    }
    # A key press reaches all of them: this one waits until they have saved their state.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with tempfile.TemporaryFile() as said:
            started = [
                subprocess.Popen(
                    command,
                    env={**shared, "RANK": str(number), "LOCAL_RANK": str(number)},
                    stdout=subprocess.DEVNULL if number else None,
                    stderr=said if number else None,
                )
                for number in range(count)
            ]
            status, first = _wait(started)
            if first:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))
        return status
    finally:
        signal.signal(signal.SIGINT, before)


def die_with_parent(parent: int) -> None:
    """End this process soon after the one that started it, so that it holds nothing any more.

    Args:
        parent: its process number, as the parent itself knows it: a child that asks only once it
            runs may be an orphan by then and take for its parent whoever adopted it.
    """
    if not _watching.acquire(blocking=False):
        return

    # A wrapper that waits may stand between the two.
    first = os.getppid()

    def watch() -> None:
        while os.getppid() == first and (first == parent or _lives(parent)):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def join_launch() -> None:
    """What a process that `launch` started does first."""
    if PARENT in os.environ and world() > 1:
        # The one that started it does not listen to key presses, and handed that down.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        die_with_parent(int(os.environ[PARENT]))


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
    """Status of the process that failed first, and its number; zeros where none did."""
    while any(one.poll() is None for one in started):
        failed = next((number for number, one in enumerate(started) if one.poll()), None)
        if failed is not None:
            # The others wait for what will never come; first they may say why they stop.
            patience = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < patience and any(one.poll() is None for one in started):
                time.sleep(0.05)
            # Where the first one failed too it has spoken itself.
            failed = 0 if started[0].poll() else failed
            for one in started:
                one.kill()
                one.wait()
            return _status(started[failed].returncode), failed
        time.sleep(0.05)
    codes = [one.returncode for one in started]
    failed = next((number for number, code in enumerate(codes) if code), 0)
    return _status(codes[failed]), failed


def _status(code: int) -> int:
    return code if code >= 0 else 128 - code
