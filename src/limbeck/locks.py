"""Locks: which of several processes has a file or folder to itself."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from limbeck.errors import RunError
from limbeck.files import spoken


def try_lock(path: Path) -> int | None:
    """Lock a file, made if it is absent, without waiting.

    Args:
        path: of the lock.

    Returns:
        A handle to close when the lock is to end, or None if another process has it.

    Raises:
        RunError: the file cannot be written, or the disk takes no locks.
    """
    with spoken(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # A record lock belongs to the process: children that outlive it never hold it.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been removed with its folder since it was opened.
        if os.fstat(handle).st_ino == os.stat(path).st_ino:
            return handle
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            os.close(handle)
            raise RunError(
                f"{path} cannot be locked ({os.strerror(error.errno or 0)}); choose a folder on a "
                "disk that takes locks with --out"
            ) from error
    os.close(handle)
    return None
