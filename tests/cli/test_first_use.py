"""What somebody meets who uses limbeck for the first time, and what is said then."""

import importlib.util
import subprocess
import sys
import warnings

import pytest

import limbeck as package
from limbeck.data.names import resolve
from limbeck.errors import (
    ArgumentError,
    DataError,
    ModelError,
    RunError,
    UnusualUseWarning,
    absent,
    warnings_in_words,
)
from limbeck.networks.names import read_weights
from limbeck.networks.small import MLP

OWN = ("run", "kd", "--teacher", "mlp", "--student", "mlp", "--quiet")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_misspelt_file_is_told_the_one_beside_it(folder):
    (folder / "flowers.csv").touch()
    assert absent(folder / "flower.csv").endswith("did you mean " + str(folder / "flowers.csv?"))
    assert absent(folder / "zebra.npz") == f"{folder / 'zebra.npz'} does not exist"
    assert absent(folder / "no" / "where") == f"{folder / 'no' / 'where'} does not exist"
    for call in (
        lambda: resolve("csv:flower.csv"),
        lambda: read_weights(folder / "flower.csv"),
        lambda: package.load("flowers.cs"),
    ):
        with pytest.raises((DataError, ModelError, RunError), match=r"did you mean .*flowers\.csv"):
            call()


def test_data_of_a_preset_that_are_not_there_say_where_they_would_be(limbeck, monkeypatch):
    monkeypatch.delenv("LIMBECK_DATA", raising=False)
    said = limbeck(*OWN, "--data", "fashion-mnist", "--seed", "0")
    assert said.status == 2
    assert "a folder whose sub-folders are data sets (--data-root)" in said.err


def test_a_file_is_no_folder_of_a_run(limbeck, folder):
    (folder / "table.csv").write_text("mine")
    said = limbeck("run", "kd", "--preset", "tiny", "--out", "table.csv")
    assert said.status == 1
    assert "table.csv is a file; choose another folder with --out" in said.err
    assert (folder / "table.csv").read_text() == "mine"


def test_a_missing_library_of_search_is_said_with_its_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "sentence_transformers" else find(name),
    )
    name = "limbeck.bridges.sentence_transformers"
    for one in [one for one in sys.modules if one.startswith(name)]:
        monkeypatch.delitem(sys.modules, one)
    with pytest.raises(ModelError, match=r"pip install 'limbeck\[text\]'"):
        importlib.import_module(name)


def test_a_class_in_place_of_a_network_is_told_to_be_called(tmp_path):
    with pytest.raises(ArgumentError, match=r"make one: student=MLP\(\.\.\.\)"):
        package.KD(steps=1).distill(
            tmp_path / "run", teacher="mlp", student=MLP, data="digits?labels=20"
        )


def test_warnings_read_as_words_without_a_place_in_the_source():
    with warnings_in_words():
        said = warnings.formatwarning(UnusualUseWarning("odd"), UnusualUseWarning, "file.py", 3)
        other = warnings.formatwarning("old", DeprecationWarning, "file.py", 3, "")
    assert said == "Warning: odd\n"
    assert other.startswith("file.py:3: DeprecationWarning: old")


def test_warnings_of_seeds_side_by_side_read_so_too(tmp_path):
    words = ("run", "kd", "--preset", "tiny", "--seeds", "2", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "limbeck", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Warning: teacher" in done.stderr
    assert "UnusualUseWarning" not in done.stderr


def test_calling_the_command_line_leaves_warnings_as_they_were(limbeck):
    before = warnings.formatwarning
    limbeck("list")
    assert warnings.formatwarning is before


def test_a_format_that_is_not_written_is_refused_before_anything_is_loaded(limbeck, folder):
    (folder / "first").mkdir()
    said = limbeck("predict", "first", "--data", "digits", "--out", "said.txt")
    assert said.status == 2
    assert "predictions are written as .csv" in said.err


def test_show_names_kinds_without_bounds_and_presets_as_they_are_typed(limbeck):
    said = limbeck("show", "kd").out
    assert "  patience: int | None = None\n" in said
    assert "tiny: --data 'digits?labels=100' --teacher 'mlp?hidden=32'" in said
    assert "``" not in said
