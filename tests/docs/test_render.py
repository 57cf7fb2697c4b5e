"""Parts of pages between markers: each is filled by something, or the page is refused."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def render(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("render")


def test_what_stands_between_markers_is_replaced(render):
    page = render.rendered("a\n<!-- paper-presets -->\nold\n<!-- /paper-presets -->\nb\n", None)
    assert page.startswith("a\n<!-- paper-presets -->\n\n| system | presets |")
    assert "old" not in page
    assert page.endswith("\n<!-- /paper-presets -->\nb\n")


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("<!-- numbers nothing-demo -->\n<!-- /numbers -->\n", "numbers nothing-demo"),
        ("<!-- sytems -->\n<!-- /sytems -->\n", "sytems"),
        ("<!-- systems -->\nits end is missing\n", "systems"),
    ],
)
def test_a_marker_that_nothing_fills_is_an_error(render, page, name):
    with pytest.raises(ValueError, match=f"nothing fills <!-- {name} -->"):
        render.rendered(page, None)


def test_a_page_that_cannot_be_rendered_is_named(render, tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("<!-- numbers nothing-demo -->\n<!-- /numbers -->\n")
    monkeypatch.setattr(render, "ROOT", tmp_path)
    assert render.main() == 1
    assert "README.md: nothing fills <!-- numbers nothing-demo -->" in capsys.readouterr().out
