"""Parts of the graph equivariant transformer that speak of charges and of pairs of atoms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limbeck.checks import is_traced
from limbeck.data.elements import symbol
from limbeck.errors import ArgumentError
from limbeck.functional.electrostatics import balanced_charges
from limbeck.functional.pair_potentials import PairPotential, cso_dispersion
from limbeck.networks.get_layers import head

Constants = Mapping[int, tuple[float, float]]


class OnSite(NamedTuple):
    """Electronegativity and hardness of each atom, ``(A,)`` in kcal/mol/e and kcal/mol/e²."""

    electronegativity: Tensor
    hardness: Tensor


class Charges(nn.Module):
    r"""Charges of atoms, and what it costs an element to hold one, :math:`\chi q + \eta q^2`.

    Args:
        width: D, scalars of an atom.
        bound: no charge goes beyond it before the shift to the total charge, in e.

    Raises:
        ArgumentError: the bound is not above 0.

    Example:
        >>> total, frame = torch.tensor([-1.0]), torch.zeros(4, dtype=torch.long)
        >>> Charges(8, 2.0)(torch.randn(4, 8), frame, total).sum().round(decimals=4).item()
        -1.0
    """

    def __init__(self, width: int, bound: float) -> None:
        super().__init__()
        if not bound > 0:
            raise ArgumentError(f"charge_bound is {bound}, expected a number above 0")
        self.bound, self.head = bound, head(width)
        self.electronegativity, self.hardness = head(width), head(width)

    def forward(self, x: Tensor, frame: Tensor, total: Tensor) -> Tensor:
        """Charges ``(A,)`` of atoms with scalars x ``(A, D)``, which sum to `total` ``(N,)``."""
        free = self.bound * torch.tanh(self.head(x)[:, 0] / self.bound)
        return balanced_charges(free, frame, total.to(free.dtype))

    def on_site(self, elements: Tensor, kind: Tensor) -> OnSite:
        """Costs of the elements ``(S, D)`` that atoms are, `kind` ``(A,)`` being their places."""
        said = (part(elements).square()[:, 0] for part in (self.electronegativity, self.hardness))
        return OnSite(*(one.index_select(0, kind) for one in said))


class Dispersion(nn.Module):
    """D3-CSO dispersion of pairs, by constants of the elements.

    Its attribute `added` says whether a network adds it: None, in evaluation mode alone; see
    `dispersed`.

    Args:
        species: atomic numbers.
        constants: C6 in kcal/mol Angstrom^6 and R0 in Angstrom by atomic number; None leaves room
            for constants that are loaded.
        cutoff: in Angstrom; pairs beyond it add nothing.

    Raises:
        ArgumentError: an element has no constants.

    Example:
        >>> helium = Dispersion([2], {2: (21.0, 1.6)}, 10.0)
        >>> pairs, kind = torch.tensor([[0], [1]]), torch.zeros(2, dtype=torch.long)
        >>> helium(kind, pairs, torch.tensor([12.0])).energy
        tensor([0.])
    """

    constants: Tensor

    def __init__(self, species: Sequence[int], constants: Constants | None, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.added: bool | None = None
        missing = [symbol(one) for one in species if constants is not None and one not in constants]
        if missing:
            raise ArgumentError(
                f"dispersion lacks {', '.join(missing)}; give C6 and R0 of every element of species"
            )
        rows = [(0.0, 0.0) if constants is None else constants[one] for one in species]
        self.register_buffer("constants", torch.tensor(rows))

    def forward(self, kind: Tensor, pairs: Tensor, distance: Tensor) -> PairPotential:
        """Energy and force of pairs ``(2, P)`` at distances ``(P,)``, atoms being of a `kind`.

        Raises:
            ArgumentError: constants were never given.
        """
        self.check()
        first, second = (self.constants.index_select(0, kind[one]) for one in pairs)
        c6, radius = (first[:, 0] * second[:, 0]).sqrt(), (first[:, 1] + second[:, 1]) / 2
        found = cso_dispersion(distance, c6, radius, cutoff=self.cutoff)
        inside = distance < self.cutoff
        return PairPotential(*(torch.where(inside, one, 0.0) for one in found))

    def check(self) -> None:
        """Raise `ArgumentError` if room was left for constants and none were put there."""
        if not is_traced(self.constants) and not bool(self.constants.any()):
            raise ArgumentError(
                "dispersion is true and its constants are all 0, so that it adds nothing; give "
                "GET(..., dispersion={8: (C6, R0), ...}) of every element, load weights that hold "
                "constants, or leave dispersion out"
            )


@contextmanager
def dispersed(network: nn.Module, added: bool | None) -> Iterator[None]:
    """Say for a while whether a network adds its dispersion.

    Members learn labels that lack dispersion; targets of frames, and a network's own past, hold it.

    Args:
        network: those of its parts that are a `Dispersion` are told; it may have none.
        added: whether to add it in either mode; None adds it in evaluation mode alone.

    Example:
        >>> helium = Dispersion([2], {2: (21.0, 1.6)}, 10.0)
        >>> with dispersed(helium, True):
        ...     helium.added
        True
    """
    parts = [one for one in network.modules() if isinstance(one, Dispersion)]
    before = [one.added for one in parts]
    for one in parts:
        one.added = added
    try:
        yield
    finally:
        for one, was in zip(parts, before, strict=True):
            one.added = was
