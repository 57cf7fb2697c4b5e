"""The map of the house: its rooms on their floors, what each is for, and what it imports.

`FLOORS` is the one list of floors: the map is drawn from it, and a test holds every import to it.
What a room is for is the first line of its own documentation; what it imports is read from source.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "limbeck"
# A room imports from its own floor and from those before it.
FLOORS = [
    {
        "errors",
        "checks",
        "settings",
        "plain",
        "naming",
        "keyed",
        "fingerprint",
        "files",
        "locks",
        "cards",
        "catalogue",
        "declared",
    },
    {"functional"},
    {"data"},
    {"networks"},
    {"outputs", "features", "labels", "samplers"},
    {"averaging", "columns", "routes", "teachers", "objectives", "cache", "selection", "bridges"},
    {"run"},
    {"loops"},
    {"evaluate"},
    {"products"},
    {"loading", "method"},
    {"experiment", "rehearsal", "plan", "doctor"},
    {"claims", "comparison"},
    {"methods"},
    {"report"},
    {"testing", "scaffold", "cli"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    """The room that a source file belongs to: a folder, or a file beside the folders."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    """All source files but the doors of the package."""
    return [
        path
        for path in sorted(SOURCE.rglob("*.py"))
        if room_of(path) not in ("__init__", "__main__")
    ]


def imported(path: Path) -> Iterator[list[str]]:
    """What a source file imports of limbeck, as parts of module names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("limbeck"):
            parts = node.module.split(".")[1:]
            yield from [parts] if parts else [[alias.name] for alias in node.names]


def purpose(room: str) -> str:
    """What a room says of itself in its first line, without its own name before it."""
    folder = SOURCE / room / "__init__.py"
    text = (folder if folder.exists() else SOURCE / f"{room}.py").read_text()
    said = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0].rstrip(".")
    name, colon, rest = said.partition(": ")
    chosen = rest if colon and " " not in name else said
    return chosen[0].upper() + chosen[1:].replace("``", "`")


def neighbours() -> dict[str, set[str]]:
    """The rooms that each room imports from, itself left out."""
    found: dict[str, set[str]] = {room: set() for room in LEVEL}
    for path in sources():
        rooms = {parts[0] for parts in imported(path)} & set(LEVEL)
        found[room_of(path)] |= rooms - {room_of(path)}
    return found


def table() -> str:
    """The map as a table, ground floor first; every room may use that, so it is not repeated."""
    uses = neighbours()
    lines = [
        "| floor | room | what lives there | imports from, above floor 0 |",
        "|---|---|---|---|",
    ]
    for level, rooms in enumerate(FLOORS):
        for room in sorted(rooms):
            above = sorted((one for one in uses[room] if LEVEL[one]), key=lambda o: (LEVEL[o], o))
            names = " ".join(f"`{one}`" for one in above)
            shown = f"`{room}/`" if (SOURCE / room).is_dir() else f"`{room}`"
            lines.append(f"| {level} | {shown} | {purpose(room)} | {names} |")
    return "\n".join(lines) + "\n"
