"""Own: every network that limbeck ships, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from limbeck.networks.cells import CELLS
from limbeck.networks.convnet import CONVNETS
from limbeck.networks.denoisers import DENOISERS
from limbeck.networks.families import FAMILIES
from limbeck.networks.force_fields import FORCE_FIELDS
from limbeck.networks.graph_networks import GRAPH_NETWORKS
from limbeck.networks.mixture import MIXTURE
from limbeck.networks.reference import REFERENCES
from limbeck.networks.resnet import RESNETS
from limbeck.networks.small import SMALL

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    **SMALL,
    **CONVNETS,
    **REFERENCES,
    **FAMILIES,
    **RESNETS,
    **CELLS,
    **DENOISERS,
    **MIXTURE,
    **FORCE_FIELDS,
    **GRAPH_NETWORKS,
}
