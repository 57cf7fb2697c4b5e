"""Interrupts that wait for the end of a step, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the user asked to stop."""

    asked = False
    since = 0.0


@contextmanager
def deferred(also: Callable[[], None] | None = None) -> Iterator[Stop]:
    """Note the first Ctrl-C (or polite kill) instead of raising; the second one raises at once.

    Args:
        also: called when the first one comes.

    Yields:
        An object whose ``asked`` turns true.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        # A terminal and a parent process may both pass on the same key press.
        if stop.asked and time.monotonic() - stop.since > 1:
            raise KeyboardInterrupt
        if not stop.asked and also is not None:
            also()
        stop.asked, stop.since = True, time.monotonic()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
