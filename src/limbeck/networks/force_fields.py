"""Force fields by name: networks that take graphs of atoms."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.get import GET


def get(
    space: InputSpace | None,
    outputs: int,
    *,
    species: str | None = None,
    width: int = 64,
    heads: int = 16,
    layers: int = 3,
    radial: int = 32,
    cutoff: float = 5.0,
    pair_cutoff: float = 10.0,
    dispersion: bool = False,
) -> nn.Module:
    """Make a `GET`, which takes graphs of atoms, whatever the space and outputs.

    Args:
        space: not used.
        outputs: not used.
        species: elements as symbols in one word; runs take them from their data.
        width: as in `GET`.
        heads: as in `GET`.
        layers: as in `GET`.
        radial: as in `GET`.
        cutoff: as in `GET`.
        pair_cutoff: as in `GET`.
        dispersion: as in `GET`, for constants that come with the weights.

    Returns:
        The network.

    Raises:
        ArgumentError: there are no species, or an option is outside its range.

    Example:
        >>> get(None, 1, species="HCO", width=8, heads=2).species
        (1, 6, 8)
    """
    if species is None:
        raise ArgumentError("get needs to know its elements; write get?species=HCO")
    return GET(
        species,
        width=width,
        heads=heads,
        layers=layers,
        radial=radial,
        cutoff=cutoff,
        pair_cutoff=pair_cutoff,
        dispersion=dispersion,
    )


FORCE_FIELDS: dict[str, Callable[..., nn.Module]] = {"get": get}
