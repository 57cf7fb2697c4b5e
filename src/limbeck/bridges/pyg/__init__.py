"""Graphs of PyG and networkx as data of limbeck, and back."""

from limbeck.bridges.pyg.graphs import from_networkx, from_pyg, to_pyg

__all__ = ["from_networkx", "from_pyg", "to_pyg"]
