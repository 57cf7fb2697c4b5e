"""Stand-ins for a trained network, with its contract: springs, and Lennard-Jones atoms."""

from __future__ import annotations

import torch
from torch import nn


class Pairwise(nn.Module):
    """A force field of pairs, Lennard-Jones shifted to 0 at its cutoff, in kcal/mol.

    Args:
        depth: of the well.
        size: where the energy of a pair is 0, in Angstrom.
        cutoff: in Angstrom.
        over: read edges in both directions, or pairs once.
    """

    def __init__(self, depth=0.24, size=3.4, cutoff=8.0, over="edges"):
        super().__init__()
        self.depth = nn.Parameter(torch.tensor(depth, dtype=torch.float64))
        self.size, self.over = size, over
        self.cutoff = self.pair_cutoff = cutoff
        self.species = (1, 6, 18)

    def energy_of(self, length):
        """Energy of pairs, which goes to 0 at the cutoff with its slope."""
        sixth = (self.size / length) ** 6
        near = 4 * self.depth * (sixth**2 - sixth)
        end = (self.size / self.cutoff) ** 6
        value = 4 * self.depth * (end**2 - end)
        slope = -24 * self.depth * (2 * end**2 - end) / self.cutoff
        return near - value - slope * (length - self.cutoff)

    def forward(self, graph):
        first, second = graph[self.over]
        shifts = graph[f"{self.over[:-1]}_shifts"]
        share = 0.5 if self.over == "edges" else 1.0
        with torch.enable_grad():
            vector = graph["positions"][first] - graph["positions"][second] - shifts
            vector = vector.detach().requires_grad_()
            energies = share * self.energy_of(vector.norm(dim=1))
            (slope,) = torch.autograd.grad(energies.sum(), vector)
        frames = len(graph["charge"])
        forces = torch.zeros_like(graph["positions"])
        forces = forces.index_add(0, first, -slope).index_add(0, second, slope)
        of = graph["frame"][first]
        flat = (-slope[:, :, None] * vector[:, None]).detach().reshape(-1, 9)
        charges = graph["positions"].new_ones(len(forces)) * graph["charge"][graph["frame"]]
        charges = charges / torch.bincount(graph["frame"])[graph["frame"]]
        dipole = charges[:, None] * graph["positions"] * 4.8032
        zeros = forces.new_zeros(frames)
        return {
            "energy": zeros.index_add(0, of, energies),
            "forces": forces,
            "virial": forces.new_zeros(frames, 9).index_add(0, of, flat).reshape(-1, 3, 3),
            "charges": charges,
            "dipole": forces.new_zeros(frames, 3).index_add(0, graph["frame"], dipole),
        }
