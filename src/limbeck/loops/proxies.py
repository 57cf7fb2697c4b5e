"""Proxies: scores of an untrained network from one batch, the usual ones that others stand beside.

Each takes a network as it was initialised and leaves it so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.batch import Batch
from limbeck.errors import NotFiniteError, SettingsError, nearest
from limbeck.features import LastLayer, tapped
from limbeck.functional.zero_cost import (
    activation_pattern_score,
    gradient_norm,
    synaptic_saliency,
    zen_score,
)

# Ways to call a ReLU, each of which is seen once.
RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
# How far a second random input lies from the first, of the size of an input.
STEP = 0.01


def proxy_scores(
    names: Sequence[str], network: nn.Module, last: LastLayer, x: Tensor, y: Tensor, seed_key: int
) -> dict[str, float]:
    """Scores by name, more being better.

    Args:
        names: of `PROXIES`.
        network: initialised.
        last: where it ends.
        x: inputs of a batch.
        y: class indices.
        seed_key: of the random inputs that some look at.

    Returns:
        A number each; minus infinity where it is none.

    Raises:
        SettingsError: there is no proxy of a name.
    """
    found = {}
    for name in names:
        if name not in PROXIES:
            raise SettingsError(f"there is no proxy {name!r}; {nearest(name, PROXIES)}")
        with keyed.torch_seeded(seed_key):
            try:
                value = float(PROXIES[name](copy.deepcopy(network).train(), last, x, y))
            except NotFiniteError:
                value = -float("inf")
        found[name] = value if abs(value) < float("inf") else -float("inf")
    return found


def _nwot(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad(), _Units() as units:
        network(x)
    return activation_pattern_score(units.on) if units.on else torch.tensor(-torch.inf)


class _Units(TorchFunctionMode):
    """Note where ReLUs are on, be they modules, called several times, or functions."""

    def __init__(self) -> None:
        super().__init__()
        self.on: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Tensor:
        said = func(*args, **(kwargs or {}))
        if func in RELUS:
            self.on.append(said > 0)
        return said


def _snip(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor) -> Tensor:
    return synaptic_saliency(*_gradients(network, x, y), absolute=True)


def _gradient_norm(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor) -> Tensor:
    return gradient_norm(_gradients(network, x, y)[1])


def _gradients(network: nn.Module, x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    loss = F.cross_entropy(_logits(network, x), y)
    return _differentiated(network, loss)


def _synflow(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor) -> Tensor:
    """Logarithm of it: its own size doubles with every layer."""
    # Statistics of no data, so that normalisation changes nothing and signal flows through.
    for norm in _norms(network):
        norm.reset_running_stats()
    network.double().eval()
    with torch.no_grad():
        for one in network.parameters():
            one.abs_()
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64, device=x.device)
    return synaptic_saliency(*_differentiated(network, _logits(network, ones).sum())).log()


def _zen(network: nn.Module, last: LastLayer, x: Tensor, y: Tensor) -> Tensor:
    here = torch.randn(x.shape, device=x.device)
    beside = here + STEP * torch.randn(x.shape, device=x.device)
    said = []
    with torch.no_grad(), _variances(network) as variances:
        for inputs in (here, beside):
            with tapped(network, [last.head], inputs=True) as caught:
                network(inputs)
            said.append(caught[last.head])
    return zen_score(said[0], said[1], variances[: len(variances) // 2])


@contextmanager
def _variances(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the variances of channels that norms of batches see."""
    found: list[Tensor] = []

    def note(_module: nn.Module, given: Any) -> None:
        value = given[0]
        found.append(value.var([0, *range(2, value.ndim)], unbiased=False))

    handles = [one.register_forward_pre_hook(note) for one in _norms(network)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _norms(network: nn.Module) -> list[Any]:
    """Its norms of batches."""
    return [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]


def _differentiated(network: nn.Module, value: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of several axes, and the gradients of a number with respect to them."""
    weights: list[Tensor] = [
        one for one in network.parameters() if one.ndim > 1 and one.requires_grad
    ]
    gradients = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
    return weights, list(gradients)


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    return reading.of(network, Batch({"x": x})).read("logits")


PROXIES: dict[str, Callable[[nn.Module, LastLayer, Tensor, Tensor], Tensor]] = {
    "nwot": _nwot,
    "synflow": _synflow,
    "snip": _snip,
    "gradient-norm": _gradient_norm,
    "zen": _zen,
}
