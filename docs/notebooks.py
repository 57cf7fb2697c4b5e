"""Make notebooks of examples: comments become text, what stands between them becomes cells.

Run it: python docs/notebooks.py [--check]
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
# One loop of one's own, one whole system.
CHOSEN = ("pld", "meal_v2")


def notebook(source: str) -> dict[str, Any]:
    """An example as a notebook in format 4.5, without outputs.

    Args:
        source: a script whose docstring says what it shows; a comment above a paragraph of code
            becomes text above its cell.
    """
    said = (ast.get_docstring(ast.parse(source)) or "").partition("\n\nRun it:")[0]
    cells = [("markdown", f"# {said}")]
    # Paragraphs of the top level: what is indented belongs to the one above.
    body = source.split('"""', 2)[2].strip()
    # Imports of several kinds are one cell.
    for part in re.split(r"\n\n+(?=\S)(?!(?:import|from) )", body):
        text = "\n".join(re.findall(r"^# ?(.*)$", part[: _comments(part)], re.M))
        cells += [("markdown", text)] if text else []
        cells += [("code", part[_comments(part) :].strip("\n"))]
    return {
        "cells": [_cell(number, *cell) for number, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
                                    "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


def _comments(part: str) -> int:
    found = re.match(r"(#.*\n)+", part)
    return found.end() if found else 0


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {},
            "source": text.splitlines(keepends=True)}  # fmt: skip
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main() -> int:
    """Write the notebooks; with ``--check`` only say which are not up to date."""
    stale = []
    for stem in CHOSEN:
        path = EXAMPLES / "notebooks" / f"{stem}.ipynb"
        made = notebook((EXAMPLES / f"{stem}.py").read_text())
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    print(f"{'stale' if '--check' in sys.argv else 'made'}: {', '.join(stale) or 'none'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
