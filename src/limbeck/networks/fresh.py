"""Fresh: another network of the same architecture, with new weights looked up by key."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.space import InputSpace
from limbeck.errors import ModelError
from limbeck.networks.making import weights_of
from limbeck.networks.names import build, structure


def fresh(
    network: nn.Module | str, space: InputSpace | None, outputs: int, seed_key: int
) -> nn.Module:
    """Make another network of the same architecture; its initial weights depend on the key alone.

    Args:
        network: a name, a module that a name was built to, or any other module, which is copied
            and told to reset its parameters. It is left as it is.
        space: of the inputs, for what is built by name.
        outputs: classes or numbers that come out, for what is built by name.
        seed_key: from `limbeck.keyed.key`.

    Returns:
        The network, in training mode. What a name calls pretrained starts from scratch too.

    Raises:
        ModelError: a submodule holds parameters and cannot reset them (it is named), or a name
            stands for stored weights only.

    Example:
        >>> space = InputSpace(size=(4,))
        >>> one, same = (fresh("mlp?hidden=3", space, 2, keyed.key(7)) for _ in range(2))
        >>> bool((one[1].weight == same[1].weight).all())
        True
        >>> other = fresh(one, space, 2, keyed.key(8))
        >>> bool((one[1].weight == other[1].weight).any())
        False
    """
    name = network if isinstance(network, str) else getattr(network, "limbeck_spec", None)
    with keyed.torch_seeded(seed_key):
        if isinstance(name, str):
            return _built(name, space, outputs)
        return _reset(copy.deepcopy(network))  # type: ignore[arg-type]


def check_stateless(network: nn.Module) -> None:
    """Raise `ModelError` if a network keeps running statistics, which change as it is called.

    Args:
        network: what will be called as a function of its weights; weights may be shared.

    Raises:
        ModelError: a submodule has running statistics; the first is named.

    Example:
        >>> check_stateless(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
        Traceback (most recent call last):
        ...
        limbeck.errors.ModelError: 1 (BatchNorm1d) keeps running statistics, ...
    """
    for name, module in network.named_modules():
        if getattr(module, "running_mean", None) is None:
            continue
        raise ModelError(
            f"{_called(name, module)} keeps running statistics, which change inside a step that "
            "is differentiated through; use a network with norm=instance, or give the layer "
            "track_running_stats=False"
        )


@torch.no_grad()
def check_repeatable(network: nn.Module, space: InputSpace) -> None:
    """Raise `ModelError` unless a network gives the same logits each time it is asked.

    It is asked twice in training mode, as loops do that differentiate through steps.

    Args:
        network: maps images to logits.
        space: of the images.

    Raises:
        ModelError: it gives no tensor, draws at random (dropout), or changes a buffer.

    Example:
        >>> check_repeatable(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)), InputSpace((4,)))
        Traceback (most recent call last):
        ...
        limbeck.errors.ModelError: the Sequential says something else each time ...
    """
    kind, mode = type(network).__name__, network.training
    with keyed.torch_seeded(keyed.key("repeatable")):
        x = torch.randn(2, *space.shape)
        before = {name: one.clone() for name, one in network.named_buffers()}
        first, second = network.train()(x), network(x)
    network.train(mode)
    if not isinstance(first, Tensor):
        raise ModelError(
            f"the {kind} gives a {type(first).__name__}, and logits as a tensor are needed; wrap "
            "it in a module that returns them"
        )
    changed = [name for name, one in network.named_buffers() if not torch.equal(one, before[name])]
    if changed:
        raise ModelError(
            f"the {kind} changes its buffer {changed[0]} when it is called, which a step that is "
            "differentiated through must not; leave that out"
        )
    if not torch.equal(first, second):
        raise ModelError(
            f"the {kind} says something else each time it is asked, as with dropout; a step that "
            "is differentiated through needs the same answer: set the dropout to 0"
        )


def _built(name: str, space: InputSpace | None, outputs: int) -> nn.Module:
    made = build(structure(name), space, outputs, fetch=False)
    if name.startswith("hf:") and weights_of(made):
        raise ModelError(
            f"{name} stands for stored weights, and a fresh network has none of them; name a kind "
            "such as hf:bert, or give another architecture"
        )
    for module in made.modules():
        # Nothing was fetched: a mark would say that weights came with the network.
        module.__dict__.pop("limbeck_weights", None)
    return made


def _reset(network: nn.Module) -> nn.Module:
    for name, module in network.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif any(True for _ in module.parameters(recurse=False)):
            raise ModelError(
                f"{_called(name, module)} holds parameters and has no reset_parameters(), so no "
                "fresh network can be made of it; give its class that method, or give the network "
                "by name"
            )
    return network.train()


def _called(name: str, module: nn.Module) -> str:
    kind = type(module).__name__
    return f"{name} ({kind})" if name else f"the network itself ({kind})"
