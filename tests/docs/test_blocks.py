"""Every python and bash block of the README and the cards runs, with the extras its page names."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck import cards

from .. import absent, forked

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
PAGES += sorted((ROOT / "src" / "limbeck" / "methods").glob("*/README.md"))
EXTRA = re.compile(r"limbeck\[([a-z,]+)\]")
HIDING = """import sys
sys.path.insert(0, {root!r})
from tests import absent
sys.path.remove({root!r})
absent.hide({names!r})
"""
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def named(page):
    """The extras that a page tells its reader to install."""
    return {one for found in EXTRA.findall(page.read_text()) for one in found.split(",")}


def blocks():
    for page in PAGES:
        for number, found in enumerate(BLOCK.finditer(page.read_text())):
            yield pytest.param(page, found[1], found[2], id=f"{name_of(page)}-{number}")


@pytest.mark.parametrize(("page", "language", "code"), list(blocks()))
def test_block_runs(page, language, code, tmp_path):
    names = absent.absent(named(page))
    if language == "python":
        done = forked.run(code, tmp_path, strict=True, without=names)
    else:
        hiding = tmp_path.with_name(f"{tmp_path.name}.hiding")
        hiding.mkdir()
        (hiding / "sitecustomize.py").write_text(HIDING.format(root=str(ROOT), names=names))
        with forked.command_line(names) as programs:
            # The interpreter of this very environment.
            paths = f'PATH="{programs}:{Path(sys.executable).parent}:$PATH"'
            paths += f' PYTHONPATH="{hiding}${{PYTHONPATH:+:$PYTHONPATH}}"'
            command = ["bash", "-euc", f"export {paths}\n{code}"]
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=forked.SECONDS
            )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_the_extra_of_what_its_blocks_import(page):
    there = named(page)
    brought = absent.modules()
    assert there <= {*brought, *absent.GATHERING}
    for found in BLOCK.finditer(page.read_text()):
        if found[1] == "python":
            for module in imported(found[2]):
                bringing = {extra for extra, names in brought.items() if module in names}
                assert not bringing or bringing & there, f"{module} comes with {bringing}"


def imported(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("language", ["python", "bash"])
def test_a_block_does_not_find_what_its_page_does_not_name(language, tmp_path):
    """Where all extras are installed, as for tests, nothing else would tell."""
    page = tmp_path / "page.md"
    block = tmp_path / "block"
    block.mkdir()
    code = {"python": "import numpy, bm25s", "bash": 'python -c "import numpy, bm25s"'}[language]
    page.write_text("Nothing is named.")
    with pytest.raises(AssertionError, match="No module named 'bm25s'"):
        test_block_runs(page, language, code, block)
    page.write_text("pip install 'limbeck[text]'")
    again = tmp_path / "again"
    again.mkdir()
    test_block_runs(page, language, code, again)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("limbeck show absent", "there is no method 'absent'"),
        ("limbeck run bamboo --preset tiny --quiet", "is not installed"),
    ],
)
def test_a_block_fails_with_its_command(code, said, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Nothing is named.")
    block = tmp_path / "block"
    block.mkdir()
    with pytest.raises(AssertionError, match=said):
        test_block_runs(page, "bash", code, block)


@pytest.mark.parametrize("slug", cards.slugs())
def test_the_page_of_a_system_names_its_extra(slug):
    card = cards.card(slug)
    assert card.extra in {"", *absent.modules()}
    said = "<!-- extra -->" in (card.folder / "README.md").read_text()
    assert said == bool(card.extra)
