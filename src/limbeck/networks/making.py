"""What makers of networks from libraries share: the import, the errors, the new head."""

from __future__ import annotations

from typing import Any

from torch import nn

from limbeck.errors import ArgumentError, ModelError


def mark(network: nn.Module, *, fresh: bool) -> nn.Module:
    """Note that a network brought weights, and whether its last layer had to be made new."""
    network.limbeck_weights = "fresh head" if fresh else "brought"  # type: ignore[assignment]
    return network


def weights_of(network: nn.Module) -> str:
    """What a built network brought: ``"brought"``, ``"fresh head"``, or nothing: ``""``.

    Example:
        >>> weights_of(nn.Sequential(mark(nn.Linear(2, 2), fresh=True)))
        'fresh head'
    """
    marks = (getattr(module, "limbeck_weights", "") for module in network.modules())
    return next(filter(None, marks), "")


def last_layer(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The last layer that makes outputs, and its name."""
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    if not layers:
        raise ModelError(f"{type(model).__name__} has no last layer to replace")
    return layers[-1]


def with_head(model: nn.Module, outputs: int) -> nn.Module:
    """Put a new last layer on where the number of outputs differs."""
    name, last = last_layer(model)
    if (last.out_features if isinstance(last, nn.Linear) else last.out_channels) == outputs:
        return model
    if isinstance(last, nn.Linear):
        head: nn.Module = nn.Linear(last.in_features, outputs)
    else:
        head = nn.Conv2d(last.in_channels, outputs, last.kernel_size)  # type: ignore[arg-type]
    if not name:
        return head
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, head)
    return model


def made(name: str, make: Any) -> Any:
    """Call a library's maker; turn what it raises into an error that says what to do."""
    try:
        return make()
    except TypeError as error:
        raise ArgumentError(f"{name} does not take these options: {error}") from None
    except Exception as error:  # a client of the network has errors of its own kind
        raise ModelError(
            f"{name} cannot be made: {error}\nif its weights cannot be fetched, use "
            "?pretrained=false, or bring them: file:WEIGHTS.safetensors?network="
            f"{name}"
        ) from error


def library(name: str, extra: str = "vision") -> Any:
    """Import a library that models come from, or say how to install it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ModelError(f"{name} is not installed; pip install 'limbeck[{extra}]'") from None


def few(name: str, names: list[str]) -> str:
    """The nearest of many names, in words."""
    import difflib

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {', '.join(close)}?" if close else f"it has {len(names)} others"
