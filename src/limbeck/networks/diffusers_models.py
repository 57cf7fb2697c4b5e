"""Denoisers that diffusers wrote: a model, and the scheduler that tells what it says."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning, nearest
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.denoisers import DiffusersNetwork
from limbeck.networks.diffusers_schedules import Told, told_by
from limbeck.networks.making import library, made, mark
from limbeck.networks.noise_schedule import NoiseSchedule

INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
COMPONENTS = ("unet", "transformer")
MODELS = ("UNet2DModel", "DiTTransformer2DModel")
OPTIONS = ("schedule", "prediction", "shift")
FETCHED = [INDEX, CONFIG, "*.safetensors", "unet/*", "transformer/*", "scheduler/*"]
UNREAD = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.py"]


class LoadedNetwork(DiffusersNetwork):
    """A model that diffusers wrote, with what its scheduler was configured as.

    Args:
        model: of diffusers.
        scheduler: configuration, or None where there was none.
    """

    def __init__(self, model: Any, scheduler: Mapping[str, Any] | None) -> None:
        super().__init__(model)
        self.scheduler = None if scheduler is None else dict(scheduler)

    def write_beside(self, folder: Path) -> None:
        """Write what rebuilds the network, without its weights."""
        facts = json.loads(self.model.to_json_string())
        facts.pop("_name_or_path", None)
        _write(folder / CONFIG, facts)
        if self.scheduler is not None:
            _write(folder / SCHEDULER, self.scheduler)


def diffusers_folder(rest: str, stored: Path | None) -> Path | None:
    """The folder behind a name, where diffusers wrote it; a hub's is fetched.

    Args:
        rest: a folder or hub name.
        stored: folder of a product, which goes before.

    Returns:
        The folder, or None where it is none of diffusers.
    """
    place = Path(rest) if stored is None else stored
    if place.is_dir():
        return place if _is_diffusers(place) else None
    return _fetched(rest) if rest.count("/") == 1 else None


def diffusers_model(
    rest: str,
    folder: Path,
    options: Mapping[str, Any],
    space: InputSpace | None,
    outputs: int,
    *,
    weights: bool,
) -> nn.Module:
    """Load a denoiser from a pipeline or model folder.

    Schedule and prediction are read from the scheduler's configuration; where there is none, the
    options ``schedule``, ``prediction`` and ``shift`` tell them.

    Args:
        rest: what it was called.
        folder: where it is.
        options: as above; they must not contradict the scheduler.
        space: of the data; None takes that of the model.
        outputs: classes of the data.
        weights: whether to load them; False makes the model from its configuration.

    Returns:
        The denoiser. Without class embeddings it has no conditions.

    Raises:
        ModelError: diffusers is missing, the model is of another kind, there are no safetensors,
            or model, scheduler, options and data contradict each other.
    """
    name = f"hf:{rest}"
    for option in options:
        if option not in OPTIONS:
            raise ArgumentError(f"{name} has no option {option!r}; {nearest(option, OPTIONS)}")
    diffusers = library("diffusers", "diffusion")
    part = _component(folder, name)
    config = _facts(part / CONFIG)
    kind = config["_class_name"]
    if kind not in MODELS:
        raise ModelError(
            f"{name} is a {kind}, expected one of {', '.join(MODELS)}: models of images that take "
            "classes or nothing"
        )
    scheduler = _scheduler(diffusers, folder, name)
    told = _told(options, scheduler, name)
    maker: Any = getattr(diffusers, kind)
    model = _loaded(maker, part, name) if weights else made(name, lambda: maker.from_config(config))
    network = LoadedNetwork(model, scheduler)
    denoiser = Denoiser(
        network,
        told.schedule,
        prediction=told.prediction,
        shape=_shape(model.config, space, name),
        conditions=_conditions(model, outputs, name),
        precondition=told.precondition,
    )
    if space is not None:
        _check_centred(space, name)
    return mark(denoiser, fresh=False) if weights else denoiser


def _is_diffusers(folder: Path) -> bool:
    config = folder / CONFIG
    return (folder / INDEX).is_file() or (config.is_file() and "_class_name" in _facts(config))


def _fetched(name: str) -> Path | None:
    """A copy of what diffusers wrote on a hub, without pickles; None where it is not there."""
    try:
        import huggingface_hub
    except ImportError:
        return None
    download = huggingface_hub.hf_hub_download
    if not any(_holds(download, name, file) for file in (INDEX, CONFIG)):
        return None
    snapshot: Any = huggingface_hub.snapshot_download
    chosen = {"allow_patterns": FETCHED, "ignore_patterns": UNREAD}
    return Path(made(f"hf:{name}", lambda: snapshot(name, **chosen)))


def _holds(download: Any, name: str, file: str) -> bool:
    """Whether a hub has a file of this name that diffusers wrote."""
    try:
        return _is_diffusers(Path(download(name, file)).parent)
    except Exception:  # a client of the network has errors of its own kind
        return False


def _component(folder: Path, name: str) -> Path:
    """The folder of the model in that of a pipeline, or the folder itself."""
    if not (folder / INDEX).is_file():
        return folder
    index = _facts(folder / INDEX)
    if index.get("text_encoder", [None])[0] is not None:
        raise ModelError(
            f"{name} is a {index['_class_name']}, which is told texts; expected a model that takes "
            "classes or nothing"
        )
    several = [one for one in index if one.startswith(COMPONENTS) and index[one][0] is not None]
    if len(several) > 1:
        raise ModelError(
            f"{name} has {len(several)} networks ({', '.join(several)}), expected one; name the "
            f"folder of one of them, such as {name}/{several[0]}, or give a Routed in Python"
        )
    for component in COMPONENTS:
        if (folder / component / CONFIG).is_file():
            return folder / component
    raise ModelError(
        f"{name} is a {index.get('_class_name')} without a folder {' or '.join(COMPONENTS)}"
    )


def _scheduler(diffusers: Any, folder: Path, name: str) -> dict[str, Any] | None:
    """Configuration of the scheduler with every field, or None where there is none."""
    files = [folder / "scheduler" / SCHEDULER, folder / SCHEDULER]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        return None
    written = _facts(found)
    kind = str(written.get("_class_name"))
    maker: Any = getattr(diffusers, kind, None)
    if maker is None or not kind.endswith("Scheduler"):
        raise ModelError(f"{name}: diffusers has no scheduler {kind!r}")
    # What the file leaves out has the defaults of the class.
    whole = made(name, lambda: maker.from_config(written)).config
    return {
        "_class_name": kind,
        **{field: value for field, value in whole.items() if not field.startswith("_")},
    }


def _told(options: Mapping[str, Any], scheduler: Mapping[str, Any] | None, name: str) -> Told:
    if scheduler is None:
        if not {"schedule", "prediction"} <= set(options):
            raise ModelError(
                f"{name} has no {SCHEDULER}, so its noise is unknown; say "
                "?schedule=flow&prediction=flow, or whatever the model was trained with"
            )
        schedule = NoiseSchedule(
            options["schedule"], shift=options.get("shift", 1.0), units="steps"
        )
        return Told(schedule, options["prediction"], 0.5 if schedule.kind == "edm" else None)
    told = told_by(scheduler, name)
    known = {
        "schedule": told.schedule.kind,
        "prediction": told.prediction,
        "shift": told.schedule.shift,
    }
    for option, given in options.items():
        if given != known[option]:
            raise ModelError(
                f"{name}: {option} is {given!r} and its {scheduler['_class_name']} says "
                f"{known[option]!r}; leave the option out, or change {SCHEDULER}"
            )
    return told


def _loaded(maker: Any, folder: Path, name: str) -> Any:
    try:
        return maker.from_pretrained(folder, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} cannot be loaded: {error}\nonly weights in safetensors are read; write them "
            "with save_pretrained(folder)"
        ) from error


def _shape(config: Mapping[str, Any], space: InputSpace | None, name: str) -> tuple[int, ...]:
    size = config["sample_size"]
    if size is None and space is not None:
        size = space.size
    if size is None:
        raise ModelError(f"{name} has no sample_size; give data, which has one")
    shape = (config["in_channels"], *((size, size) if isinstance(size, int) else size))
    if space is not None and space.shape != shape:
        raise ModelError(
            f"{name} denoises samples of shape {shape} and inputs have shape {space.shape}; give "
            "data of that shape (latents, where the pipeline has a vae)"
        )
    return shape


def _conditions(model: Any, outputs: int, name: str) -> int:
    """Classes that a model takes beside the null condition, which must be its last embedding."""
    if type(model).__name__ == "DiTTransformer2DModel":
        _keep_labels(model)
        classes = model.config.num_embeds_ada_norm
    else:
        if model.config.class_embed_type is not None:
            raise ModelError(
                f"{name} has class_embed_type={model.config.class_embed_type!r}, expected None: "
                "classes by their number"
            )
        classes = (model.config.num_class_embeds or 1) - 1
    if classes and classes != outputs:
        raise ModelError(
            f"{name} has embeddings of {classes} classes and a last one for none, and the data has "
            f"{outputs} classes; expected {outputs} + 1 embeddings"
        )
    return classes


def _keep_labels(model: nn.Module) -> None:
    """Have no label dropped by chance while training: who trains says which are."""
    for module in model.modules():
        if type(module).__name__ == "LabelEmbedding":
            module.dropout_prob = 0.0  # type: ignore[assignment]


def _check_centred(space: InputSpace, name: str) -> None:
    ends = torch.tensor(space.range)[:, None].expand(2, space.shape[0])
    low, high = space.normalise(ends)
    if not torch.allclose(torch.stack([low, high]), torch.tensor([[-1.0], [1.0]]), atol=1e-3):
        warnings.warn(
            f"{name} expects images from -1 to 1 and reads some from {float(low.min()):.3g} to "
            f"{float(high.max()):.3g}; use limbeck.data.centred(data)",
            UnusualUseWarning,
            stacklevel=4,
        )


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}") from None
    return facts if isinstance(facts, dict) else {}


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
