"""What the site says of the code: rooms, a system's class, examples, the command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "limbeck"
# Rooms that are no library: pages of their own tell of them.
ELSEWHERE = {"methods", "cli"}
# Names of a room above which each of its topics is a page.
MANY = 60


def class_of(folder: Path) -> str:
    """The reference of a system's class, for the end of its page."""
    from limbeck import cards

    name = cards.card(folder.name.replace("_", "-")).class_name
    return (
        f"## The class\n\n::: limbeck.methods.{folder.name}.{folder.name}.{name}\n"
        "    options: {heading_level: 3}\n"
    )


def examples() -> str:
    """All examples on one page, each under what its docstring says."""
    parts = ["# Examples\n\nEach is a script of at most 80 lines that the tests run.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        code = path.read_text().split('"""', 2)[2].strip()
        parts.append(f"## {path.stem}\n\n{said}\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


def rooms() -> Iterator[tuple[str, str]]:
    """The reference: a page a room, or a page a topic where a room has very many names."""
    for path in sorted(SOURCE.iterdir()):
        room = path.stem
        if room in ELSEWHERE or room.startswith("_") or path.suffix not in ("", ".py"):
            continue
        topics = list(public(path))
        said = summary(path / "__init__.py" if path.is_dir() else path)
        whole = [f"# {room}\n\n{said}\n"]
        if sum(len(names) for _, names in topics) <= MANY:
            whole += [listing(topic, names, bool(path.is_dir())) for topic, names in topics]
            yield f"api/{room}.md", "\n".join(whole)
            continue
        whole += ["| topic | what it holds |", "|---|---|"]
        for topic, _ in topics:
            name = topic.rpartition(".")[2]
            whole.append(f"| [`{name}`]({name}.md) | {summary(file_of(topic))} |")
        yield f"api/{room}/index.md", "\n".join(whole)
        for topic, names in topics:
            name = topic.rpartition(".")[2]
            yield f"api/{room}/{name}.md", f"# {name}\n\n{listing(topic, names, False)}"


def public(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Modules of a room and their public names: what it exports, or all without underscore."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    exported = names_exported(path / "__init__.py") if path.is_dir() else set()
    for file in files:
        names = [
            node.name
            for node in ast.parse(file.read_text()).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and not node.name.startswith("_")
            and (not exported or node.name in exported)
        ]
        if names:
            dotted = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), names


def names_exported(path: Path) -> set[str]:
    """What a package lists in ``__all__``; nothing where it has none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def listing(module: str, names: list[str], headed: bool) -> str:
    """The docstrings of a module's names."""
    head = f"## `{module}`\n\n{summary(file_of(module))}\n\n" if headed else ""
    return head + "".join(f"::: {module}.{name}\n\n" for name in names)


def file_of(module: str) -> Path:
    """The file of a module."""
    path = SOURCE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def summary(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]


def command_line() -> str:
    """Every verb with its options, as ``--help`` tells them."""
    import typer

    from limbeck.cli import app

    parts = ["# Command line\n\nEvery verb answers `--help` and, with `--json`, programs.\n"]
    board = typer.main.get_command(app)
    context = typer.Context(board)
    for name in board.list_commands(context):
        verb = board.get_command(context, name)
        said, _, shown = (verb.help or "").replace("\b", "").partition("Examples:\n")
        parts.append(f"## {name}\n\n{said.strip()}\n")
        if shown:
            lines = "\n".join(f"$ {line.strip()}" for line in shown.strip().splitlines())
            parts.append(f"```console\n{lines}\n```\n")
        parts += ["| option | what it says |", "|---|---|"]
        parts += [_option(one) for one in verb.params]
        parts.append("")
    return "\n".join(parts)


def _option(one: Any) -> str:
    name = f"`{' '.join(one.opts)}`" if one.opts[0].startswith("-") else f"`{one.name.upper()}`"
    default = one.default
    told = default is not None and default is not False and not callable(default)
    said = (one.help or "").replace("|", "\\|") + (" Needed." if one.required else "")
    return f"| {name} | {said}{f' `{default}` where not given.' if told else ''} |"
