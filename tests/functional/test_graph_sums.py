"""Sums over the edges of a graph of atoms."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.graph_sums import (
    edge_vectors,
    forces_on_atoms,
    sum_to,
    virial_of_edges,
)

EDGES = torch.tensor([[0, 1, 2, 2, 0], [1, 0, 0, 1, 0]])


def randn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_sums_written_out():
    values = randn(5, 2)
    expected = torch.stack([values[EDGES[0] == atom].sum(0) for atom in range(4)])
    torch.testing.assert_close(sum_to(values, EDGES[0], 4), expected)
    assert sum_to(values[:0], EDGES[0, :0], 2).tolist() == [[0.0, 0.0]] * 2


def test_forces_cancel_and_virials_are_sums_of_products():
    forces, vectors, frame = randn(5, 3), randn(5, 3) + 1, torch.tensor([0, 0, 1, 1, 0])
    on_atoms = forces_on_atoms(forces, EDGES, 3)
    assert float(on_atoms.sum(0).abs().amax()) < 1e-12
    torch.testing.assert_close(on_atoms[2], forces[2] + forces[3])
    expected = torch.einsum("ei,ej->eij", forces, vectors)
    two = virial_of_edges(forces, vectors, frame, 2)
    torch.testing.assert_close(two[1], expected[2] + expected[3])
    one = virial_of_edges(forces, vectors, torch.zeros_like(frame), 1)
    torch.testing.assert_close(one[0], two.sum(0))


def test_refusals():
    with pytest.raises(ArgumentError, match=r"expected \(A, 3\)"):
        edge_vectors(randn(3, 2), EDGES, randn(5, 3))
    with pytest.raises(ArgumentError, match=r"expected \(2, E\)"):
        edge_vectors(randn(3, 3), EDGES, randn(4, 3))
