"""Features: outputs of inner modules, caught by path while a model runs."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError, UnusualUseWarning, nearest


@contextmanager
def tapped(
    model: nn.Module, paths: Sequence[str], *, inputs: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Catch outputs of inner modules while the block runs; the hooks are gone after it.

    Args:
        model: the model that will be called inside the block.
        paths: module paths as ``model.named_modules()`` has them; ``*`` and ``?`` match within
            the whole path.
        inputs: catch what goes into the modules instead: the first argument of each.

    Yields:
        A dictionary that fills with the outputs by path; a module called twice leaves its last.

    Raises:
        ModelError: a path matches no module; the nearest is suggested.

    Warns:
        UnusualUseWarning: a later module changed an output in place.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
        >>> with tapped(model, ["0"]) as features:
        ...     _ = model(torch.zeros(1, 2))
        >>> features["0"].shape
        torch.Size([1, 4])
    """
    caught: dict[str, Tensor] = {}
    versions: dict[str, int] = {}
    modules = dict(model.named_modules())
    handles = []
    try:
        for path in expand(model, paths):
            hook = _keep(caught, versions, path, inputs)
            handles.append(modules[path].register_forward_hook(hook))
        yield caught
        for path, version in versions.items():
            if caught[path]._version != version:
                warnings.warn(
                    f"the {'input' if inputs else 'output'} of {path} was overwritten in place "
                    "by a later module and holds what came out there; tap that module, or build "
                    "it with inplace=False",
                    UnusualUseWarning,
                    stacklevel=3,
                )
    finally:
        for handle in handles:
            handle.remove()


def expand(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """Return the module paths that patterns stand for, in the order of the model.

    Raises:
        ModelError: a pattern matches nothing.

    Example:
        >>> expand(nn.Sequential(nn.ReLU(), nn.ReLU()), ["*"])
        ['0', '1']
    """
    names = [name for name, _ in model.named_modules() if name]
    chosen: set[str] = set()
    for pattern in paths:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise ModelError(
                f"{type(model).__name__} has no module {pattern!r}; {nearest(pattern, names)}"
            )
        chosen.update(matches)
    return [name for name in names if name in chosen]


class Calls:
    """A forward hook that counts; a copied model has one that counts for itself.

    Example:
        >>> model, calls = nn.Linear(2, 2), Calls()
        >>> _ = model.register_forward_hook(calls), model(torch.zeros(1, 2))
        >>> calls.count
        1
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_said: Any) -> None:
        self.count += 1


@torch.no_grad()
def list_features(model: nn.Module, *inputs: Any) -> dict[str, tuple[int, ...]]:
    """Run a model once and list every feature that can be tapped, with its shape.

    Args:
        model: its mode and weights stay as they are.
        inputs: what to call it with; two samples are enough.

    Returns:
        Shapes by module path, in the order in which the modules were called.

    Example:
        >>> list_features(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), torch.zeros(3, 2))
        {'0': (3, 4), '1': (3, 4)}
    """
    names = [name for name, _ in model.named_modules() if name]
    with evaluating(model), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualUseWarning)
        with tapped(model, names) as caught:
            model(*inputs)
    return {name: tuple(value.shape) for name, value in caught.items()}


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Keep models in evaluation mode while the block runs; every module's own mode comes back."""
    modes = {module: module.training for model in models for module in model.modules()}
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def device_of(model: nn.Module) -> torch.device:
    """Where the weights of a model are; the CPU of one without weights.

    Example:
        >>> device_of(nn.Linear(2, 1))
        device(type='cpu')
    """
    return next((one.device for one in model.parameters()), torch.device("cpu"))


@contextmanager
def on_device(device: torch.device | str, *models: nn.Module) -> Iterator[None]:
    """Keep models on a device while the block runs; each goes back to where it was."""
    homes = [next((one.device for one in model.parameters()), device) for model in models]
    for model in models:
        model.to(device)
    try:
        yield
    finally:
        for model, home in zip(models, homes, strict=True):
            model.to(home)


def _keep(caught: dict[str, Tensor], versions: dict[str, int], path: str, inputs: bool) -> Any:
    def hook(_module: nn.Module, given: Any, output: Any) -> None:
        wanted = given if inputs else output
        first = wanted[0] if isinstance(wanted, (tuple, list)) and wanted else wanted
        if isinstance(first, Tensor):
            # The order of calls, also where a module is called again.
            caught.pop(path, None)
            caught[path] = first
            if not first.is_inference():
                versions[path] = first._version

    return hook


@dataclass(frozen=True)
class LastLayer:
    """Where a classifier ends.

    Args:
        head: path of its last linear layer.
        reads: path of the module whose output, flattened, that layer reads; empty where no module
            gives it.
        before_pooling: path of the module that gives the last map of several places; empty where
            there is none, as in a perceptron.
    """

    head: str
    reads: str
    before_pooling: str


@torch.no_grad()
def find_last_layer(model: nn.Module, x: Tensor, outputs: int) -> LastLayer:
    """Run a classifier once and find its last linear layer, what it reads, and the map before.

    Args:
        model: any network of ours, of timm or of torchvision; its mode and weights stay.
        x: a sample or two.
        outputs: how many numbers the layer gives.

    Returns:
        The paths.

    Raises:
        ModelError: no linear layer gives so many numbers for a sample at the end.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))
        >>> find_last_layer(model, torch.zeros(2, 1, 4, 4), 3)
        LastLayer(head='2', reads='1', before_pooling='0')
    """
    modules = dict(model.named_modules())
    names = [name for name in modules if name]
    with evaluating(model), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualUseWarning)
        with tapped(model, names) as given, tapped(model, names, inputs=True) as read:
            said = model(x)
    order = list(given)
    linear = [name for name in order if isinstance(modules[name], nn.Linear)]
    if not linear or given[linear[-1]].shape != (len(x), outputs):
        raise ModelError(
            f"{type(model).__name__} does not end in a linear layer that gives {outputs} numbers "
            "for a sample, whose gradient tells its classes apart; put an nn.Linear at its end, "
            "or choose another network"
        )
    head = linear[-1]
    if isinstance(said, Tensor) and not torch.equal(said, given[head]):
        raise ModelError(
            f"{type(model).__name__} changes what its last linear layer {head} gives, so that the "
            "gradient of the layer cannot be told from its logits; leave that step out"
        )
    before = order[: order.index(head)][::-1]
    wanted = read[head].flatten(1)
    same = (one for one in before if _is(given[one], wanted))
    maps = (one for one in before if _places(given[one]) > 1)
    return LastLayer(head, next(same, ""), next(maps, ""))


def _is(value: Tensor, wanted: Tensor) -> bool:
    return value.ndim > 1 and torch.equal(value.flatten(1), wanted)


def _places(value: Tensor) -> int:
    """Places of a map ``(N, C, H, W)`` or of tokens ``(N, T, D)``; 1 for anything else."""
    if value.ndim == 3:
        return value.shape[1]
    return value.shape[2:].numel() if value.ndim > 3 else 1
