"""The report shows a run, loads nothing, names no machine, and opens in a browser."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from limbeck import cards
from limbeck.errors import RunError
from limbeck.experiment import Request, perform
from limbeck.report import write_report
from limbeck.report.story import POINTS, read_story
from limbeck.run.exhibits import Chart, Line, Sheet, write_exhibits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("report") / "run"
    tiny = cards.preset("kd", "tiny")
    settings = {**tiny["settings"], "teaching": {"steps": 200, "batch_size": 32}}
    perform(Request("kd", settings, tiny["inputs"], seeds=(0,)), place, quiet=True)
    return place


def test_the_page_has_its_parts_and_loads_nothing(folder, tmp_path):
    text = write_report([folder], tmp_path / "page.html").read_text()
    for part in ("Quality beside cost", "Loss terms", "Gradient norm", "how sure", "student alone"):
        assert part in text
    assert "teacher mlp?hidden=32" in text
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)["']|url\(([^#)][^)]*)\)""", text)
    assert not links
    assert "<script" not in text
    assert str(folder.parent) not in text


def test_places_of_files_are_not_shown(folder, tmp_path):
    copied = tmp_path / "private"
    shutil.copytree(folder, copied)
    settings = copied / "settings.toml"
    settings.write_text(
        settings.read_text().replace("digits?labels=100", "folder:/srv/someone/flowers?size=8")
    )
    text = write_report([copied]).read_text()
    assert "folder:flowers?size=8" in text
    assert "someone" not in text


def test_charts_and_tables_that_a_run_brings_are_shown(folder, tmp_path):
    copied = tmp_path / "with exhibits"
    shutil.copytree(folder, copied)
    lines = [
        Line("measured & real", [0, 1, 2], [0.4, 0.2, 0.0]),
        Line("bound of it", [0, 1, 2], [0.4, None, 0.1], "bound"),
        Line("floor of it", [0, 1, 2], [0.05] * 3, "floor"),
    ]
    chart = Chart("How far", "falls by half", "round", "distance", lines, logarithmic=True)
    sheet = Sheet("Rounds", ["round", "distance"], [["1", "<0.2>"]], "each round")
    write_exhibits(copied / "seeds" / "0", [chart], [sheet])
    text = write_report([copied]).read_text()
    for part in ("How far", "falls by half", "bound of it", "floor of it", "Rounds", "each round"):
        assert part in text
    assert "measured &amp; real" in text
    assert "&lt;0.2&gt;" in text
    plain = write_report([folder], tmp_path / "plain.html").read_text()
    assert text.count("<svg") == plain.count("<svg") + 1
    assert text.count("<table") == plain.count("<table") + 1


def test_the_page_is_the_same_each_time(folder, tmp_path):
    first, second = (write_report([folder], tmp_path / f"{n}.html").read_text() for n in (1, 2))
    assert first == second


def test_several_runs_share_a_page(folder, tmp_path):
    text = write_report([folder, folder], tmp_path / "both.html").read_text()
    assert text.count("Settings and environment") == 2


def test_a_long_run_stays_a_small_page(folder, tmp_path):
    long = tmp_path / "long"
    shutil.copytree(folder, long)
    rows = [
        {"stage": "student", "step": step, "soft": 1 / step, "labels": 2 / step}
        for step in range(1, 10_001)
    ]
    path = long / "seeds" / "0" / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps, values = read_story(long).curves["student"]["soft"]
    assert len(steps) == len(values) <= POINTS
    assert write_report([long]).stat().st_size < 2_000_000


def test_runs_that_cannot_be_shown_say_why(folder, tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        write_report([tmp_path])
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "seeds" / "0" / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="has no metrics.jsonl"):
        write_report([bare])
    (bare / "table.json").unlink()
    with pytest.raises(RunError, match="not finished"):
        write_report([bare])
    assert not (bare / "report.html").exists()


def test_a_browser_draws_it(folder, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no Chromium to open the page with")
    page = write_report([folder], tmp_path / "page.html")
    picture = tmp_path / "page.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,2400",
        f"--screenshot={picture}", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=90, check=False)
    until = time.monotonic() + 5
    while not picture.exists() and time.monotonic() < until:
        time.sleep(0.1)
    from PIL import Image

    shown = Image.open(Path(picture)).convert("RGB")
    colours = shown.getcolors(maxcolors=1 << 20)
    assert shown.size[0] == 1000
    assert len(colours) > 50, "the page is blank"
