"""Force fields recorded as one graph of operations."""

import torch

from limbeck.networks.get import GET
from limbeck.networks.traced import TracedForceField

from .atom_graphs import graph_of, molecules


def test_other_sizes_and_periodic_frames_come_out_the_same():
    torch.manual_seed(0)
    network = GET("HCOF", width=8, heads=2, layers=3, radial=4, pair_cutoff=6.0).double()
    frames = [graph_of(*molecules(seed, seed + 1)) for seed in (1, 2)]
    frames.append(graph_of(*molecules(3, 2), cell=7.0 * torch.eye(3).numpy(), pair_cutoff=6.0))
    traced = TracedForceField(network, frames[0])
    assert network.training
    network.eval()
    for frame in frames:
        for name, value in network(frame).items():
            torch.testing.assert_close(traced(frame)[name], value)
