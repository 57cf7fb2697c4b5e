"""The site's own pages: links lead somewhere, everything has a page, notebooks are up to date."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck import cards

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def site(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("site_pages")


def test_every_link_between_pages_leads_to_one(site):
    made = site.pages()
    written = {path.name: site.linked(path, path.name) for path in (ROOT / "docs").glob("*.md")}
    there = {*made, *written}
    for uri, text in {**made, **written}.items():
        for mark, _, target in site.LINK.findall(site.FENCED.sub("", text)):
            if re.match(r"[a-z]+:|#", target):
                continue
            to = (Path(uri).parent / target.partition("#")[0]).as_posix()
            folder = ROOT / "docs" if mark else None
            to = re.sub(r"[^/]+/\.\./", "", to)
            found = (folder / to).exists() if folder else to in there
            assert found, f"{uri} links to {target}"


def test_a_link_that_leads_nowhere_is_an_error(site, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    page = tmp_path / "README.md"
    page.write_text("[here](docs/nothing.md)")
    with pytest.raises(FileNotFoundError, match=r"README.md links to docs/nothing.md"):
        site.linked(page, "index.md")
    page.write_text("[a file](LICENSE) and\n```\n[code](nothing)\n```\n")
    (tmp_path / "LICENSE").touch()
    assert site.linked(page, "index.md") == "a file and\n```\n[code](nothing)\n```\n"


def test_every_system_and_every_example_has_its_page(site):
    made = site.pages()
    for slug in cards.slugs():
        assert f".{cards.card(slug).class_name}\n" in made[f"systems/{slug}.md"]
    for path in (ROOT / "examples").glob("*.py"):
        assert f"## {path.stem}\n" in made["examples.md"]
    assert "## gallery" in made["command-line.md"]
    assert "soft_target_loss" in made["api/functional/divergences.md"]


def test_the_navigation_names_all_of_a_folder(site):
    uris = ["systems/b.md", "systems/a.md", "api/x.md", "api/room/index.md", "api/room/y.md"]
    entries = [{"Systems": "systems/*"}, {"Reference": [{"API": "api/*"}, {"One": "one.md"}]}]
    assert site.expanded(entries, uris) == [
        {"Systems": [{"a": "systems/a.md"}, {"b": "systems/b.md"}]},
        {
            "Reference": [
                {"API": [{"room": ["api/room/index.md", "api/room/y.md"]}, {"x": "api/x.md"}]},
                {"One": "one.md"},
            ]
        },
    ]


def test_notebooks_are_those_of_the_examples():
    command = [sys.executable, str(ROOT / "docs" / "notebooks.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}run: python docs/notebooks.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_are_the_example(path):
    """Which the tests of examples run: to run both would tell nothing more."""
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["cell_type"] == "markdown"
    code = ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    # Each by itself is whole: a cell that ended within a block would not parse.
    found = [ast.dump(line) for one in code for line in ast.parse(one).body]
    example = ast.parse((ROOT / "examples" / f"{path.stem}.py").read_text())
    assert found == [ast.dump(line) for line in example.body[1:]]
