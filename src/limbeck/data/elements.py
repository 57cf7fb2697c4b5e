"""Elements: symbols and atomic numbers of what an atomic network is made for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from limbeck.errors import ArgumentError

SYMBOL = re.compile("[A-Z][a-z]?|.")
SYMBOLS = SYMBOL.findall(
    "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdIn"
    "SnSbTeIXeCsBaLaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaUNpPu"
    "AmCmBkCfEsFmMdNoLrRfDbSgBhHsMtDsRgCnNhFlMcLvTsOg"
)


def symbol(number: int) -> str:
    """The symbol of an atomic number, or ``element N`` where there is none.

    Example:
        >>> symbol(3)
        'Li'
    """
    return SYMBOLS[number - 1] if 0 < number <= len(SYMBOLS) else f"element {number}"


def symbols(numbers: Iterable[int]) -> list[str]:
    """Symbols of elements, each once, in order of their atomic numbers.

    Example:
        >>> symbols([8, 1, 1])
        ['H', 'O']
    """
    return [symbol(number) for number in sorted(set(map(int, numbers)))]


def species_of(species: str | Iterable[int]) -> tuple[int, ...]:
    """Atomic numbers, each once and in order.

    Args:
        species: symbols in one word, as in a formula without counts, or atomic numbers.

    Returns:
        The numbers.

    Raises:
        ArgumentError: a symbol is unknown, a number is no element's, or there is none.

    Example:
        >>> species_of("HLiCOFP"), species_of([8, 1, 8])
        ((1, 3, 6, 8, 9, 15), (1, 8))
    """
    if isinstance(species, str):
        words = SYMBOL.findall(species)
        unknown = [word for word in words if word not in SYMBOLS]
        numbers = [SYMBOLS.index(word) + 1 for word in words if word not in unknown]
    else:
        numbers = [int(number) for number in species]
        unknown = [str(number) for number in numbers if not 0 < number <= len(SYMBOLS)]
    if unknown or not numbers:
        said = f"; no element is {', '.join(unknown)}" if unknown else ""
        raise ArgumentError(
            f"species is {species!r}, expected symbols such as 'HLiCOFP' or atomic numbers{said}"
        )
    return tuple(sorted(set(numbers)))


def formula_of(species: Iterable[int]) -> str:
    """Symbols and how many of each, carbon and hydrogen first (Hill's order).

    Example:
        >>> formula_of([8, 1, 6, 1, 1, 1]), formula_of([8, 1, 1])
        ('CH4O', 'H2O')
    """
    counts = Counter(symbol(int(number)) for number in species)
    first = ("C", "H") if "C" in counts else ()
    order = sorted(counts, key=lambda one: (first.index(one) if one in first else 2, one))
    return "".join(f"{one}{counts[one] if counts[one] > 1 else ''}" for one in order)
