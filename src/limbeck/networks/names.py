"""Networks by name: a prefix says where from, options ride behind a question mark."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError, UnknownNameError, absent, nearest
from limbeck.naming import split_name
from limbeck.networks.adapted import Adapted, adapted
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.force_fields import FORCE_FIELDS
from limbeck.networks.making import few, last_layer, library, made, mark, with_head
from limbeck.networks.own import NETWORKS
from limbeck.networks.shortlisted import shortlisted

PREFIXES = ("timm", "torchvision", "hf", "file", "shortlist")
PICKLES = (".pkl", ".pickle", ".joblib")
SIZE_IS_OURS = "size works only with pretrained=true; other networks take the size of the data"


def build(
    name: str,
    space: InputSpace | None,
    outputs: int,
    *,
    fetch: bool = True,
    stored: Path | None = None,
) -> nn.Module:
    """Build the network that a name stands for.

    Args:
        name: one of limbeck's own such as ``mlp``, ``cnn`` or ``convnet``, ``timm:NAME``,
            ``torchvision:NAME``, ``hf:KIND`` (made from its configuration), each with options;
            ``hf:FOLDER`` or a hub name, with its weights, of a classifier or, where diffusers wrote
            it, of a denoiser; ``shortlist:RUN?rank=1``, what a search found; or
            ``file:WEIGHTS.safetensors?network=NAME``. With ``pretrained=true`` (of torchvision also
            the name of its weights, such as ``IMAGENET1K_V1``) the network keeps its own input
            space (size, channels, mean, std; another side with ``size=N``) and
            inputs are converted to it.
        space: of the inputs; None for ``get``, which takes graphs of atoms.
        outputs: classes or numbers that come out.
        fetch: whether pretrained weights may be fetched; a product that brings its own does not.
        stored: folder of a product, with what its network wrote beside the weights.

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
    # What a search found has a name of its own, and is known by it.
    name = _found(name)
    prefix, rest, options = split_name(name)
    if prefix == "":
        network = _own(rest, options, space, outputs)
    elif prefix == "timm":
        network = _timm(rest, options, space, outputs, fetch)
    elif prefix == "torchvision":
        network = _torchvision(rest, options, space, outputs, fetch)
    elif prefix == "hf":
        from limbeck.networks.diffusers_models import diffusers_folder, diffusers_model
        from limbeck.networks.hugging_face import hugging_face

        folder = diffusers_folder(rest, stored)
        if folder is not None:
            network = diffusers_model(rest, folder, options, space, outputs, weights=not stored)
        else:
            network = hugging_face(rest, options, space, outputs, stored)
    elif prefix == "file":
        network = _file(rest, options, space, outputs)
    else:
        also = "; estimators teach, and are no students" if prefix == "sklearn" else ""
        raise UnknownNameError(
            f"no networks are known under {prefix + ':'!r}; {nearest(prefix, PREFIXES)}{also}"
        )
    network.limbeck_spec = name  # type: ignore[assignment]
    return network


def structure(name: str) -> str:
    """The name without the file that its weights came from: what rebuilds the network.

    Example:
        >>> structure("file:weights.safetensors?network=mlp?hidden=8")
        'mlp?hidden=8'
    """
    name = _found(name)
    prefix, rest, options = split_name(name)
    if prefix == "hf" and Path(rest).is_dir():
        return name.replace(rest, Path(rest).name, 1)
    return options["network"] if prefix == "file" else name


def _found(name: str) -> str:
    """A name, or that which a shortlist has in its place."""
    prefix, rest, options = split_name(name)
    return shortlisted(Path(rest), options) if prefix == "shortlist" else name


def _own(rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int) -> nn.Module:
    if rest not in NETWORKS:
        known = [*NETWORKS, *(f"{prefix}:NAME" for prefix in PREFIXES)]
        raise UnknownNameError(f"there is no network {rest!r}; {nearest(rest, known)}")
    maker = NETWORKS[rest]
    known = list(inspect.signature(maker).parameters)[2:]
    for option in options:
        if option not in known:
            raise ArgumentError(f"{rest} has no option {option!r}; {nearest(option, known)}")
    if space is None and rest not in FORCE_FIELDS:
        raise ArgumentError(f"{rest} needs to know the shape of its inputs; give data with one x")
    return maker(space, outputs, **options)


