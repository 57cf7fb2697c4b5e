"""Pages of the site that repeat what stands elsewhere, made when it is built (an MkDocs hook).

README is the first page, a system's card its page, a room's docstrings its reference: nothing is
written twice. Links of any of them lead to files of the repository, and come to lead to pages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from site_reference import class_of, command_line, examples, rooms

ROOT = Path(__file__).resolve().parents[1]
METHODS = ROOT / "src" / "limbeck" / "methods"
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def pages() -> dict[str, str]:
    """All pages that are made, Markdown by place in the site."""
    made = {"index.md": linked(ROOT / "README.md", "index.md")}
    for path in sorted(ROOT.glob("*.md")):
        if path.name != "README.md":
            uri = place(path)
            made[uri] = linked(path, uri)
    for card in sorted(METHODS.glob("*/README.md")):
        uri = place(card)
        made[uri] = f"{linked(card, uri)}\n{class_of(card.parent)}"
    own = {"examples.md": examples(), "command-line.md": command_line()}
    return made | own | dict(rooms())


def place(path: Path) -> str | None:
    """Where a file of the repository stands in the site; None where it does not."""
    parts = path.relative_to(ROOT).parts
    if len(parts) == 1 and path.suffix == ".md":
        return "index.md" if path.stem == "README" else f"project/{path.stem.lower()}.md"
    if parts[0] == "docs" and path.suffix != ".py":
        return "/".join(parts[1:])
    if path.is_relative_to(METHODS) and path.name == "README.md":
        return f"systems/{path.parent.name.replace('_', '-')}.md"
    if parts[0] == "examples" and path.suffix == ".py":
        return f"examples.md#{path.stem}"
    return None


def linked(path: Path, uri: str) -> str:
    """The Markdown of a file with links that lead to pages of the site.

    Args:
        path: the file.
        uri: where it will stand.

    Returns:
        Its text; a link to what the site does not hold keeps its words only.

    Raises:
        FileNotFoundError: a link leads nowhere.
    """

    def turned(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        name, _, anchor = target.partition("#")
        led = Path(os.path.normpath(path.parent / name))
        if not led.exists():
            raise FileNotFoundError(f"{path.relative_to(ROOT)} links to {target}: no such file")
        to = place(led)
        if to is None:
            return words
        near = os.path.relpath(to.partition("#")[0], Path(uri).parent or ".")
        anchor = anchor or to.partition("#")[2]
        return f"{mark}[{words}]({near}{'#' if anchor else ''}{anchor})"

    text, kept = path.read_text(), 0
    parts = []
    for block in FENCED.finditer(text):
        parts += [LINK.sub(turned, text[kept : block.start()]), block[0]]
        kept = block.end()
    return "".join([*parts, LINK.sub(turned, text[kept:])])


def expanded(entries: list[Any], uris: list[str]) -> list[Any]:
    """Navigation in which ``NAME/*`` has become all pages of that folder."""
    found: list[Any] = []
    for entry in entries:
        if isinstance(entry, Mapping):
            ((title, below),) = entry.items()
            if isinstance(below, list):
                below = expanded(below, uris)
            elif below.endswith("/*"):
                below = folder_of(below[:-1], uris)
            entry = {title: below}
        found.append(entry)
    return found


def folder_of(prefix: str, uris: list[str]) -> list[Any]:
    """The pages of a folder; those of a folder in it under its name."""
    below = [uri.removeprefix(prefix) for uri in uris if uri.startswith(prefix)]
    inside = sorted({uri.partition("/")[0] for uri in below})
    return [
        {name.removesuffix(".md"): f"{prefix}{name}"}
        if name.endswith(".md")
        else {name: sorted(uri for uri in uris if uri.startswith(f"{prefix}{name}/"))}
        for name in inside
    ]


def on_config(config: Any) -> Any:
    """MkDocs reads its settings: the navigation names every page that will be made."""
    config.nav = expanded(config.nav, list(pages()))
    return config


def on_files(files: Any, config: Any) -> Any:
    """MkDocs has found the files of ``docs``: pages are added."""
    from mkdocs.structure.files import File

    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs has read a page; those that stand in ``docs`` have links yet to turn."""
    path = ROOT / "docs" / page.file.src_uri
    return linked(path, page.file.src_uri) if path.exists() else markdown
