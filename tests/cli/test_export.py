"""Exporting on the command line."""

import json
import re
import shutil
import sys
import warnings

import pytest
from tests.products.sets import made

from limbeck import cards, load
from limbeck.cli import main
from limbeck.data import digits
from limbeck.errors import UnusualUseWarning
from limbeck.experiment import Request, perform
from limbeck.methods.kd.kd import KD

RUN = {"teacher": ["mlp?hidden=8"], "student": "mlp?hidden=4"}
SHORT = KD(steps=2, teaching={"steps": 2})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with one finished run, and its table."""
    folder = tmp_path_factory.mktemp("runs")
    tiny = cards.preset("kd", "tiny")
    request = Request("kd", tiny["settings"], tiny["inputs"], (3,))
    with warnings.catch_warnings():
        # Teachers taught for a moment are weak, which is no matter here.
        warnings.simplefilter("ignore", UnusualUseWarning)
        return folder, perform(request, folder / "first", quiet=True)


@pytest.fixture
def here(finished, monkeypatch):
    """The same, with a clean place for exports, and the current folder there."""
    folder, _ = finished
    shutil.rmtree(folder / "first" / "export", ignore_errors=True)
    monkeypatch.chdir(folder)
    return folder


def called(monkeypatch, capsys, *words):
    """The command line in this process: starting one for each would take a minute."""
    monkeypatch.setattr(sys, "argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_help_names_the_formats_of_every_product(monkeypatch, capsys):
    _, said, _ = called(monkeypatch, capsys, "export", "--help")
    said = said.lower()
    for product in ("student", "stack", "cascade", "synthetic dataset", "generator"):
        assert f"of a {product}" in re.sub(r"[\s│]+", " ", said)


def test_onnx_goes_to_the_run_and_the_difference_is_shown(here, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    status, said, told = called(monkeypatch, capsys, "export", "first", "--to", "onnx", "--json")
    assert status == 0
    assert len(said.splitlines()) == 1
    facts = json.loads(said)
    place = here / "first" / "export" / "onnx"
    assert (facts["format"], facts["folder"]) == ("onnx", "first/export/onnx")
    assert facts["files"] == sorted(file.name for file in place.iterdir())
    assert facts["bytes"] == sum(file.stat().st_size for file in place.iterdir())
    assert 0 <= facts["largest_difference"] <= 1e-4
    assert f"largest difference from the student: {facts['largest_difference']:.2g}" in told


def test_the_card_shows_the_figures_of_the_run(here, finished, monkeypatch, capsys):
    status, said, _ = called(monkeypatch, capsys, "export", "first", "--to", "hf", "--json")
    assert status == 0
    facts = json.loads(said)
    assert set(facts) == {"run", "format", "folder", "files", "bytes"}
    card = (here / facts["folder"] / "README.md").read_text()
    lines = [line for line in card.splitlines() if line.startswith("|")][2:]
    for row, line in zip(finished[1], lines, strict=True):
        assert row["name"] in line
        assert f" {row['quality']['accuracy'] * 100:.1f} " in line
        assert f" {row['cost']['macs']:,.0f} " in line
    assert "Knowledge distillation with soft targets (arXiv 1503.02531)" in card
    assert str(here) not in card
    (code,) = re.findall(r"^```python\n(.*?)^```$", card, re.S | re.M)
    monkeypatch.chdir(facts["folder"])
    named = {}
    exec(code, named)
    data, product = digits(), load(here / "first")
    assert named["student"].evaluate(data) == product.evaluate(data)


def test_a_product_without_its_run_is_exported_where_one_says(here, monkeypatch, capsys):
    words = ("export", "first/product", "--to", "torch-export")
    status, _, said = called(monkeypatch, capsys, *words)
    assert (status, "--out" in said) == (2, True)
    status, said, _ = called(monkeypatch, capsys, *words, "--out", "alone")
    assert status == 0
    assert "largest difference from the student: 0" in said
    assert (here / "alone" / "student.pt2").exists()
    shutil.rmtree(here / "alone")
    words = ("export", "first/product", "--to", "hf", "--out", "alone")
    status, _, said = called(monkeypatch, capsys, *words)
    assert (status, "--data" in said) == (2, True)
    assert called(monkeypatch, capsys, *words, "--data", "digits")[0] == 0
    assert "Test split of `digits`" in (here / "alone" / "README.md").read_text()


def test_a_run_made_in_python_is_measured_for_its_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    SHORT.distill("named", **RUN, data="digits?labels=50")
    SHORT.distill("objects", **RUN, data=digits())
    assert called(monkeypatch, capsys, "export", "named", "--to", "hf")[0] == 0
    card = (tmp_path / "named" / "export" / "hf" / "README.md").read_text()
    accuracy = load("named").evaluate(digits())["accuracy"]
    assert f"| mlp?hidden=4 | {accuracy * 100:.1f} |" in card
    status, _, said = called(monkeypatch, capsys, "export", "objects", "--to", "hf")
    assert (status, "--data NAME" in said) == (2, True)
    assert not (tmp_path / "objects" / "export").exists()
    assert called(monkeypatch, capsys, "export", "objects", "--to", "safetensors")[0] == 0
    (tmp_path / "named" / "product" / "product.json").unlink()
    status, _, said = called(monkeypatch, capsys, "export", "named", "--to", "safetensors")
    assert (status, "limbeck resume named" in said) == (1, True)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("first", "--to", "onx"), 2, "did you mean onnx"),
        (("first", "--to", "pytorch"), 2, "Valid: hf, onnx, safetensors, torch-export"),
        (("first",), 2, "Missing option '--to'"),
        (("nothing", "--to", "hf"), 1, "holds no run"),
        (("begun", "--to", "hf"), 1, "is not finished; go on with: limbeck resume begun"),
        (("first", "--to", "safetensors", "--out", "mine"), 1, "holds something else"),
        (("first", "--to", "safetensors", "--out", "first"), 1, "holds something else"),
        (("first", "--to", "safetensors", "--out", "first/product"), 1, "holds something else"),
        (("first", "--to", "safetensors", "--out", "first/product/a"), 1, "lies inside"),
        (("first", "--to", "safetensors", "--out", "mine/thesis.txt"), 1, "is a file"),
        (("first", "--to", "safetensors", "--out", "mine/thesis.txt/a"), 1, "cannot be written"),
    ],
)
def test_bad_usage_speaks_and_changes_nothing(words, status, said, here, monkeypatch, capsys):
    (here / "mine").mkdir(exist_ok=True)
    (here / "mine" / "thesis.txt").write_text("dear")
    (here / "begun").mkdir(exist_ok=True)
    shutil.copy(here / "first" / "settings.toml", here / "begun")
    before = {file: file.read_bytes() for file in here.rglob("*") if file.is_file()}
    code, _, told = called(monkeypatch, capsys, "export", *words)
    assert code == status
    assert said in told
    assert {file: file.read_bytes() for file in here.rglob("*") if file.is_file()} == before


def test_a_synthetic_dataset_goes_to_its_own_formats(here, monkeypatch, capsys, tmp_path):
    folder = tmp_path / "set"
    made(soft=True).save(folder / "product")
    shutil.copy(here / "first" / "settings.toml", folder)
    shutil.copy(here / "first" / "table.json", folder)
    monkeypatch.chdir(tmp_path)
    status, said, _ = called(monkeypatch, capsys, "export", "set", "--to", "folder", "--json")
    facts = json.loads(said)
    assert (status, facts["format"], facts["folder"]) == (0, "folder", "set/export/folder")
    assert "ant/0.png" in facts["files"]
    status, _, _ = called(monkeypatch, capsys, "export", "set", "--to", "hf")
    assert status == 0
    assert "## Measured" in (folder / "export" / "hf" / "README.md").read_text()
    for to in ("onnx", "torch-export"):
        status, _, told = called(monkeypatch, capsys, "export", "set", "--to", to)
        assert (status, "Valid: folder, hf, safetensors" in told) == (2, True)
    status, _, told = called(monkeypatch, capsys, "export", str(here / "first"), "--to", "folder")
    assert (status, "Valid: hf, onnx, safetensors, torch-export" in told) == (2, True)
    status, _, told = called(monkeypatch, capsys, "predict", "set", "--data", "digits")
    assert (status, "holds data and predicts nothing" in told) == (1, True)


def test_a_missing_library_names_the_extra(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, _, said = called(monkeypatch, capsys, "export", "first", "--to", "onnx")
    assert status == 1
    assert "onnxruntime is not installed; pip install 'limbeck[export]'" in said
    assert not (here / "first" / "export").exists()
