"""Memory that training takes: what optimisers keep, what a step keeps for its way back, what is
free."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.loops.optim import Optim

PROBE = 64


def content_bytes(value: Any) -> int:
    """Bytes of the tensors in nested containers.

    Example:
        >>> content_bytes({"a": [torch.zeros(3), 1.0], "b": torch.zeros(2, dtype=torch.int8)})
        14
    """
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(content_bytes, value.values()))
    return sum(map(content_bytes, value)) if isinstance(value, (list, tuple, set)) else 0


def optimiser_bytes(optim: Optim, parameters: Iterable[nn.Parameter]) -> int:
    """Bytes that an optimiser keeps after a step, found with a small parameter in place of all.

    Args:
        optim: how the parameters learn.
        parameters: what is to be trained; they are not touched.

    Returns:
        Bytes of its state.

    Example:
        >>> optimiser_bytes(Optim("sgd", momentum=0.9), nn.Linear(9, 1).parameters())
        40
    """
    kept: dict[torch.dtype, list[Tensor]] = {}
    size = 0
    for one in parameters:
        if not one.requires_grad:
            continue
        if one.dtype not in kept:
            probe = nn.Parameter(torch.zeros(PROBE, dtype=one.dtype))
            probe.grad = torch.zeros_like(probe)
            optimiser = optim.build([probe])
            optimiser.step()
            kept[one.dtype] = [t for t in optimiser.state[probe].values() if isinstance(t, Tensor)]
        for tensor in kept[one.dtype]:
            # What has the shape of the parameter grows with it; a counter of steps does not.
            count = one.numel() if tensor.shape == (PROBE,) else tensor.numel()
            size += count * tensor.element_size()
    return size


class Saved:
    """Counts, inside the block, the bytes that autograd keeps alive for the way back.

    Weights do not count: they are there anyway. Tensors that share memory count once.

    Args:
        modules: whose weights do not count.
        limit: of these bytes; None sets none.

    Raises:
        MemoryError: inside the block, when the limit is passed: before the machine comes to a
            halt.

    Example:
        >>> with Saved([]) as saved:
        ...     torch.zeros(8, requires_grad=True).exp().sum().backward()
        >>> saved.peak
        32
    """

    def __init__(self, modules: Iterable[nn.Module], limit: int | None = None) -> None:
        self.peak = self._alive = 0
        self._limit = limit
        self._holders: dict[int, int] = {}
        self._known = {
            tensor.untyped_storage().data_ptr() for m in modules for tensor in m.parameters()
        }
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _pack(self, tensor: Tensor) -> _Held:
        held = _Held(self, tensor)
        if self._limit is not None and self._alive > self._limit:
            raise MemoryError(f"a step keeps more than {self._limit:,} bytes for its way back")
        return held

    def take(self, place: int, size: int) -> None:
        """Note that one more holds the memory at a place."""
        if place in self._known:
            return
        self._holders[place] = self._holders.get(place, 0) + 1
        if self._holders[place] == 1:
            self._alive += size
            self.peak = max(self.peak, self._alive)

    def release(self, place: int, size: int) -> None:
        """Note that one less holds it."""
        if place in self._known:
            return
        self._holders[place] -= 1
        if not self._holders[place]:
            self._alive -= size
            del self._holders[place]


class _Held:
    """A tensor that autograd keeps; its end is noted."""

    __slots__ = ("_owner", "_place", "_size", "tensor")

    def __init__(self, owner: Saved, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._owner, self.tensor = owner, tensor
        self._place, self._size = storage.data_ptr(), storage.nbytes()
        owner.take(self._place, self._size)

    def __del__(self) -> None:
        self._owner.release(self._place, self._size)


def held_bytes(device: torch.device) -> int:
    """Bytes that this process holds now: of a GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    table = Path("/proc/self/statm")
    if table.exists():
        return int(table.read_text().split()[1]) * resource.getpagesize()
    # The most it ever held: the nearest that such a system tells; in kilobytes except on a Mac.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def free_bytes(device: torch.device) -> int:
    """Bytes that may still be taken: of a GPU's memory, or of the machine's."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    table = Path("/proc/meminfo")
    lines = table.read_text().splitlines() if table.exists() else []
    told = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([*(told or [whole]), *left_of_container(Path("/sys/fs/cgroup"))])


def left_of_container(folder: Path) -> list[int]:
    """Bytes that a container leaves to its processes; nothing where none is set.

    Args:
        folder: where the kernel tells of the container.
    """
    limit, counts = folder / "memory.max", folder / "memory.stat"
    if not limit.exists() or not counts.exists() or not limit.read_text().strip().isdigit():
        return []
    words = dict(line.split() for line in counts.read_text().splitlines())
    # Pages of files can be dropped when memory is wanted; only the others are really taken.
    return [max(0, int(limit.read_text()) - int(words.get("anon", 0)))]
