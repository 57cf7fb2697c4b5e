"""What a graph of atoms must be before a network looks at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from limbeck.checks import check_floating, is_traced
from limbeck.data.elements import symbol
from limbeck.errors import ArgumentError

NEEDED = (
    "species", "positions", "frame", "charge", "periodic", "edges", "edge_shifts", "pairs",
    "pair_shifts",
)  # fmt: skip
# A periodic frame counts as neutral below this many e.
NEUTRAL = 1e-3


def check_graph(graph: Mapping[str, Tensor]) -> None:
    """Raise `ArgumentError` where a graph lacks a part, or a periodic frame is charged.

    Example:
        >>> check_graph({})
        Traceback (most recent call last):
        ...
        limbeck.errors.ArgumentError: the graph has no 'species'; it has nothing, and needs ...
    """
    for name in NEEDED:
        if name not in graph:
            raise ArgumentError(
                f"the graph has no {name!r}; it has {', '.join(graph) or 'nothing'}, and needs "
                f"{', '.join(NEEDED)}"
            )
    check_floating(graph["positions"], "positions")
    atoms, frames = graph["species"].shape[0], graph["charge"].shape[0]
    for name, rows in (("positions", atoms), ("frame", atoms), ("periodic", frames)):
        if graph[name].shape[0] != rows:
            raise ArgumentError(
                f"{name} has shape {tuple(graph[name].shape)} in a graph of {atoms} atoms and "
                f"{frames} frames, expected {rows} rows"
            )
    if is_traced(graph["charge"]):
        return
    charged = graph["periodic"] & (graph["charge"].abs() > NEUTRAL)
    if bool(charged.any()):
        first = int(charged.nonzero()[0])
        raise ArgumentError(
            f"frame {first} is periodic and has the charge {float(graph['charge'][first]):g}: the "
            "energy of a charged lattice is infinite; add counter-ions until it is neutral"
        )


def check_apart(distance: Tensor, ends: Tensor) -> None:
    """Raise `ArgumentError` where two atoms of an edge lie in one place: forces would be NaN.

    Args:
        distance: lengths of edges, ``(E,)``.
        ends: their atoms, ``(2, E)``.

    Example:
        >>> import torch
        >>> check_apart(torch.tensor([1.0, 0.0]), torch.tensor([[0, 0], [1, 2]]))
        Traceback (most recent call last):
        ...
        limbeck.errors.ArgumentError: atoms 0 and 2 lie in one place; remove one of them
    """
    if is_traced(distance) or not distance.numel():
        return
    if float(distance.detach().amin()) == 0:
        first, second = (int(one) for one in ends[:, int(distance.argmin())])
        raise ArgumentError(f"atoms {first} and {second} lie in one place; remove one of them")


def unknown_element(unknown: Tensor, species: Sequence[int]) -> ArgumentError:
    """The error for atomic numbers that a network is not made for.

    Example:
        >>> import torch
        >>> unknown_element(torch.tensor([35, 35]), (1, 6))
        ArgumentError('the graph holds Br and the network is made for H, C; ...')
    """
    strange = ", ".join(symbol(int(number)) for number in unknown.unique())
    known = ", ".join(map(symbol, species))
    return ArgumentError(
        f"the graph holds {strange} and the network is made for {known}; make and train one whose "
        "species have it too"
    )
