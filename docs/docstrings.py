"""Docstrings as the site shows them (a Griffe extension).

Formulas become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension
from latex2mathml.converter import convert

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::(.*(?:\n\1 +\S.*)*)", re.M)
ARGUMENTS = re.compile(r"^Args:$", re.M)
SECTION = re.compile(r"^Example:$", re.M)


def shown(text: str) -> str:
    """A docstring with its formulas drawn and its example as Griffe calls one.

    Args:
        text: the docstring, no indentation before its first section.

    Returns:
        The same as Markdown.
    """
    text = BLOCK.sub(lambda found: f"{found[1]}<div>{_drawn(found[2], 'block')}</div>", text)
    # A line that began with the formula itself would end its paragraph.
    text = INLINE.sub(lambda found: f"<span>{_drawn(found[1], 'inline')}</span>", text)
    return SECTION.sub("Examples:", text)


def _drawn(latex: str, display: str) -> str:
    return convert(" ".join(latex.split()), display=display)


class Formulas(Extension):
    """Change every docstring as it is read."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Change the docstring of one module, class, function or attribute."""
        if obj.is_alias or obj.docstring is None:
            return
        obj.docstring.value = shown(obj.docstring.value)
        if obj.is_class and "__init__" not in obj.members and "dataclass" not in obj.labels:
            # Settings: their arguments are fields, and the fields have the types.
            obj.docstring.value = ARGUMENTS.sub("Attributes:", obj.docstring.value)
