"""The gallery shows every finished run with a picture of it, and loads nothing."""

import re
import shutil

import numpy as np
import pytest

from limbeck import cards
from limbeck.errors import RunError
from limbeck.experiment import Request, perform
from limbeck.report import write_gallery
from limbeck.run.exhibits import Chart, Line, write_exhibits
from limbeck.run.galleries import wall


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three runs: one as it is, one that brought a chart, one that brought pictures."""
    place = tmp_path_factory.mktemp("gallery")
    tiny = cards.preset("kd", "tiny")
    plain = place / "plain"
    settings = {**tiny["settings"], "teaching": {"steps": 200, "batch_size": 32}}
    perform(Request("kd", settings, tiny["inputs"], seeds=(0,)), plain, quiet=True)
    charted, pictured = place / "charted", place / "elsewhere" / "plain"
    for other in (charted, pictured):
        shutil.copytree(plain, other)
    line = Line("falling", [0, 1], [1.0, 0.5])
    write_exhibits(charted / "seeds" / "0", [Chart("How far", "it falls", "step", "far", [line])])
    images = np.zeros((2, 8, 8, 1), np.uint8)
    gallery = wall("All images", images, [0, 1], ["<zero>", "one"])
    write_exhibits(pictured / "seeds" / "0", galleries=[gallery])
    return plain, charted, pictured


def test_every_run_has_a_card_and_a_page(folders, tmp_path):
    site = write_gallery(folders, tmp_path / "site")
    text = site.index.read_text()
    assert [page.name for page in site.pages] == ["kd-charted.html", "kd-plain.html",
                                                 "kd-plain-2.html"]  # fmt: skip
    assert re.findall(r'<a class="card" href="([^"]+)">', text) == [p.name for p in site.pages]
    for page in site.pages:
        assert '<a href="index.html">All runs</a>' in page.read_text()
    assert not site.left_out
    for part in ("Students", "3 runs of limbeck", "accuracy", "How far", "Quality against cost"):
        assert part in text, part
    assert text.count("<svg") == 2
    assert re.findall(r'<img src="data:image/png[^>]*alt="([^"]+)">', text) == ["&lt;zero&gt;",
                                                                              "one"]  # fmt: skip


def test_the_site_loads_nothing_and_names_no_folder(folders, tmp_path):
    site = write_gallery(folders, tmp_path / "site")
    for page in (site.index, *site.pages):
        text = page.read_text()
        loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)["']""", text)
        assert all(
            one.startswith("data:image/png") or (site.index.parent / one).exists() for one in loaded
        )
        assert "<script" not in text
        assert str(folders[0].parent) not in text


def test_what_is_not_finished_is_left_out_and_said(folders, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folders[0], bare)
    (bare / "table.json").unlink()
    site = write_gallery([bare, folders[0]], tmp_path / "site")
    assert len(site.pages) == 1
    assert "not finished" in site.left_out[bare]
    with pytest.raises(RunError, match=r"no finished run to show.*not finished"):
        write_gallery([bare], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_same_runs_give_the_same_site(folders, tmp_path):
    first, second = (write_gallery(folders, tmp_path / name) for name in "ab")
    assert first.index.read_text() == second.index.read_text()
