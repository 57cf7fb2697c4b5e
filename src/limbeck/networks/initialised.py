"""Initialised: the weights of a network drawn anew, all layers in the same way."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.checks import check_choice

Initialisation = Literal["normal", "kaiming"]
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Of batches, and of instances.
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def initialised(network: nn.Module, how: Initialisation, seed_key: int) -> nn.Module:
    """Draw the weights of convolutions and linear layers, fixed by a key.

    Biases become 0, and norms multiply by 1 and add 0. Parameters of other layers, such as the
    embedding of positions, stay as they are.

    Args:
        network: changed in place.
        how: ``"normal"`` draws from N(0, 1) whatever the width of a layer, ``"kaiming"`` divides
            by the width so that ReLUs keep the variance.
        seed_key: from `limbeck.keyed.key`.

    Returns:
        The network.

    Example:
        >>> one, same = (initialised(nn.Linear(2, 3), "normal", 7) for _ in range(2))
        >>> torch.equal(one.weight, same.weight), one.bias.tolist()
        (True, [0.0, 0.0, 0.0])
    """
    check_choice(how, "how", ("normal", "kaiming"))
    # Drawn where any machine draws alike.
    generator = torch.Generator().manual_seed(seed_key & (1 << 63) - 1)
    for module in network.modules():
        if isinstance(module, LAYERS):
            module.weight.copy_(_drawn(module.weight, how, generator))
        elif isinstance(module, NORMS) and module.weight is not None:
            nn.init.ones_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def _drawn(weight: Tensor, how: Initialisation, generator: torch.Generator) -> Tensor:
    drawn = torch.empty(weight.shape)
    if how == "kaiming":
        return nn.init.kaiming_normal_(drawn, generator=generator)
    return nn.init.normal_(drawn, generator=generator)
