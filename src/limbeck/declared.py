"""Settings as their source declares them, read without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent


class Group(NamedTuple):
    """A settings class, and the defaults that differ from its own: in order, then by name."""

    path: Path
    class_name: str
    given: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Setting:
    """One setting as its source writes it: name, kind, default, and what it means.

    `group` tells where its own settings are declared, if it is a group of settings.
    """

    name: str
    kind: str
    default: str
    meaning: str
    group: Group | None = None


def declared(path: Path, class_name: str) -> list[Setting]:
    """Annotated fields of a class, in order.

    Args:
        path: of a module.
        class_name: of a class in it.
    """
    tree = ast.parse(path.read_text())
    owner = next(one for one in _classes(tree) if one.name == class_name)
    meanings = _meanings(ast.get_docstring(owner) or "")
    found = []
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, kind = node.target.id, _kind(node.annotation)
            default = ast.unparse(node.value) if node.value is not None else "needed"
            group = _group(path, tree, kind, node.value)
            found.append(Setting(name, kind, default, meanings.get(name, ""), group))
    return found


def opened(group: Group) -> list[Setting]:
    """The settings of a group, with the defaults that they have in it."""
    found = declared(group.path, group.class_name)
    given = dict(zip((one.name for one in found), group.given, strict=False))
    given |= dict(group.named)
    return [replace(one, default=given.get(one.name, one.default)) for one in found]


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def _group(path: Path, tree: ast.Module, kind: str, default: ast.expr | None) -> Group | None:
    for word in kind.split(" | "):
        place = _settings_class(path, tree, word)
        if place is None:
            continue
        if not isinstance(default, ast.Call) or ast.unparse(default.func) != word:
            return Group(place, word)
        return Group(
            place,
            word,
            tuple(ast.unparse(one) for one in default.args),
            tuple((one.arg, ast.unparse(one.value)) for one in default.keywords if one.arg),
        )
    return None


def _settings_class(path: Path, tree: ast.Module, name: str) -> Path | None:
    """The module in which a name is a settings class, through imports by name."""
    for one in _classes(tree):
        if one.name == name:
            marks = [ast.unparse(mark) for mark in one.decorator_list]
            return path if "settings" in marks else None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("limbeck."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    place = ROOT.joinpath(*str(node.module).split(".")[1:])
                    file = place.with_suffix(".py")
                    file = file if file.is_file() else place / "__init__.py"
                    return _settings_class(file, ast.parse(file.read_text()), alias.name)
    return None


def _kind(annotation: ast.expr) -> str:
    """A kind without its bounds, which the class checks and no reader of a list needs."""
    if isinstance(annotation, ast.BinOp):
        return f"{_kind(annotation.left)} | {_kind(annotation.right)}"
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)
        return ast.unparse(annotation.slice.elts[0])
    return ast.unparse(annotation)


def _meanings(docstring: str) -> dict[str, str]:
    """Read ``name: meaning`` lines of the Args section, joining continued lines."""
    meanings: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if not line.startswith(" ") and line.strip():
            inside = line.strip() == "Args:"
            continue
        text = line.strip()
        if not inside or not text:
            continue
        if line.startswith("    ") and not line.startswith("     ") and ":" in text:
            name, _, meaning = text.partition(":")
            meanings[name] = meaning.strip()
        elif name:
            meanings[name] += f" {text}"
    return meanings
