"""The report shows a run, loads nothing, names no machine, and opens in a browser."""

import base64
import io
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck import cards, files
from limbeck.errors import RunError
from limbeck.evaluate.words import table_cells
from limbeck.experiment import Request, perform
from limbeck.report import page, write_report
from limbeck.report.story import POINTS, read_story, sentence
from limbeck.run.exhibits import Bars, Chart, Line, Matrix, Sheet, write_exhibits
from limbeck.run.galleries import evolution, wall


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


def test_bars_and_matrices_are_drawn(folder, tmp_path):
    copied = tmp_path / "with drawings"
    shutil.copytree(folder, copied)
    many = [f"member {number}" for number in range(20)]
    drawings = [
        Bars("Weights", "of two members", "weight of each", ["one & two", "three"], [0.5, -0.25]),
        Matrix("Likeness", "of two", ["one", "three"], [[1.0, 0.125], [None, 1.0]], 0.0, 1.0),
        Matrix("Likeness", "of many", many, [[0.25] * 20] * 20, 0.0, 1.0),
    ]
    write_exhibits(copied / "seeds" / "0", drawings)
    text = write_report([copied]).read_text()
    for part in ("Weights, first seed", "one &amp; two", "weight of each", "of many", "member 19"):
        assert part in text, part
    # Numbers stand in the cells where there are few of them.
    assert text.count(">0.12<") == 1
    assert ">0.25<" not in text.split("of many")[0].split("Likeness")[-1]
    plain = write_report([folder], tmp_path / "plain.html").read_text()
    assert text.count("<svg") == plain.count("<svg") + 3


def test_the_page_is_the_same_each_time(folder, tmp_path):
    first, second = (write_report([folder], tmp_path / f"{n}.html").read_text() for n in (1, 2))
    assert first == second


def test_several_runs_share_a_page(folder, tmp_path):
    text = write_report([folder, folder], tmp_path / "both.html").read_text()
    assert text.count("Settings and environment") == 2


def test_runs_on_the_same_data_stand_in_one_table_first(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    text = write_report([folder, other], tmp_path / "both.html").read_text()
    joint = text[: text.index("Settings and environment")].split("Quality beside cost")[0]
    assert "All runs on digits?labels=100" in joint
    assert [joint.count(f"kd: {name}</td>") for name in ("run", "other")] == [1, 1]
    assert joint.count("student alone</td>") == 1, "what stands in both tables stands here once"
    assert "<svg" in joint
    settings = other / "settings.toml"
    settings.write_text(settings.read_text().replace("labels=100", "labels=200"))
    text = write_report([folder, other], tmp_path / "apart.html").read_text()
    assert "All runs on" not in text, "figures on other data are not comparable"


def test_data_of_one_name_and_other_content_stand_apart(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    inputs = other / "seeds" / "0" / "inputs.json"
    files.write_json(inputs, {**files.read_json(inputs), "data": "0123456789abcdef"})
    text = write_report([folder, other], tmp_path / "apart.html").read_text()
    assert "All runs on" not in text


def test_runs_together_are_drawn_against_all_that_they_cost(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    text = write_report([folder, other], tmp_path / "both.html").read_text()
    joint = text.split("Settings and environment")[0].split("Quality beside cost")[0]
    for label in ("latency of one sample, ms", "multiply-adds of one sample", "parameters"):
        assert f"<figcaption>{label}</figcaption>" in joint


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


def set_of_images(folder, place):
    """The run as if its method had made a set of images: rows, exhibits, request."""
    shutil.copytree(folder, place)
    cost = {"bytes": 49184, "train_seconds": 2.5, "parameters": 24_714, "macs": 100_000}
    rows = [
        {
            "name": name,
            "role": role,
            "quality": {"accuracy": accuracy, "accuracy_std": 0.01},
            "cost": {**cost, "images": images},
        }
        for name, role, accuracy, images in (
            ("datm", "product", 0.61, 40),
            ("random images", "baseline", 0.5, 40),
            ("all images", "reference", 0.9, 5000),
        )
    ]
    files.write_json(place / "table.json", rows)
    (place / "seeds" / "0" / "diagnostics.json").unlink()
    labels = np.arange(10).repeat(4)
    draw = np.random.default_rng(0)
    moments = {
        f"step {n}": draw.integers(0, 256, (40, 12, 12, 1), dtype=np.uint8)
        for n in range(0, 50, 10)
    }
    names = [f"<digit {n}>" for n in range(10)]
    galleries = [
        wall("All images of the set", moments["step 40"], labels, names, caption="After 40 steps"),
        evolution("How they came about", moments, labels, names),
    ]
    write_exhibits(place / "seeds" / "0", galleries=galleries)
    return place


def test_galleries_are_in_the_page_with_names_and_alternative_text(folder, tmp_path):
    place = set_of_images(folder, tmp_path / "set")
    text = write_report([place]).read_text()
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)" width="(\d+)" '
                          r'height="(\d+)" alt="([^"]+)">', text)  # fmt: skip
    assert len(pictures) == text.count("<img") == 10 + 50
    content, width, height, alt = pictures[0]
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.size == (int(width), int(height)) == (4 * 50 - 2, 48)
    assert (alt, pictures[10][3]) == ("&lt;digit 0&gt;", "&lt;digit 0&gt;, step 0")
    for part in ("All images of the set", "After 40 steps. All images.", "<th>step 20</th>",
                 "<span>&lt;digit 7&gt;</span>", "image-rendering: pixelated"):  # fmt: skip
        assert part in text, part
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)["']|url\(([^#)][^)]*)\)""", text)
    assert all(address.startswith("data:image/png;base64,") for address, _ in loaded)
    assert len(text) < 2_000_000


def test_a_set_of_images_reads_as_one(folder, tmp_path):
    text = write_report([set_of_images(folder, tmp_path / "set")]).read_text()
    for part in (
        "distilled is 11.0 points ahead of random images of the same number",
        "one seed, mean ± standard deviation of its networks.", "<td>61.0 ±1.0</td>",
        "images to train on", "bytes of the set", "<th>KB</th>",
    ):  # fmt: skip
        assert part in text, part
    for part in ("latency", "student alone", "MACs", "how sure"):
        assert part not in text, part


def test_the_sentence_follows_from_the_inputs():
    kd = cards.card("kd")
    assert sentence(kd, {"teacher": "a", "student": "b", "data": "c"}) == "a distilled into b on c"
    assert sentence(kd, {"student": "b", "data": "c"}) == "c distilled into b"
    small = replace(kd, takes=("network", "data"), gives="SyntheticDataset")
    assert sentence(small, {"network": "convnet?width=32", "data": "cifar10-small"}) == (
        "cifar10-small distilled into a synthetic dataset with network convnet?width=32"
    )
    assert sentence(small, {"data": "digits"}) == "digits distilled into a synthetic dataset"


def test_retrievers_are_drawn_against_what_their_index_costs():
    cost = {"flops": 2.0, "index_bytes": 5000, "latency_ms": 0.1, "query_dimensions": 3.0}
    quality = {"ndcg_at_10": 0.5, "mrr_at_10": 0.4, "recall_at_100": 0.9}
    rows = [
        {"name": "one", "role": "product", "quality": quality, "cost": cost},
        {"name": "bm25", "role": "teacher", "quality": quality, "cost": {"latency_ms": 0.3}},
    ]
    labels = [drawn["caption"] for drawn in page.costs_drawn(rows)]
    assert labels[1:] == ["bytes of the index", "latency of one query, ms"]
    assert "latency is for one query" in page._caption(rows, 1, table_cells(rows)[0])
