"""BatchNorm layers of a network: matched with their running statistics, or run on the batch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.errors import ArgumentError, ModelError
from limbeck.functional import matched_batch_norm, statistics_distance


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers of a model, in module order.

    Args:
        model: any network.

    Returns:
        Its layers of one, two or three dimensions, synchronised ones as well; a layer that stands
        in several places comes once.

    Raises:
        ModelError: there is none, or one has no running statistics.

    Example:
        >>> [one.num_features for one in batch_norms(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)))]
        [4]
    """
    named = _named(model)
    for path, layer in named.items():
        _running(path, layer)
    return list(named.values())


def check_evaluating(model: nn.Module) -> None:
    """Raise `ModelError` where a module of a model is in training mode."""
    for path, module in model.named_modules():
        if module.training:
            raise ModelError(
                f"{path or type(model).__name__} is in training mode, in which BatchNorm does not "
                "use its running statistics and changes them; call model.eval() first"
            )


class Matched:
    """What `statistics_matched` yields: the distances of the layers in the pass just made."""

    def __init__(self, named: dict[str, _BatchNorm]) -> None:
        self._named = named
        self._calls: dict[nn.Module, list[Tensor]] = {}

    def distances(self) -> list[Tensor]:
        """The `statistics_distance` of the input of each layer, in module order.

        Returns:
            Tensors ``()``, one a layer; of a layer that was called several times, the mean.

        Raises:
            ModelError: no pass has been made, or a layer was not called in it.
        """
        for path, layer in self._named.items():
            if not self._calls.get(layer):
                raise ModelError(
                    f"the BatchNorm layer {path} was not called in the last pass, so there is "
                    "nothing to match its statistics with; call the model inside the block first, "
                    "and take a network that uses all of its layers"
                )
        calls = [self._calls[layer] for layer in self._named.values()]
        return [one[0] if len(one) == 1 else torch.stack(one).mean() for one in calls]

    def _begin(self, _model: nn.Module, _given: Any) -> None:
        self._calls.clear()

    def _normalise(self, path: str, x: Tensor) -> Tensor:
        layer = self._named[path]
        layer._check_input_dim(x)
        y, distance = matched_batch_norm(
            x, *_running(path, layer), layer.weight, layer.bias, eps=layer.eps
        )
        self._calls.setdefault(layer, []).append(distance)
        return y

    def _watch(self, path: str, layer: _BatchNorm, given: tuple[Tensor, ...]) -> None:
        distance = statistics_distance(given[0], *_running(path, layer))
        self._calls.setdefault(layer, []).append(distance)


@contextmanager
def statistics_matched(model: nn.Module) -> Iterator[Matched]:
    """Tell how far each batch is from the running statistics that a model was trained on.

    Inside the block each BatchNorm layer computes the distance of its input together with its
    output, which stays the same. Distances have a gradient; running statistics never change.

    Args:
        model: in evaluation mode, called as ``model(x)`` inside the block. Weights that require
            no grad are the fast case; channels last is the fastest layout on a CPU.

    Yields:
        An object whose `distances` are those of the pass just made.

    Raises:
        ModelError: there is no BatchNorm layer, one has no running statistics, or a module is in
            training mode.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)).eval()
        >>> with statistics_matched(model) as matched:
        ...     _ = model(torch.randn(8, 2))
        ...     [distance.shape for distance in matched.distances()]
        [torch.Size([])]

    Source: Yin, Xing and Shen, arXiv 2306.13092.
    """
    named = _named(model)
    for path, layer in named.items():
        _running(path, layer)
    check_evaluating(model)
    matched = Matched(named)
    with ExitStack() as restored:
        restored.enter_context(model.register_forward_pre_hook(matched._begin))
        for path, layer in named.items():
            # A class with a forward of its own may do more than normalise, and so may a layer
            # that was given one, as by an outer block: these are watched.
            if type(layer).forward is _BatchNorm.forward and "forward" not in vars(layer):
                vars(layer)["forward"] = partial(matched._normalise, path)
                restored.callback(vars(layer).pop, "forward")
            else:
                restored.enter_context(
                    layer.register_forward_pre_hook(partial(matched._watch, path))
                )
        yield matched


@contextmanager
def batch_statistics(*models: nn.Module) -> Iterator[None]:
    """Let BatchNorm layers normalise by the statistics of the batch while the block runs.

    The variance is the biased one. Running statistics and counters stay as they are, to the bit,
    and no other module changes its mode: dropout stays off in a model in evaluation mode.

    Args:
        models: networks with BatchNorm layers, in any mode. Inside the block these layers hold no
            running statistics, so save no weights there.

    Raises:
        ModelError: a model has no BatchNorm layer.
        ArgumentError: inside the block, when a batch leaves a layer one value a channel.

    Example:
        >>> layer = nn.BatchNorm1d(1, affine=False).eval()
        >>> with batch_statistics(layer):
        ...     layer(torch.tensor([[3.0], [5.0]])).flatten().round().tolist()
        [-1.0, 1.0]
        >>> layer.running_mean.tolist()
        [0.0]

    Source: Cui et al., arXiv 2501.07575, batch-specific soft labels; in the published code the
    running statistics drift meanwhile.
    """
    named = [pair for model in models for pair in _named(model).items()]
    with ExitStack() as restored:
        for path, layer in named:
            restored.callback(
                _give_back, layer, layer.running_mean, layer.running_var, layer.training
            )
            # Without running statistics a layer in evaluation mode takes those of the batch.
            _give_back(layer, None, None, False)
            check = partial(_check_several, path)
            restored.enter_context(layer.register_forward_pre_hook(check))
        yield


def _give_back(
    layer: _BatchNorm, mean: Tensor | None, variance: Tensor | None, training: bool
) -> None:
    layer.running_mean, layer.running_var, layer.training = mean, variance, training


def _check_several(path: str, _layer: nn.Module, given: tuple[Tensor, ...]) -> None:
    x = given[0]
    if x.ndim > 1 and x.numel() <= x.shape[1]:
        raise ArgumentError(
            f"the BatchNorm layer {path} gets a batch of shape {tuple(x.shape)}, one value a "
            "channel or none, which has no variance; give two or more images at once, such as by "
            "joining a last batch of one to the one before"
        )


def _named(model: nn.Module) -> dict[str, _BatchNorm]:
    named = {
        path or type(layer).__name__: layer
        for path, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
    }
    if not named:
        raise ModelError(
            f"the {type(model).__name__} has no BatchNorm layer, and the running statistics are "
            "what images are recovered from; take a network with BatchNorm, such as "
            "resnet18?norm=batch, convnet?norm=batch or torchvision:resnet18"
        )
    return named


def _running(path: str, layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    if layer.running_mean is None or layer.running_var is None:
        raise ModelError(
            f"the BatchNorm layer {path} has no running statistics, which images are recovered "
            "from; build and train the network with track_running_stats=True, and match nothing "
            "inside batch_statistics"
        )
    return layer.running_mean, layer.running_var
