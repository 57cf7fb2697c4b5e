"""Layout: tables and words as plain lines in the width of a terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

GAP, NARROWEST = "  ", 20
# A spread stays beside its mean.
WORD = re.compile(r"\s+(?!±)")


def width_of(stream: TextIO) -> int | None:
    """Columns of the terminal that a stream writes to; None for a file or a pipe, which have none.

    Example:
        >>> import io
        >>> width_of(io.StringIO()) is None
        True
    """
    if not stream.isatty():
        return None
    return max(NARROWEST, shutil.get_terminal_size().columns)


def wrapped(text: str, width: int | None) -> str:
    """Break lines between words where they are too long; what goes on is indented.

    Args:
        text: lines, indented or not.
        width: columns there are; None leaves the text as it is.

    Returns:
        The text. Words longer than the width, such as paths, stay whole.

    Example:
        >>> print(wrapped("  disk   64.6 kB of 24.0 GB free", 22))
          disk   64.6 kB of
            24.0 GB free
    """
    if width is None:
        return text
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    return textwrap.fill(
        line,
        width,
        subsequent_indent=_indent(line) + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def table_lines(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> list[list[str]]:
    """Lay a table out in aligned columns.

    A column of words gives way first: its cells go on in the next line. Where that is not enough
    the columns stand in several blocks below each other, each with the first column.

    Args:
        heads: of the columns.
        rows: cells of each row, as many as there are heads.
        width: columns there are; None keeps each row on one line.

    Returns:
        Blocks of lines; the first line of a block is its heads.

    Example:
        >>> blocks = table_lines(["name", "accuracy", "nll"], [["kd", "0.9", "0.3"]], 16)
        >>> print("\\n\\n".join("\\n".join(block) for block in blocks))
        name  accuracy
        kd    0.9
        <BLANKLINE>
        name  nll
        kd    0.3
    """
    lines = [list(heads), *map(list, rows)]
    natural = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    if width is None:
        return [_drawn(lines, natural, range(len(heads)))]
    least = [
        min(max(len(word) for line in lines for word in WORD.split(line[place])), width // 2)
        for place in range(len(heads))
    ]
    return [
        _drawn(lines, _narrowed(natural, least, block, width), block)
        for block in _blocks(least, width)
    ]


def _blocks(least: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand beside each other, the first one in every block."""
    blocks = [[0]]
    for place in range(1, len(least)):
        if len(blocks[-1]) > 1 and _total(least, [*blocks[-1], place]) > width:
            blocks.append([0])
        blocks[-1].append(place)
    return blocks


def _total(widths: Sequence[int], block: Sequence[int]) -> int:
    return sum(widths[place] for place in block) + len(GAP) * (len(block) - 1)


def _narrowed(
    natural: Sequence[int], least: Sequence[int], block: Sequence[int], width: int
) -> list[int]:
    """Widths of columns, the widest of which give way until all fit."""
    found = list(natural)
    while _total(found, block) > width:
        giving = [place for place in block if found[place] > least[place]]
        if not giving:
            break
        found[max(giving, key=found.__getitem__)] -= 1
    return found


def _drawn(
    lines: Sequence[Sequence[str]], widths: Sequence[int], block: Sequence[int]
) -> list[str]:
    drawn = []
    for line in lines:
        cells = [_cut(line[place], widths[place]) for place in block]
        for row in range(max(map(len, cells))):
            padded = (
                (cell[row] if row < len(cell) else "").ljust(widths[place])
                for place, cell in zip(block, cells, strict=True)
            )
            drawn.append(GAP.join(padded).rstrip())
    return drawn


def _cut(cell: str, width: int) -> list[str]:
    """A cell in lines that are no wider than its column."""
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, subsequent_indent=_indent(cell), break_on_hyphens=False)
