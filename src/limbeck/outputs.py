"""Outputs: what one model says about one batch, whatever form the model returned it in."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import ModelError, nearest
from limbeck.features import tapped
from limbeck.networks.exits import is_only_stages, last_exit

KNOWN = ("logits", "scores", "energy", "forces")


@dataclass(frozen=True)
class Outputs:
    """What one model says about N samples.

    Args:
        logits: unnormalised class scores ``(N, C)``, or predicted numbers for regression.
        features: tensors by name, as asked for when the model was run.
        scores: relevance scores ``(N, n)``.
        energy: ``(N,)``.
        forces: ``(N, 3)`` an atom.
        extra: whatever else the model returned.
    """

    logits: Tensor | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Tensor | None = None
    energy: Tensor | None = None
    forces: Tensor | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def read(self, path: str) -> Tensor:
        """Return a tensor by name: ``"logits"``, ``"features.NAME"``, ``"extra.NAME"``.

        Raises:
            ModelError: there is no such output; those present are listed.

        Example:
            >>> import torch
            >>> Outputs(logits=torch.zeros(2, 3)).read("logits").shape
            torch.Size([2, 3])
        """
        group, _, name = path.partition(".")
        if group in ("features", "extra") and name:
            found = getattr(self, group).get(name)
        else:
            found = getattr(self, path, None) if path in KNOWN else None
        if not isinstance(found, Tensor):
            raise ModelError(f"the model gave no output {path!r}; {nearest(path, self.names())}")
        return found

    def names(self) -> list[str]:
        """Paths that `read` would find."""
        present = [name for name in KNOWN if getattr(self, name) is not None]
        present += [f"features.{name}" for name in self.features]
        return present + [
            f"extra.{name}" for name, v in self.extra.items() if isinstance(v, Tensor)
        ]


def of(model: nn.Module, batch: Batch, features: Sequence[str] = ()) -> Outputs:
    """Run a model on a batch and read what it returns.

    A tensor is taken as logits. A tuple's first tensor is taken as logits and the others as
    ``extra``. Of a mapping or a transformers output, the known keys (logits, scores, energy,
    forces, features) are read; hidden states and attentions become features by number. A network
    that is a list of ``exit_stages`` and no more says what the last of them does.

    Args:
        model: called with ``batch["x"]``; where the batch has no ``"x"``, with the columns that
            the model's ``forward`` names, or with the whole where it takes a ``graph``.
        batch: the samples.
        features: module paths (with ``*``) whose outputs shall be kept as features.

    Returns:
        The outputs, with gradient if the caller's context has it.

    Raises:
        ModelError: the model cannot take the inputs, or returns nothing known.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))
        >>> batch = Batch({"x": torch.zeros(5, 2)})
        >>> of(model, batch, features=["0"]).features["0"].shape
        torch.Size([5, 4])
    """
    if not features:
        return parse(_call(model, batch), model)
    with tapped(unwrapped(model), features) as caught:
        returned = _call(model, batch)
    outputs = parse(returned, model)
    return Outputs(**{**vars(outputs), "features": {**outputs.features, **caught}})


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that the engine wrapped, or the module itself."""
    # Fabric's wrapper keeps the user's module under this name; importing it to ask is slow.
    return getattr(model, "_original_module", model)


def parse(returned: Any, model: object = None) -> Outputs:
    """Read a model's return value as `of` does.

    Raises:
        ModelError: it holds no known output.
    """
    name = type(model).__name__ if model is not None else "the model"
    if isinstance(returned, Outputs):
        return returned
    if isinstance(returned, Tensor):
        return Outputs(logits=returned)
    if isinstance(returned, Mapping):
        return _from_mapping(returned, name)
    if isinstance(returned, (tuple, list)) and returned and isinstance(returned[0], Tensor):
        return Outputs(
            logits=returned[0],
            extra={str(place): value for place, value in enumerate(returned[1:], start=1)},
        )
    raise ModelError(
        f"{name} returns a {type(returned).__name__}; expected a tensor of logits, a tuple that "
        f"starts with one, or a mapping with one of the keys {', '.join(KNOWN)}"
    )


def _from_mapping(returned: Mapping[str, Any], name: str) -> Outputs:
    known = {key: returned[key] for key in KNOWN if isinstance(returned.get(key), Tensor)}
    features = _flat("features", returned.get("features"))
    for group in ("hidden_states", "attentions"):
        features |= _flat(group, returned.get(group), f"{group}.")
    if not known and not features:
        raise ModelError(
            f"{name} returns a mapping with the keys {', '.join(map(str, returned))}, none of "
            f"which limbeck knows; name one of {', '.join((*KNOWN, 'features'))}, such as "
            'return {"logits": y}'
        )
    rest = {
        key: value
        for key, value in returned.items()
        if key not in (*KNOWN, "features", "hidden_states", "attentions")
    }
    return Outputs(**known, features=features, extra=rest)


def _flat(group: str, given: Any, prefix: str = "") -> dict[str, Any]:
    """Features by name: a mapping has names, a sequence numbers, a tensor that of its group."""
    if isinstance(given, Tensor):
        return {group: given}
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given or ())
    return {f"{prefix}{name}": value for name, value in pairs}


def _call(model: nn.Module, batch: Batch) -> Any:
    if "x" in batch:
        x = _beside_weights(model, batch["x"])
        return last_exit(model, x) if is_only_stages(model) else model(x)
    accepted = inspect.signature(unwrapped(model).forward).parameters
    if "graph" in accepted:
        # Graphs of unequal size laid flat: what belongs to atoms, edges and frames goes together.
        return model(batch)
    given = {name: batch[name] for name in accepted if name in batch}
    if not given:
        raise ModelError(
            f"{type(model).__name__}.forward takes {', '.join(accepted)} and the batch has "
            f"{', '.join(batch)}: no name in common; rename columns or arguments"
        )
    return model(**given)


def _beside_weights(model: nn.Module, x: Tensor) -> Tensor:
    """Inputs where the weights are, and in their precision, whichever data and model came with."""
    first = next((one for one in model.parameters() if one.is_floating_point()), None)
    if first is None:
        return x
    if not x.is_floating_point() or torch.is_autocast_enabled(first.device.type):
        return x.to(first.device)
    return x.to(first.device, first.dtype)