def _timm(
    rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int, fetch: bool
) -> nn.Module:
    timm = library("timm")
    if not timm.is_model(rest.split(".")[0]):
        raise UnknownNameError(f"timm has no model {rest!r}; {few(rest, timm.list_models())}")
    given = {"pretrained": False, "num_classes": outputs, **options}
    size = given.pop("size", None)
    trained = given["pretrained"]
    given["pretrained"] = trained and fetch
    images = space is not None and space.channels is not None
    if images and not trained:
        given.setdefault("in_chans", space.channels)  # type: ignore[union-attr]
    if size and not trained:
        raise ArgumentError(f"timm:{rest}: {SIZE_IS_OURS}")
    config = made(f"timm:{rest}", lambda: timm.get_pretrained_cfg(rest, allow_unregistered=True))
    if images and config is not None and config.fixed_input_size:
        shown = space.size if not trained else size  # type: ignore[union-attr]
        if shown is not None:
            given.setdefault("img_size", shown)
    network = made(f"timm:{rest}", lambda: timm.create_model(rest, **given))
    if trained:
        own = network.pretrained_cfg.get("num_classes", outputs)
        mark(network, fresh=own != outputs)
    if not (images and trained):
        return network
    facts = timm.data.resolve_model_data_config(network)
    native = InputSpace(
        size=(size, size) if size else tuple(facts["input_size"][1:]),
        channels=facts["input_size"][0],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
    )
    return adapted(network, space, native)


def _torchvision(
    rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int, fetch: bool
) -> nn.Module:
    models = library("torchvision").models
    if rest not in models.list_models():
        raise UnknownNameError(
            f"torchvision has no model {rest!r}; {few(rest, models.list_models())}"
        )
    options = dict(options)
    size, trained = options.pop("size", None), options.pop("pretrained", False)
    name = f"torchvision:{rest}"
    if not trained:
        if size:
            raise ArgumentError(f"{name}: {SIZE_IS_OURS}")
        options["num_classes"] = outputs
        network = made(name, lambda: models.get_model(rest, weights=None, **options))
        # These networks take colour; grey pixels are spread over their three channels.
        if space is None or space.channels != 1:
            return network
        wide = dataclasses.replace(space, channels=3, mean=space.mean * 3, std=space.std * 3)
        return adapted(network, space, wide)
    known = models.get_model_weights(rest)
    if isinstance(trained, str) and trained not in known.__members__:
        raise ArgumentError(
            f"{name} has no weights {trained!r}; {nearest(trained, list(known.__members__))}"
        )
    weights = known[trained] if isinstance(trained, str) else known.DEFAULT
    chosen = weights if fetch else None
    network = made(name, lambda: models.get_model(rest, weights=chosen, **options))
    shown = weights.transforms()
    side = size or shown.crop_size[0]
    native = InputSpace((side, side), 3, tuple(shown.mean), tuple(shown.std))
    own = last_layer(network)[1]
    headed = with_head(network, outputs)
    mark(headed, fresh=last_layer(headed)[1] is not own)
    return adapted(headed, space, native)


def _file(rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int) -> nn.Module:
    path = Path(rest)
    if path.suffix.lower() in PICKLES:
        raise ModelError(
            f"file:{rest} is a pickle, which can run code when it is opened. Write a fitted "
            "estimator with skops.io.dump(estimator, 'model.skops') and name file:model.skops; "
            "weights of a network with safetensors.torch.save_file(model.state_dict(), "
            "'weights.safetensors')"
        )
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
    whole = set(weights) == set(network.state_dict())
    inside = network.network if isinstance(network, Adapted) and not whole else network
    head = last_layer(inside)[0]
    told = weights.get(f"{head}.weight")
    # What a denoiser says has the shape of its inputs, whatever the classes.
    headed = not isinstance(network, Denoiser)
    fresh = headed and told is not None and told.ndim > 1 and len(told) != outputs
    if fresh:
        # Weights for other classes keep all but their last layer.
        kept = {key: value for key, value in weights.items() if key.rpartition(".")[0] != head}
        own = inside.state_dict()
        weights = kept | {key: own[key] for key in own if key.rpartition(".")[0] == head}
    try:
        inside.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights in {path} do not fit {inner}: {error}") from None
    return mark(network, fresh=fresh)


def read_weights(path: Path) -> dict[str, Any]:
    """Read a state dictionary from a safetensors file or a torch file of plain tensors.

    Raises:
        ModelError: there is no such file, or it holds pickled code or no tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(absent(path))
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
