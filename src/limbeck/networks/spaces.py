"""Spaces of networks to choose from: named choices, and what makes a network of them."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from limbeck import keyed
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, LimbeckError, ModelError, UnknownNameError, nearest
from limbeck.fingerprint import fingerprint
from limbeck.networks.cells import EDGES, OPERATIONS
from limbeck.networks.names import build

# One number for each choice: which of its values is taken.
Code = tuple[int, ...]
CHOICE = re.compile(r"\{([^{}]*)\}")
OPTION = re.compile(r"[?&]([^?&=]+)=[^?&]*$")
# Spaces of publications, as names with choices in braces.
PUBLISHED = {
    "resnet-s1": "resnet?blocks={1,3,5,7}x{1,3,5,7}x{1,3,5,7}",
    "nas-bench-201": f"cells?edges={'-'.join(['{' + ','.join(OPERATIONS) + '}'] * len(EDGES))}",
}


class Space:
    """Networks that differ in named choices.

    Args:
        choices: the values of each, by name: words and numbers.
        make: called with one value of each by name; returns a network, or a name such as
            ``"mlp?hidden=64"``, which a `Shortlist` can hand on to any method.
        name: for people.

    Raises:
        ArgumentError: there is no choice, or one without values, with equal ones, or with one that
            is no word and no number.

    Example:
        >>> space = Space({"width": (8, 16), "depth": (1, 2, 3)}, lambda width, depth: "mlp")
        >>> space.size, space.decode((1, 0)), space.encode({"width": 16, "depth": 1})
        (6, {'width': 16, 'depth': 1}, (1, 0))
    """

    def __init__(
        self,
        choices: Mapping[str, Sequence[Any]],
        make: Callable[..., nn.Module | str],
        name: str = "space",
    ) -> None:
        self.choices = {label: tuple(values) for label, values in choices.items()}
        self.make, self.name = make, name
        if not self.choices:
            raise ArgumentError(f"{name} has no choices, expected at least one with its values")
        for label, values in self.choices.items():
            for value in values:
                if not isinstance(value, (str, int, float, bool)):
                    raise ArgumentError(
                        f"{name}: choice {label!r} has the value {value!r}, expected words and "
                        "numbers, which a shortlist can store; let the function make of them what "
                        "it needs"
                    )
            # True is 1, and 1.0 too.
            if not values or len({*values}) < len(values):
                raise ArgumentError(
                    f"{name}: choice {label!r} has the values {values}, expected at least one, "
                    "each once"
                )

    @property
    def size(self) -> int:
        """How many candidates there are, invalid ones included."""
        return math.prod(map(len, self.choices.values()))

    @property
    def fingerprint(self) -> str:
        """Short name of its content."""
        return fingerprint([self.choices, self.make])

    def codes(self) -> Iterator[Code]:
        """All candidates in order, the last choice changing first."""
        return itertools.product(*(range(len(one)) for one in self.choices.values()))

    def sample(self, seed_key: int) -> Code:
        """A candidate fixed by a key, each being as likely."""
        draws = keyed.uniform(seed_key, np.zeros(1, dtype=np.int64), len(self.choices))[0]
        sizes = map(len, self.choices.values())
        return tuple(int(draw * size) for draw, size in zip(draws, sizes, strict=True))

    def mutate(self, code: Code, seed_key: int, count: int = 1) -> Code:
        """A candidate that differs from another in some choices, fixed by a key.

        Args:
            code: the other.
            seed_key: from `limbeck.keyed.key`.
            count: how many choices change; all that have several values, where they are fewer.

        Example:
            >>> space = Space({"width": (8, 16), "depth": (1, 2, 3)}, lambda **choices: "mlp")
            >>> sum(a != b for a, b in zip(space.mutate((0, 0), 7), (0, 0)))
            1
        """
        sizes = [len(one) for one in self.choices.values()]
        draws = keyed.uniform(seed_key, np.arange(len(sizes)), 2)
        open_places = [place for place, size in enumerate(sizes) if size > 1]
        changed = list(code)
        for place in sorted(open_places, key=lambda one: draws[one, 0])[:count]:
            step = 1 + int(draws[place, 1] * (sizes[place] - 1))
            changed[place] = (code[place] + step) % sizes[place]
        return tuple(changed)

    def decode(self, code: Code) -> dict[str, Any]:
        """The choices by name."""
        return {
            name: values[place]
            for (name, values), place in zip(self.choices.items(), code, strict=True)
        }

    def encode(self, choices: Mapping[str, Any]) -> Code:
        """The code of choices.

        Raises:
            ArgumentError: a choice is missing or unknown, or has no such value.
        """
        if set(choices) != set(self.choices):
            raise ArgumentError(
                f"choices are {', '.join(choices)}, expected {', '.join(self.choices)}"
            )
        for name, value in choices.items():
            if value not in self.choices[name]:
                known = ", ".join(map(repr, self.choices[name]))
                raise ArgumentError(f"{name} is {value!r}, expected one of {known}")
        return tuple(values.index(choices[name]) for name, values in self.choices.items())

    def words(self, code: Code) -> str:
        """A candidate for people: its choices."""
        return ", ".join(f"{name}={value}" for name, value in self.decode(code).items())

    def spec(self, code: Code) -> str | None:
        """The name of a candidate's network; None where the function makes networks."""
        made = self.make(**self.decode(code))
        return made if isinstance(made, str) else None

    def build(self, code: Code, space: InputSpace | None, outputs: int) -> nn.Module:
        """Make the network of a candidate; where a name made it, the name is its `limbeck_spec`.

        Raises:
            ModelError: the choices give no network; they are named.
        """
        try:
            made = self.make(**self.decode(code))
            network = build(made, space, outputs) if isinstance(made, str) else made
        except LimbeckError as error:
            raise ModelError(f"{self.words(code)} gives no network: {error}") from None
        except Exception as error:  # the function is the user's
            raise ModelError(
                f"{self.words(code)} gives no network: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(network, nn.Module):
            raise ModelError(
                f"{self.words(code)} gives a {type(made).__name__}, expected a torch module or the "
                "name of a network"
            )
        return network

    def __repr__(self) -> str:
        return f"Space({self.name}, {self.size} candidates)"


def space_of(given: Any) -> Space:
    """What the user gave, as a space.

    Args:
        given: a `Space`; a published one by name, ``"resnet-s1"`` or ``"nas-bench-201"``; a name
            of networks with choices in braces, such as ``"mlp?hidden={64,128}"`` or
            ``"{timm:resnet18,timm:resnet34}"``; or a list of names.

    Raises:
        ArgumentError: there are no choices.
        UnknownNameError: a name is no published space and has no braces.

    Example:
        >>> space_of("resnet-s1").size, space_of("nas-bench-201").size
        (64, 15625)
        >>> space_of("resnet?blocks={1,3}x{1,3}&width={8,16}").choices
        {'blocks-1': ('1', '3'), 'blocks-2': ('1', '3'), 'width': ('8', '16')}
    """
    if isinstance(given, Space):
        return given
    if isinstance(given, str):
        return _of_template(PUBLISHED.get(given, given), given)
    if isinstance(given, (list, tuple)) and all(isinstance(one, str) for one in given):
        return Space({"network": given}, _itself, "a list of networks")
    raise ArgumentError(
        f"space is a {type(given).__name__}, expected a limbeck.networks.spaces.Space, a name such "
        "as resnet-s1, a name with choices in braces, or a list of names"
    )


def _of_template(template: str, name: str) -> Space:
    """A space of a name of networks with choices in braces."""
    places = list(CHOICE.finditer(template))
    if not places:
        raise UnknownNameError(
            f"there is no space {name!r}; {nearest(name, PUBLISHED)}; or put choices in braces, "
            "such as mlp?hidden={64,128}"
        )
    options = [OPTION.search(template[: place.start()]) for place in places]
    labels = ["network" if one is None else one[1] for one in options]
    choices = {
        _label(labels, number): tuple(word.strip() for word in place[1].split(","))
        for number, place in enumerate(places)
    }
    return Space(choices, functools.partial(_filled, CHOICE.sub("{}", template)), name)


def _label(labels: Sequence[str], number: int) -> str:
    """The name of a choice; those of one option are numbered."""
    own = labels[number]
    return own if labels.count(own) == 1 else f"{own}-{labels[: number + 1].count(own)}"


def _filled(template: str, **choices: str) -> str:
    """The name with one value in the place of each pair of braces."""
    parts = template.split("{}")
    return "".join(itertools.chain(*itertools.zip_longest(parts, choices.values(), fillvalue="")))


def _itself(network: str) -> str:
    return network
