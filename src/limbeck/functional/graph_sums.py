"""Sums over the edges of a flat graph of atoms: vectors, forces and virials of whole frames."""

from __future__ import annotations

from torch import Tensor

from limbeck.errors import ArgumentError


def sum_to(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Add up rows that belong together.

    Args:
        values: ``(E, ...)``.
        index: where each row is added, ``(E,)`` int64 from 0 to `count` - 1, in any order.
        count: rows of the result.

    Returns:
        ``(count, ...)``; 0 where nothing is added.

    Example:
        >>> import torch
        >>> sum_to(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 0]), 3)
        tensor([5., 0., 2.])
    """
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, index, values)


def edge_vectors(positions: Tensor, edges: Tensor, shifts: Tensor) -> Tensor:
    r"""Vectors from sending to receiving atoms, :math:`d_{ij} = x_i - x_j - s_{ij}`.

    Args:
        positions: x ``(A, 3)``, in Angstrom.
        edges: receiving and sending atom of each edge, ``(2, E)``.
        shifts: translation of the sending atom's image, ``(E, 3)``, in Angstrom.

    Returns:
        ``(E, 3)``, in Angstrom.

    Raises:
        ArgumentError: shapes do not fit.

    Example:
        >>> import torch
        >>> positions = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
        >>> shift = torch.tensor([[-10.0, 0.0, 0.0]])  # of atom 1, in a cell of 10 Angstrom
        >>> edge_vectors(positions, torch.tensor([[0], [1]]), shift)
        tensor([[1., 0., 0.]])
    """
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ArgumentError(f"positions has shape {tuple(positions.shape)}, expected (A, 3)")
    if edges.ndim != 2 or len(edges) != 2 or shifts.shape != (edges.shape[1], 3):
        raise ArgumentError(
            f"edges has shape {tuple(edges.shape)} and shifts {tuple(shifts.shape)}, expected "
            "(2, E) and (E, 3)"
        )
    receiver, sender = edges
    return positions.index_select(0, receiver) - positions.index_select(0, sender) - shifts


def forces_on_atoms(forces: Tensor, edges: Tensor, atoms: int) -> Tensor:
    r"""Forces on atoms of forces along edges, :math:`F_i = \sum_j f_{ij} - \sum_j f_{ji}`.

    Args:
        forces: on the first atom of each edge, the second being pushed back, ``(E, 3)``.
        edges: first and second atom of each edge, ``(2, E)``.
        atoms: A, how many there are.

    Returns:
        ``(A, 3)``.

    Example:
        >>> import torch
        >>> push = torch.tensor([[2.0, 0.0, 0.0]])
        >>> forces_on_atoms(push, torch.tensor([[0], [1]]), 2)[:, 0]
        tensor([ 2., -2.])
    """
    first, second = edges
    return sum_to(forces, first, atoms).index_add_(0, second, forces, alpha=-1)


def virial_of_edges(forces: Tensor, vectors: Tensor, frame: Tensor, frames: int) -> Tensor:
    r"""Virial of each frame, :math:`W = \sum_{ij} f_{ij} \otimes d_{ij}`.

    It is minus the derivative of the energy by strain, so the stress is :math:`-W / V`.

    Args:
        forces: on the first atom of each edge, ``(E, 3)``.
        vectors: d, from the second to the first atom, ``(E, 3)``.
        frame: of each edge, ``(E,)``.
        frames: N, how many there are.

    Returns:
        ``(N, 3, 3)``.

    Example:
        >>> import torch
        >>> force, vector = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[3.0, 0.0, 0.0]])
        >>> virial_of_edges(force, vector, torch.tensor([0]), 1)[0, 0]
        tensor([6., 0., 0.])
    """
    if frames == 1:  # a product of matrices needs no room for the terms
        return (forces.T @ vectors)[None]
    return sum_to(forces[:, :, None] * vectors[:, None, :], frame, frames)
