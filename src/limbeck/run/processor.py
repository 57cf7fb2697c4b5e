"""Processor: how many threads a block computes with, and what becomes of memory that it frees."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

# Names and values of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30


@contextlib.contextmanager
def computing(threads: int) -> Iterator[None]:
    """Compute with that many threads, as a process of its own would, and keep freed memory.

    Args:
        threads: of torch, inside the block.
    """
    import torch

    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def keep_freed_memory() -> bool:
    """Let the process keep what tensors free for those that come next.

    The usual allocator of Linux gives large blocks back to the system, which hands them out again
    page by page, each wiped first; a step of training does that with all of its activations. On a
    ConvNet of width 128 and images of 32 pixels it is a third of the time.

    Returns:
        Whether it was done. Other allocators are left alone, and so is a process whose environment
        sets its own (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    chosen = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    adjust = _of_the_allocator("mallopt")
    if chosen or adjust is None:
        return False
    return bool(adjust(M_MMAP_THRESHOLD, LARGEST)) and bool(adjust(M_TRIM_THRESHOLD, LARGEST))


def give_freed_memory_back() -> None:
    """Give what `keep_freed_memory` kept to the system.

    A worker does so between jobs: others may need it, and joblib ends workers that seem to grow.
    """
    trim = _of_the_allocator("malloc_trim")
    if trim is not None and keep_freed_memory():
        trim(ctypes.c_size_t(0))


def _of_the_allocator(name: str) -> Any:
    """A function of glibc, or None where there is none of this name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return None
