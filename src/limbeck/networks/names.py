"""Networks by name: a prefix says where from, options ride behind a question mark."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError, UnknownNameError, nearest
from limbeck.naming import split_name
from limbeck.networks.adapted import Adapted
from limbeck.networks.small import NETWORKS

PREFIXES = ("timm", "torchvision", "file")
SIZE_IS_OURS = "size works only with pretrained=true; other networks take the size of the data"


def build(name: str, space: InputSpace | None, outputs: int, *, fetch: bool = True) -> nn.Module:
    """Build the network that a name stands for.

    Args:
        name: ``mlp``, ``cnn``, ``timm:NAME``, ``torchvision:NAME``, each with options; or
            ``file:WEIGHTS.safetensors?network=NAME``. With ``pretrained=true`` the network keeps
            its own input space (size, channels, mean, std; another side with ``size=N``) and
            inputs are converted to it.
        space: of the inputs.
        outputs: classes or numbers that come out.
        fetch: whether pretrained weights may be fetched; a product that brings its own does not.

    Returns:
        The network, with the name in its attribute ``limbeck_spec``.

    Raises:
        ModelError: the name is unknown (the nearest is suggested), a library is missing, or
            weights cannot be had.
        ArgumentError: an option is unknown or does not fit.

    Example:
        >>> build("mlp?hidden=8", InputSpace(size=(4,)), 3)[1]
        Linear(in_features=4, out_features=8, bias=True)
    """
    prefix, rest, options = split_name(name)
    if prefix == "":
        network = _own(rest, options, space, outputs)
    elif prefix == "timm":
        network = _timm(rest, options, space, outputs, fetch)
    elif prefix == "torchvision":
        network = _torchvision(rest, options, space, outputs, fetch)
    elif prefix == "file":
        network = _file(rest, options, space, outputs)
    else:
        raise UnknownNameError(
            f"no models are known under {prefix + ':'!r}; {nearest(prefix, PREFIXES)}"
        )
    network.limbeck_spec = name  # type: ignore[assignment]
    return network


def is_pretrained(name: str) -> bool:
    """Whether a name brings weights of its own: a file, or ``pretrained=true``."""
    prefix, _, options = split_name(name)
    return prefix == "file" or bool(options.get("pretrained", False))


def structure(name: str) -> str:
    """The name without the file that its weights came from: what rebuilds the network.

    Example:
        >>> structure("file:weights.safetensors?network=mlp?hidden=8")
        'mlp?hidden=8'
    """
    prefix, _, options = split_name(name)
    return options["network"] if prefix == "file" else name


def _own(rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int) -> nn.Module:
    if rest not in NETWORKS:
        known = [*NETWORKS, *(f"{prefix}:NAME" for prefix in PREFIXES)]
        raise UnknownNameError(f"there is no network {rest!r}; {nearest(rest, known)}")
    maker = NETWORKS[rest]
    known = list(inspect.signature(maker).parameters)[2:]
    for option in options:
        if option not in known:
            raise ArgumentError(f"{rest} has no option {option!r}; {nearest(option, known)}")
    if space is None:
        raise ArgumentError(f"{rest} needs to know the shape of its inputs; give data with one x")
    return maker(space, outputs, **options)


def _timm(
    rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int, fetch: bool
) -> nn.Module:
    timm = _library("timm")
    if not timm.is_model(rest.split(".")[0]):
        raise UnknownNameError(f"timm has no model {rest!r}; {_few(rest, timm.list_models())}")
    given = {"pretrained": False, "num_classes": outputs, **options}
    size = given.pop("size", None)
    trained = given["pretrained"]
    given["pretrained"] = trained and fetch
    images = space is not None and space.channels is not None
    if images and not trained:
        given.setdefault("in_chans", space.channels)  # type: ignore[union-attr]
    if size and not trained:
        raise ArgumentError(f"timm:{rest}: {SIZE_IS_OURS}")
    config = _made(f"timm:{rest}", lambda: timm.get_pretrained_cfg(rest, allow_unregistered=True))
    if images and config is not None and config.fixed_input_size:
        shown = space.size if not trained else size  # type: ignore[union-attr]
        if shown is not None:
            given.setdefault("img_size", shown)
    network = _made(f"timm:{rest}", lambda: timm.create_model(rest, **given))
    if not (images and trained):
        return network
    facts = timm.data.resolve_model_data_config(network)
    native = InputSpace(
        size=(size, size) if size else tuple(facts["input_size"][1:]),
        channels=facts["input_size"][0],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )
    return _adapted(network, space, native)


def _torchvision(
    rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int, fetch: bool
) -> nn.Module:
    models = _library("torchvision").models
    if rest not in models.list_models():
        raise UnknownNameError(
            f"torchvision has no model {rest!r}; {_few(rest, models.list_models())}"
        )
    options = dict(options)
    size, trained = options.pop("size", None), options.pop("pretrained", False)
    name = f"torchvision:{rest}"
    if not trained:
        if size:
            raise ArgumentError(f"{name}: {SIZE_IS_OURS}")
        options["num_classes"] = outputs
        network = _made(name, lambda: models.get_model(rest, weights=None, **options))
        # These networks take colour; grey pixels are spread over their three channels.
        if space is None or space.channels != 1:
            return network
        wide = dataclasses.replace(space, channels=3, mean=space.mean * 3, std=space.std * 3)
        return _adapted(network, space, wide)
    weights = models.get_model_weights(rest).DEFAULT
    chosen = weights if fetch else None
    network = _made(name, lambda: models.get_model(rest, weights=chosen, **options))
    shown = weights.transforms()
    side = size or shown.crop_size[0]
    native = InputSpace((side, side), 3, tuple(shown.mean), tuple(shown.std))
    return _adapted(_with_head(network, outputs), space, native)


def _adapted(network: nn.Module, space: InputSpace | None, native: InputSpace) -> nn.Module:
    """Put the conversion before a network that was trained on another space than the data's."""
    if space is None or space.channels is None or space == native:
        return network
    return Adapted(network, space, native)


