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
    tree = _tree(path)
    owner = next(one for one in _classes(tree) if one.name == class_name)
    meanings = _meanings(ast.get_docstring(owner) or "")
    found = []
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, kind = node.target.id, _kind(node.annotation)
            value = _constant(tree, node.value)
            default = ast.unparse(value) if value is not None else "needed"
            group = _group(path, tree, kind, value)
            found.append(Setting(name, kind, default, meanings.get(name, ""), group))
    return found


def opened(group: Group) -> list[Setting]:
    """The settings of a group, with the defaults that they have in it."""
    found = declared(group.path, group.class_name)
    given = dict(zip((one.name for one in found), group.given, strict=False))
    given |= dict(group.named)
    return [_with_default(one, given[one.name]) if one.name in given else one for one in found]


def _with_default(one: Setting, default: str) -> Setting:
    """A setting with another default, which tells those of its own settings if it is a group."""
    group = one.group
    if group is not None:
        call = ast.parse(default, mode="eval").body
        group = _called(group.path, group.class_name, call)
    return replace(one, default=default, group=group)


def _constant(tree: ast.Module, value: ast.expr | None) -> ast.expr | None:
    """An expression with what names stand for that modules assign, in calls too."""
    if isinstance(value, ast.Name):
        for node in tree.body:
            if isinstance(node, ast.Assign) and value.id in map(ast.unparse, node.targets):
                return node.value
        found = _imported(tree, value.id)
        return value if found is None else _constant(_tree(found[0]), ast.Name(found[1]))
    if isinstance(value, ast.Call):
        return ast.Call(
            value.func,
            [_constant(tree, one) or one for one in value.args],
            [
                ast.keyword(one.arg, _constant(tree, one.value) or one.value)
                for one in value.keywords
            ],
        )
    return value


def _imported(tree: ast.Module, name: str) -> tuple[Path, str] | None:
    """The module of limbeck that a name is imported from, and its name there."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("limbeck."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    place = ROOT.joinpath(*str(node.module).split(".")[1:])
                    file = place.with_suffix(".py")
                    return (file if file.is_file() else place / "__init__.py"), alias.name
    return None


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def _group(path: Path, tree: ast.Module, kind: str, default: ast.expr | None) -> Group | None:
    for word in kind.split(" | "):
        place = _settings_class(path, tree, word)
        if place is None:
            continue
        return _called(place, word, default)
    return None


def _called(path: Path, class_name: str, call: ast.expr | None) -> Group:
    """A group as a call of its class makes it."""
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != class_name:
        return Group(path, class_name)
    return Group(
        path,
        class_name,
        tuple(ast.unparse(one) for one in call.args),
        tuple((one.arg, ast.unparse(one.value)) for one in call.keywords if one.arg),
    )


def _settings_class(path: Path, tree: ast.Module, name: str) -> Path | None:
    """The module in which a name is a settings class, through imports by name."""
    for one in _classes(tree):
        if one.name == name:
            marks = [ast.unparse(mark) for mark in one.decorator_list]
            return path if "settings" in marks else None
    found = _imported(tree, name)
    return None if found is None else _settings_class(found[0], _tree(found[0]), found[1])


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
