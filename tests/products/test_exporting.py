"""An export holds the student alone, is whole or absent, and never replaces anything else."""

import contextlib
import errno
import json
import os
import resource
import sys

import pytest
import torch
from tests.products.students import (
    ROW,
    TEXTS,
    everything,
    made,
    values,
)

from limbeck import Student, load
from limbeck.errors import ArgumentError, ModelError, RunError
from limbeck.products import graphs
from limbeck.products.model_card import Origin


@pytest.mark.parametrize("name", ["mlp", "regression", "vit", "bert"])
def test_safetensors_loads_back_to_the_bit(name, tmp_path):
    student = made(name)
    student.export(tmp_path / "out", to="safetensors")
    again = load(tmp_path / "out")
    x = TEXTS if student.input_space is None else values(student.input_space, 5)
    assert torch.equal(again.logits(x), student.logits(x))
    told = json.loads((tmp_path / "out" / "student.json").read_text())
    assert (told["labels"], told["task"]) == (list(student.classes), student.task)
    if name == "regression":
        assert told["preprocessing"]["mean"] == [1e5, -2.0, 0.0]
        assert told["inputs"][0]["features"] == ["a", "b", "c"]


def test_no_export_names_a_machine_and_all_are_the_same_again(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    student = made("mlp")
    places = {os.getcwd(), str(tmp_path), sys.prefix, os.path.dirname(torch.__file__)}
    places |= {os.path.dirname(graphs.__file__), os.path.expanduser("~")} - {"/"}
    for to in ("safetensors", "onnx", "torch-export", "hf"):
        contents = []
        for name in ("first", "second"):
            folder = tmp_path / name / to
            student.export(folder, to=to, origin=Origin([ROW]))
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            contents.append([file.read_bytes() for file in files])
        assert contents[0] == contents[1]
        for place in places:
            assert place.encode() not in b"".join(contents[0]), f"{to} names {place}"


def test_an_unknown_format_names_the_nearest(tmp_path):
    with pytest.raises(ArgumentError, match="did you mean onnx"):
        made("mlp").export(tmp_path / "out", to="onx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_names_the_extra(missing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=r"^onnx.*not installed; pip install 'limbeck\[export\]'"):
        made("mlp").export(tmp_path / "out", to="onnx")
    assert not list(tmp_path.iterdir())


def test_an_earlier_export_of_the_same_student_is_replaced(tmp_path):
    student = made("mlp")
    student.export(tmp_path / "out", to="safetensors")
    before = everything(tmp_path)
    student.export(tmp_path / "out", to="safetensors")
    assert everything(tmp_path) == before


def spoil(folder, how):
    student = made("mlp")
    if how == "a file":
        folder.write_text("mine")
    elif how == "other things":
        folder.mkdir()
        (folder / "thesis.txt").write_text("dear")
    elif how == "a product":
        student.save(folder)
    elif how == "another format":
        student.export(folder, to="torch-export")
    elif how == "another student":
        made("cnn").export(folder, to="safetensors")
    else:
        student.export(folder, to="safetensors")
        if how == "an edited file":
            (folder / "student.json").write_text((folder / "student.json").read_text() + " ")
        elif how == "a new file":
            (folder / "notes.txt").write_text("mine")
        else:
            (folder / ".gitattributes").write_text("mine")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a file", "is a file"),
        ("other things", "holds something else"),
        ("a product", "holds something else"),
        ("another format", "the export of another format"),
        ("another student", "the export of another student"),
        ("an edited file", "was changed by hand"),
        ("a new file", "was changed by hand"),
        ("a hidden file", "holds something else"),
    ],
)
def test_a_folder_with_anything_else_is_left_as_it_is(how, message, tmp_path):
    folder = tmp_path / "out"
    spoil(folder, how)
    before = everything(tmp_path)
    with pytest.raises(RunError, match=rf"{message}.*--out"):
        made("mlp").export(folder, to="safetensors")
    assert everything(tmp_path) == before


def test_nothing_is_written_into_a_product(tmp_path):
    student = made("mlp")
    student.save(tmp_path / "product")
    with pytest.raises(RunError, match="lies inside"):
        student.export(tmp_path / "product" / "export", to="safetensors")
    assert Student.load(tmp_path / "product").width == 4


def test_the_folder_one_stands_in_can_be_named_by_a_dot(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made("mlp").export(".", to="safetensors")
    assert load(tmp_path / "here").width == 4


@contextlib.contextmanager
def small_files(most):
    """No file may grow beyond so many bytes: the system refuses, as root or not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("to", ["safetensors", "onnx", "torch-export", "hf"])
def test_what_cannot_be_written_is_told_and_leaves_the_old(to, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    student = made("vit" if to == "hf" else "mlp")
    origin = Origin([ROW])
    with (
        small_files(1000),
        pytest.raises(RunError, match=r"cannot be written \(File too large"),
    ):
        student.export(tmp_path / "out", to=to, origin=origin)
    assert not list(tmp_path.iterdir())
    if to == "hf":
        student.export(tmp_path / "out", to=to, origin=origin)
        before = everything(tmp_path)
        with small_files(1000), pytest.raises(RunError, match="cannot be written"):
            student.export(tmp_path / "out", to=to, origin=origin)
        assert everything(tmp_path) == before


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="the disk is full"):
        made("mlp").export(tmp_path / "out", to="torch-export")
    assert not list(tmp_path.iterdir())
