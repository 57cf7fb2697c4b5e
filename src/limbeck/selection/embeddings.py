"""Embeddings: what a trained network sees in samples just before its last layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limbeck import outputs
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.splits import Split
from limbeck.errors import ModelError
from limbeck.features import device_of, evaluating, tapped


@torch.no_grad()
def embeddings(network: nn.Module, data: Data, split: Split, *, batch_size: int = 512) -> Tensor:
    """Return what goes into the network's last linear layer, for every sample.

    Of a network without a linear layer it is what comes out.

    Args:
        network: trained; its mode and weights stay as they are.
        data: tells how inputs are read.
        split: the samples.
        batch_size: samples looked at together.

    Returns:
        Features ``(N, D)`` on the CPU, in the order of the split.

    Raises:
        ModelError: the network does not call its last linear layer.

    Example:
        >>> from limbeck.data import digits
        >>> data = digits()
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        >>> embeddings(network, data, data.test).shape
        torch.Size([450, 16])

    Source: kmeans-emb of Cui et al., arXiv 2207.09639; the layer is the one they cluster on.
    """
    # A layer is known by its path, and a network that is a single layer has none of its own.
    housed = nn.Sequential(network)
    linear = [name for name, module in housed.named_modules() if isinstance(module, nn.Linear)]
    found = []
    with evaluating(housed), tapped(housed, linear[-1:], inputs=True) as caught:
        device = device_of(network)
        for batch in sequential(data, split, batch_size):
            caught.clear()
            batch = batch.to(device)
            said = outputs.of(network, batch).read("logits")
            if not linear:
                found.append(said.flatten(1).float().cpu())
                continue
            if linear[-1] not in caught:
                raise ModelError(
                    f"{type(network).__name__} does not call {linear[-1][2:]}, its last linear "
                    "layer; use limbeck.features.tapped with a module path instead"
                )
            found.append(caught[linear[-1]].flatten(1).float().cpu())
    return torch.cat(found)
