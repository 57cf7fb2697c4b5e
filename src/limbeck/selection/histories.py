"""Histories: which training samples networks get right, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from limbeck import outputs
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.errors import ArgumentError
from limbeck.features import evaluating

Truth = npt.NDArray[np.bool_]


def right_over_epochs(networks: Iterable[nn.Module], data: Data) -> Truth:
    """Say of every training sample after which epochs it was classified rightly.

    Args:
        networks: as they were after successive epochs. They are asked one at a time, so that a
            generator may load the weights of each epoch into one network.
        data: its training split holds the samples.

    Returns:
        The table ``(E, N)`` that `limbeck.selection.forgetting_counts` reads.

    Raises:
        ArgumentError: the data is no classification, or there are no networks.

    Example:
        >>> from limbeck.data import digits
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> right_over_epochs([network, network], digits()).shape
        (2, 1211)

    Source: Toneva et al., arXiv 1812.05159, who look at each sample when a batch shows it; here all
        samples are looked at after each epoch.
    """
    if data.task != "classification":
        raise ArgumentError(f"{data.name} is a {data.task} task, and only classes are got right")
    rows = [right_samples(network, data) for network in networks]
    if not rows:
        raise ArgumentError("there are no networks; give one for each epoch")
    return np.stack(rows)


@torch.no_grad()
def right_samples(network: nn.Module, data: Data) -> Truth:
    """Say which training samples a network classifies rightly, ``(N,)``; it stays as it is."""
    with evaluating(network):
        parts = [
            outputs.of(network, batch).read("logits").argmax(1) == batch["y"]
            for batch in sequential(data, data.train)
        ]
    found: Truth = torch.cat(parts).numpy()
    return found
