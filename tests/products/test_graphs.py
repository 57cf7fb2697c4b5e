"""A graph says what the student says, in batches of any size, or is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.products.students import GREY, ROW, made, questions, shown_lines, values
from torch import nn

from limbeck import Student
from limbeck.data import InputSpace
from limbeck.errors import ModelError
from limbeck.keyed import torch_seeded
from limbeck.networks.adapted import Adapted
from limbeck.networks.names import build
from limbeck.products import graphs
from limbeck.products.model_card import Origin


@pytest.mark.parametrize("name", ["mlp", "cnn", "regression", "timm", "vit", "bert"])
def test_onnx_says_the_same_in_batches_of_any_size(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    import onnx

    student = made(name)
    facts = student.export(tmp_path / "onnx", to="onnx")
    assert facts["largest_difference"] <= 1e-4
    path = tmp_path / "onnx" / "student.onnx"
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = json.loads((tmp_path / "onnx" / "student.json").read_text())
    assert [one.name for one in session.get_inputs()] == [one["name"] for one in told["inputs"]]
    assert session.get_inputs()[0].shape == told["inputs"][0]["shape"]
    assert session.get_outputs()[0].shape == told["outputs"][0]["shape"]
    for inputs, expected in questions(student):
        names = [one["name"] for one in told["inputs"]]
        given = {key: one.numpy() for key, one in zip(names, inputs, strict=True)}
        said = torch.from_numpy(session.run(["logits"], given)[0])
        torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-4)
    # No more numbers than the student has, but for the normalisation.
    kept = sum(int(np.prod(one.dims)) for one in onnx.load(path).graph.initializer)
    network = student.network
    own = sum(one.numel() for one in [*network.parameters(), *network.buffers()])
    assert kept < own + 100


@pytest.mark.parametrize("name", ["regression", "torchvision", "gpt2"])
def test_torch_export_says_the_same_in_batches_of_any_size(name, tmp_path):
    student = made(name)
    facts = student.export(tmp_path / "out", to="torch-export")
    assert facts["files"] == ["manifest.json", "student.json", "student.pt2"]
    program = torch.export.load(tmp_path / "out" / "student.pt2").module()
    for inputs, expected in questions(student):
        torch.testing.assert_close(program(*inputs), expected, rtol=1e-5, atol=1e-5)


def test_pictures_are_converted_inside_the_graph(tmp_path):
    """A student whose weights came from elsewhere sees another size and other channels."""
    native = InputSpace(size=(40, 24), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    with torch_seeded(0):
        network = Adapted(build("cnn?width=4", native, 4), GREY, native)
    student = Student(network, GREY, "classification", tuple("abcd"))
    facts = student.export(tmp_path / "out", to="torch-export")
    assert facts["largest_difference"] <= 1e-6
    program = torch.export.load(tmp_path / "out" / "student.pt2").module()
    for inputs, expected in questions(student):
        torch.testing.assert_close(program(*inputs), expected)


class Own(nn.Module):
    """A network of the user's own, with a choice of what it does."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(64, 4)

    def forward(self, x):
        x = self.layer(x.flatten(1))
        if self.kind == "branches" and x.sum() > 0:
            return x * 2
        if self.kind == "random":
            return nn.functional.dropout(x, 0.5)
        return {"logits": x, "features": x}


def own(kind):
    return Student(Own(kind), GREY, "classification", tuple("abcd"))


def test_a_network_of_the_users_own_is_exported(tmp_path, monkeypatch):
    student = own("mapping")
    student.export(tmp_path / "pt2", to="torch-export")
    program = torch.export.load(tmp_path / "pt2" / "student.pt2").module()
    x = values(GREY, 3)
    torch.testing.assert_close(program(x), student.logits(x))
    student.export(tmp_path / "hf", to="hf", origin=Origin([ROW]))
    monkeypatch.chdir(tmp_path / "hf")
    named = {"network": Own("mapping")}
    exec(shown_lines(tmp_path / "hf"), named)
    assert torch.equal(named["student"].logits(x), student.logits(x))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("branches", "no torch-export form"), ("random", "differs from it by")],
)
def test_what_is_no_graph_is_refused_with_the_way_out(kind, message, tmp_path):
    with pytest.raises(ModelError, match=rf"(?s){message}.*--to safetensors"):
        own(kind).export(tmp_path / "out", to="torch-export")
    assert not list(tmp_path.iterdir())


def test_a_difference_is_found(tmp_path, monkeypatch):
    """The check compares with what the student says, not with what the graph was made of."""
    monkeypatch.setattr(InputSpace, "normalise", lambda self, x: x * (1 + 1e-3 * len(x.shape)))
    student = made("mlp")
    graph = graphs.graph(student)
    monkeypatch.undo()
    facts = {"format": "torch-export", "outputs": [{}]}
    with pytest.raises(ModelError, match=r"expected at most 0\.0001"):
        graphs.compare(graph, lambda x: graph.module.network(x), student.task, facts)
    nan = graphs.Graph(graph.module, {}, {}, lambda count: ((torch.zeros(1),), torch.zeros(1)))
    with pytest.raises(ModelError, match="differs from it by nan"):
        graphs.compare(nan, lambda x: x / 0, student.task, facts)
    with pytest.raises(ModelError, match="differs from it by inf"):
        graphs.compare(nan, lambda x: x[None], student.task, facts)


def test_large_numbers_are_compared_by_their_scale():
    drawn = ((torch.zeros(1),), torch.tensor([2e6]))
    graph = graphs.Graph(nn.Identity(), {}, {}, lambda count: drawn)
    facts = {"format": "onnx", "outputs": [{}]}
    graphs.compare(graph, lambda x: torch.tensor([2e6 + 100]), "regression", facts)
    assert facts["largest_difference"] == 100
    with pytest.raises(ModelError, match="differs"):
        graphs.compare(graph, lambda x: torch.tensor([2e6 + 300]), "regression", facts)
    with pytest.raises(ModelError, match="differs"):
        graphs.compare(graph, lambda x: torch.tensor([2e6 + 100]), "classification", facts)


def test_a_program_without_limbeck_runs_the_onnx_file(tmp_path, monkeypatch):
    """Also where the weights are so large that they stand beside the graph."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    monkeypatch.setattr(graphs, "ONE_FILE", 100)
    student = made("mlp")
    assert "student.onnx.data" in student.export(tmp_path / "out", to="onnx")["files"]
    (tmp_path / "out").rename(tmp_path / "moved")
    x = values(GREY, 2).numpy()
    np.save(tmp_path / "x.npy", x)
    code = (
        "import json, sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession('moved/student.onnx')\n"
        "said = session.run(None, {'x': numpy.load('x.npy')})[0]\n"
        "labels = json.load(open('moved/student.json'))['labels']\n"
        "assert not {'torch', 'limbeck'} & set(sys.modules)\n"
        "print([labels[place] for place in said.argmax(1)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = [student.classes[place] for place in student.predict(x).tolist()]
    assert done.stdout.strip() == str(expected)


def test_inputs_of_unknown_shape_have_no_graph():
    with pytest.raises(ModelError, match="no known shape"):
        graphs.graph(Student(nn.Linear(2, 2), None, "classification", ("a", "b")))
