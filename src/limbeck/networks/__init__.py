"""Small networks that limbeck ships: named without a prefix, such as ``mlp?hidden=128x128``."""

from limbeck.networks.small import CNN, MLP, NETWORKS

__all__ = ["CNN", "MLP", "NETWORKS"]
