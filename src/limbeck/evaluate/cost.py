"""Cost of a prediction: parameters, multiply-adds, latency, bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.evaluate.quality import Source
from limbeck.features import device_of, evaluating
from limbeck.networks.initialised import LAYERS
from limbeck.teachers import uncounted_bytes

Figures = dict[str, float]
REPEATS = 15


@torch.no_grad()
def cost(source: Source, modules: Sequence[nn.Module], batch: Batch) -> Figures:
    """What one prediction costs on this machine.

    Args:
        source: called as it would be in use; all of its modules take part in a prediction.
        modules: its networks.
        batch: at least one sample; the first is used.

    Returns:
        ``parameters`` and ``bytes`` (weights and buffers) of the networks, ``macs`` multiply-adds
        of matrix products and convolutions for one sample, and ``latency_ms``, the median time of
        a call with one sample. Where a part of the source is no network, such as a forest,
        ``bytes`` counts its stored form, and there is no number of parameters and multiply-adds.

    Example:
        >>> from limbeck.teachers import teacher
        >>> one = teacher(nn.Linear(4, 2))
        >>> figures = cost(one, one.modules, Batch({"x": torch.zeros(1, 4)}))
        >>> figures["parameters"], figures["macs"]
        (10, 8)
    """
    one = batch.rows(slice(0, 1))
    parameters, size = weights(modules)
    latency = round(median_ms(lambda: source(one)), 4)
    beside = uncounted_bytes(source)
    if beside is not None:
        # What the networks alone have would pass for the whole.
        return {"latency_ms": latency, "bytes": size + beside}
    return {
        "parameters": parameters,
        "macs": multiply_adds(source, one),
        "latency_ms": latency,
        "bytes": size,
    }


@torch.no_grad()
def multiply_adds(source: Source, batch: Batch) -> int:
    """Count the multiply-adds of matrix products and convolutions for a batch.

    Args:
        source: called once.
        batch: one sample where the count shall be for one.

    Returns:
        How many.

    Example:
        >>> from limbeck.teachers import teacher
        >>> multiply_adds(teacher(nn.Linear(4, 2)), Batch({"x": torch.zeros(1, 4)}))
        8
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        source(batch)
    return counter.get_total_flops() // 2


def weights(modules: Iterable[nn.Module]) -> tuple[int, int]:
    """Count the parameters of networks, and the bytes of their weights and buffers.

    Args:
        modules: networks; what several of them share counts once.

    Returns:
        How many parameters, and how many bytes.

    Example:
        >>> weights([nn.Linear(4, 2), nn.BatchNorm1d(2)])
        (14, 80)
    """
    modules = list(modules)
    parameters = {id(p): p for m in modules for p in m.parameters()}
    tensors = {**parameters, **{id(b): b for m in modules for b in m.buffers()}}.values()
    count = sum(p.numel() for p in parameters.values())
    return count, sum(t.numel() * t.element_size() for t in tensors)


@torch.no_grad()
def architecture_cost(network: nn.Module, x: torch.Tensor) -> Figures:
    """What a network costs whatever the machine: no clock is asked.

    Args:
        network: its mode and weights stay.
        x: at least one sample; the first is used.

    Returns:
        ``parameters`` and ``bytes``, ``macs`` for one sample, and ``depth``, the number of its
        convolutions and linear layers.

    Example:
        >>> architecture_cost(nn.Linear(4, 2), torch.zeros(1, 4))
        {'parameters': 10, 'macs': 8, 'depth': 1, 'bytes': 40}
    """
    parameters, size = weights([network])
    layers = [one for one in network.modules() if isinstance(one, LAYERS)]
    with evaluating(network):
        macs = multiply_adds(lambda batch: reading.of(network, batch), Batch({"x": x[:1]}))
    return {"parameters": parameters, "macs": macs, "depth": len(layers), "bytes": size}


@torch.no_grad()
def latency_ms(network: nn.Module, x: torch.Tensor) -> float:
    """Median time of a prediction for one sample on this machine.

    Args:
        network: its mode stays.
        x: at least one sample; the first is used.
    """

    def call() -> None:
        network(x[:1])
        if x.is_cuda:
            # Else the time would be that of asking for it.
            torch.cuda.synchronize(x.device)

    with evaluating(network):
        return round(median_ms(call), 4)


@torch.no_grad()
def evaluation_cost(denoiser: Any, level: float) -> Figures:
    """What one evaluation of a denoiser takes.

    Args:
        denoiser: a `Denoiser` or `Routed`.
        level: at which it is asked.

    Returns:
        ``parameters`` and ``bytes`` of all its weights, and ``macs`` for one sample.

    Example:
        >>> from limbeck.data import InputSpace
        >>> from limbeck.networks.names import build
        >>> denoiser = build("denoiser-mlp?width=8&depth=1", InputSpace((2,)), 1)
        >>> evaluation_cost(denoiser, 1.0)["macs"]
        480
    """
    device = device_of(denoiser)
    one = Batch({"x": torch.zeros(1, *denoiser.shape, device=device)})
    parameters, size = weights([denoiser])
    asked: Any = lambda batch: denoiser.predict(batch["x"], level)  # noqa: E731
    return {"parameters": parameters, "macs": multiply_adds(asked, one), "bytes": size}


def median_ms(call: Callable[[], Any]) -> float:
    """Median time of a call in milliseconds, after a few that are not counted."""
    for _ in range(3):
        call()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)
