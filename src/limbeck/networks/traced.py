"""Force fields as one graph of tensor operations, forces included, for compilers and exporters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx


class TracedForceField(nn.Module):
    """What a force field does to one frame, recorded with its differentiation by positions.

    Any number of atoms, edges and pairs fits; values are not checked. ``torch.compile(
    traced.operations, dynamic=True)`` turns it into machine code.

    Args:
        network: a force field; it is recorded in inference with the weights that it has.
        graph: one frame of at least two atoms, as an example.

    Example:
        >>> from limbeck.networks.get import GET
        >>> pair = {
        ...     "species": torch.tensor([1, 1]),
        ...     "positions": torch.eye(3)[:2],
        ...     "frame": torch.zeros(2, dtype=torch.long),
        ...     "charge": torch.zeros(1),
        ...     "edges": torch.tensor([[0, 1], [1, 0]]),
        ...     "edge_shifts": torch.zeros(2, 3),
        ...     "pairs": torch.tensor([[0, 0], [1, 1]])[:, :1],
        ...     "pair_shifts": torch.zeros(1, 3),
        ...     "periodic": torch.tensor([False]),
        ... }
        >>> network = GET("H", width=8, heads=2, layers=2, radial=4)
        >>> found = TracedForceField(network, pair)(pair)
        >>> torch.equal(found["forces"], network.eval()(pair)["forces"])
        True
    """

    def __init__(self, network: nn.Module, graph: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.inputs = tuple(graph)
        training = network.training
        network.eval()
        try:
            self.outputs = tuple(network(graph))

            def said(*values: Tensor) -> list[Tensor]:
                return [*network(dict(zip(self.inputs, values, strict=True))).values()]

            record = make_fx(said, tracing_mode="symbolic", _allow_non_fake_inputs=True)
            self.operations = record(*graph.values())
        finally:
            network.train(training)

    def forward(self, graph: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the network says of a graph of one frame with the parts of the example."""
        with torch.no_grad():  # forces are part of what was recorded
            said = self.operations(*(graph[name] for name in self.inputs))
        return dict(zip(self.outputs, said, strict=True))
