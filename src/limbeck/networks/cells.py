"""Networks of equal cells, each a small graph whose edges are operations that a search chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from limbeck.checks import check_choice
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.convnet import Size
from limbeck.networks.headed import Headed, image_shape

# On each edge one of these: nothing, the input as it is, a convolution, or an average of 3x3.
OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
NODES = 4
# From which node to which, in the order of their names: into node 1, into node 2, into node 3.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
STAGES = 3
LEAST = 4


class CellNetwork(Headed):
    """Three stages of equal cells, a residual block that halves the size between them.

    A cell has four nodes; each but the first is the sum of what an operation on each edge makes of
    the nodes before it, and the last is what comes out.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 4.
        outputs: numbers that come out.
        edges: operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3: ``"none"``, ``"skip"``,
            ``"conv1"``, ``"conv3"`` or ``"pool"``.
        cells: in each stage.
        width: channels of the first stage.

    Raises:
        ArgumentError: images are too small, there are other numbers of edges or operations, or
            nothing leads from the first node of a cell to its last one.

    Example:
        >>> network = CellNetwork(3, (32, 32), 10, edges=["conv3"] * 6)
        >>> sum(one.numel() for one in network.parameters())
        1531546

    Source: Dong and Yang, arXiv 2001.00326 (NAS-Bench-201).
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        outputs: int,
        *,
        edges: Sequence[str],
        cells: int = 5,
        width: int = 16,
    ) -> None:
        _check(size, edges, cells, width)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        ]
        for stage in range(STAGES):
            wide = width * 2**stage
            layers += [_Halving(wide // 2, wide)] if stage else []
            layers += [_Cell(wide, edges) for _ in range(cells)]
        layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        super().__init__(nn.Sequential(*layers), nn.Linear(wide, outputs))


class _Cell(nn.Module):
    """Four nodes; edges without an operation are left out."""

    def __init__(self, channels: int, edges: Sequence[str]) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                f"{start}-{end}": OPERATION[kind](channels)
                for (start, end), kind in zip(EDGES, edges, strict=True)
                if kind != "none"
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for end in range(1, NODES):
            found = [
                self.edges[f"{start}-{end}"](nodes[start])
                for start in range(end)
                if f"{start}-{end}" in self.edges
            ]
            nodes.append(sum(found[1:], found[0]) if found else x.new_zeros(x.shape))
        return nodes[-1]


class _Halving(nn.Module):
    """A residual block of stride 2, its shortcut an average of 2x2 and a 1x1 convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _convolution(channels, width, 3, stride=2), _convolution(width, width, 3)
        )
        self.shortcut = nn.Sequential(
            # A last odd row has half a window of its own, as a stride of 2 begins with it.
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(channels, width, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.shortcut(x)


def _convolution(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
    )


OPERATION: dict[str, Callable[[int], nn.Module]] = {
    "skip": lambda channels: nn.Identity(),
    "conv1": lambda channels: _convolution(channels, channels, 1),
    "conv3": lambda channels: _convolution(channels, channels, 3),
    "pool": lambda channels: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}


def _check(size: Size, edges: Sequence[str], cells: int, width: int) -> None:
    if min(size) < LEAST:
        shown = f"{size[0]}x{size[1]}"
        raise ArgumentError(f"cells take images of at least {LEAST}x{LEAST} pixels, not {shown}")
    if len(edges) != len(EDGES):
        raise ArgumentError(f"edges holds {len(edges)} operations, expected {len(EDGES)}")
    for one in edges:
        check_choice(one, "edges", OPERATIONS)
    for value, name in ((cells, "cells"), (width, "width")):
        if type(value) is not int or value < 1:
            raise ArgumentError(f"{name} is {value!r}, expected a whole number above 0")
    reached = {0}
    for (start, end), kind in zip(EDGES, edges, strict=True):
        if kind != "none" and start in reached:
            reached.add(end)
    if NODES - 1 not in reached:
        raise ArgumentError(
            f"edges is {'-'.join(edges)}, where nothing leads from the first node to the last: the "
            "network would say the same whatever comes in"
        )


def _cells(
    space: InputSpace,
    outputs: int,
    *,
    edges: str = "-".join(["conv3"] * len(EDGES)),
    cells: int = 5,
    width: int = 16,
) -> nn.Module:
    given = [word if word != "None" else "none" for word in str(edges).split("-")]
    return CellNetwork(
        *image_shape(space, "network of cells"), outputs, edges=given, cells=cells, width=width
    )


CELLS: dict[str, Callable[..., nn.Module]] = {"cells": _cells}