def _with_head(model: nn.Module, outputs: int) -> nn.Module:
    """Put a new last layer on where the number of outputs differs."""
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    if not layers:
        raise ModelError(f"{type(model).__name__} has no last layer to replace")
    name, last = layers[-1]
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


def _file(rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int) -> nn.Module:
    path = Path(rest)
    inner = options.pop("network", None)
    if not isinstance(inner, str):
        raise ModelError(
            f"file:{rest} holds weights and no code; say which network they are for: "
            f"file:{rest}?network=timm:resnet18"
        )
    if options:
        raise ArgumentError(f"file: has no option {next(iter(options))!r}; Valid: network")
    network = build(inner, space, outputs, fetch=False)
    weights = read_weights(path)
    inside = network.network if isinstance(network, Adapted) else network
    try:
        inside.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights in {path} do not fit {inner}: {error}") from None
    return network


def read_weights(path: Path) -> dict[str, Any]:
    """Read a state dictionary from a safetensors file or a torch file of plain tensors.

    Raises:
        ModelError: there is no such file, or it holds pickled code or no tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"{path} does not exist")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, weights_only=True, map_location="cpu")
    except SafetensorError as error:
        raise ModelError(f"{path} is no whole safetensors file: {error}") from None
    except Exception as error:  # a file of another kind can fail in the reader in any way
        raise ModelError(
            f"{path} is not read: it is damaged or a pickle, which can run code when it is "
            "opened. Save the weights with safetensors.torch.save_file(model.state_dict(), "
            f"'weights.safetensors') and name that file ({type(error).__name__})"
        ) from None
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} holds a {type(loaded).__name__}, expected a state dictionary")
    return loaded


def _made(name: str, make: Any) -> Any:
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


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ModelError(f"{name} is not installed; pip install 'limbeck[vision]'") from None


def _few(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {', '.join(close)}?" if close else f"it has {len(names)} others"
