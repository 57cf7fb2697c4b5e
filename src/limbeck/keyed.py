"""Randomness that is looked up by key, never carried along.

A draw depends on its key (seed, stage, epoch or step) and, for draws per sample, on the sample's
id; not on what was drawn before, nor on the process or worker that draws it. So a resumed run, a
run on two processes and any number of loader workers see the same numbers.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1


def key(*parts: int | str) -> int:
    """Return a 64-bit key for a tuple of numbers and words.

    Args:
        parts: what tells this draw from every other, such as ``seed, stage, step``. Numbers and
            words of NumPy count as plain ones.

    Returns:
        An integer from 0 to 2**64 - 1, the same on every machine.

    Example:
        >>> key(0, "student", 1) == key(0, "student", 1)
        True
        >>> key(0, "student", 1) == key(0, "student", 2)
        False
    """
    plain = [str(part) if isinstance(part, str) else operator.index(part) for part in parts]
    return int.from_bytes(hashlib.blake2b(repr(plain).encode(), digest_size=8).digest(), "little")


def permutation(seed_key: int, count: int) -> npt.NDArray[np.int64]:
    """Return the numbers 0 to count - 1 in an order fixed by the key.

    Example:
        >>> sorted(permutation(key(0), 4).tolist())
        [0, 1, 2, 3]
    """
    return np.random.Generator(np.random.Philox(key=seed_key)).permutation(count)


def uniform(seed_key: int, ids: npt.NDArray[np.int64], draws: int) -> npt.NDArray[np.float64]:
    """Return uniform numbers in [0, 1) that depend on the key and on each sample's id alone.

    Args:
        seed_key: from `key`.
        ids: stable sample ids, ``(N,)``.
        draws: how many numbers a sample needs, M.

    Returns:
        Array ``(N, M)`` of float64.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over a counter.

    Example:
        >>> first = uniform(key(0), np.array([3, 5]), 2)
        >>> bool((uniform(key(0), np.array([5]), 2)[0] == first[1]).all())
        True
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        rows = _mix(ids.astype(np.uint64) * golden + np.uint64(seed_key & _MASK))
        columns = np.arange(1, draws + 1, dtype=np.uint64) * golden
        bits = _mix(rows[:, None] + columns[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def seed_torch(seed_key: int) -> None:
    """Seed torch's global generators, on the CPU and on every accelerator in use.

    Twenty times cheaper than ``torch.manual_seed``, which prepares for accelerators that are not
    there.
    """
    import torch

    torch.default_generator.manual_seed(seed_key & _MASK >> 1)
    # Asking whether there is an accelerator opens its driver library each time.
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed_key & _MASK >> 1)


@contextmanager
def torch_seeded(seed_key: int) -> Iterator[None]:
    """Seed torch's global generator inside the block and put the caller's state back after it."""
    import torch

    with torch.random.fork_rng():
        seed_torch(seed_key)
        yield


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
