"""The site's own pages: links lead somewhere, everything has a page, notebooks are up to date."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml

from limbeck import cards

ROOT = Path(__file__).parents[2]
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
HEADING = re.compile(r"^#+ (.+)$", re.M)
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def site(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("site_pages")


@pytest.fixture
def texts(site):
    """All pages as the site has them, by place."""
    written = {path.name: site.linked(path, path.name) for path in (ROOT / "docs").glob("*.md")}
    return site.pages() | written


def anchors(site, text):
    """What MkDocs calls the headings of a page."""
    found = []
    for heading in HEADING.findall(site.FENCED.sub("", text)):
        words = site.LINK.sub(r"\2", heading)
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        again = sum(one == slug for one in found)
        found += [slug] + ([f"{slug}_{again}"] if again else [])
    return found


def dead_anchors(site, texts):
    """Links to a place within a page that has no such heading."""
    dead = []
    for uri, text in texts.items():
        for _, _, target in site.LINK.findall(site.FENCED.sub("", text)):
            name, mark, anchor = target.partition("#")
            if not mark or re.match(r"[a-z]+:", target):
                continue
            to = os.path.normpath(Path(uri).parent / name) if name else uri
            if anchor not in anchors(site, texts[to]):
                dead.append(f"{uri} links to {target}")
    return dead


def test_every_link_between_pages_leads_to_one(site, texts):
    there = set(texts)
    for uri, text in texts.items():
        for mark, _, target in site.LINK.findall(site.FENCED.sub("", text)):
            if re.match(r"[a-z]+:|#", target):
                continue
            to = (Path(uri).parent / target.partition("#")[0]).as_posix()
            folder = ROOT / "docs" if mark else None
            to = re.sub(r"[^/]+/\.\./", "", to)
            found = (folder / to).exists() if folder else to in there
            assert found, f"{uri} links to {target}"


def test_every_link_to_a_heading_leads_to_one(site, texts):
    assert any("#" in target for *_, target in site.LINK.findall(texts["stored-teachers.md"]))
    assert not dead_anchors(site, texts)


def test_a_link_to_a_heading_that_is_not_there_is_noticed(site):
    page = "# A `b?` & [c](d.md)\n[1](#a-b-c) [2](#c)\n```\n# No heading\n[3](#no)\n```\n"
    other = "## x\n## x\n[4](../one.md#a-b-c) [5](../one.md#no-heading) [6](#x_1) [7](#x_2)"
    assert dead_anchors(site, {"one.md": page, "room/two.md": other}) == [
        "one.md links to #c",
        "room/two.md links to ../one.md#no-heading",
        "room/two.md links to #x_2",
    ]


def test_every_page_is_in_the_navigation(site):
    def named(entries):
        for entry in entries:
            below = next(iter(entry.values())) if isinstance(entry, dict) else entry
            yield from named(below) if isinstance(below, list) else [below]

    written = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    there = {*site.pages(), *written}
    shown = list(named(site.expanded(SETTINGS["nav"], sorted(there))))
    assert sorted(set(shown)) == sorted(there)


def test_every_page_of_a_subject_is_among_those_of_the_first_page(site):
    subjects = next(entry["Subjects"] for entry in SETTINGS["nav"] if "Subjects" in entry)
    led = {target for *_, target in site.LINK.findall((ROOT / "README.md").read_text())}
    pages = [f"docs/{uri}" for entry in subjects for uri in entry.values()]
    assert not [page for page in pages if page not in led]


def test_pages_load_nothing_from_elsewhere():
    """The plugin that makes search work from a disk names a foreign script, if we name none."""
    assert SETTINGS["theme"]["font"] is False
    loaded = [*SETTINGS["extra_css"], *SETTINGS["extra"]["polyfills"]]
    loaded += SETTINGS.get("extra_javascript", [])
    assert all((ROOT / "docs" / name).is_file() for name in loaded)
    assert "offline" in SETTINGS["plugins"]
    assert any("iframe-worker" in name for name in SETTINGS["extra"]["polyfills"])


def test_warnings_of_the_build_are_errors():
    """MkDocs counts no warning where it is told to be quiet."""
    (build,) = re.findall(r"mkdocs build(.*)", (ROOT / "Makefile").read_text())
    assert build.split() == ["--strict"]
    assert set(SETTINGS["validation"]["links"].values()) == {"warn"}
    assert set(SETTINGS["validation"]["nav"].values()) == {"warn"}


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
