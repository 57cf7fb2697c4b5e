"""An exported student says what the student says, and holds no more than it needs."""

import contextlib
import errno
import json
import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from limbeck import Student, load
from limbeck.data import InputSpace, digits
from limbeck.data.texts import decode_texts, encode_texts
from limbeck.errors import ArgumentError, ModelError, RunError
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build
from limbeck.products import graphs
from limbeck.products.model_card import Origin

ROW = {
    "name": "kd",
    "role": "product",
    "quality": {"accuracy": 0.875, "nll": 0.5, "ece": 0.1},
    "cost": {"parameters": 610, "macs": 592, "latency_ms": 0.25, "bytes": 2440},
}
NUMBERS = {**ROW, "quality": {"rmse": 2.5, "mae": 2.0, "r2": 0.75}}
SMALL = "hidden_size=16&num_hidden_layers=1&num_attention_heads=2&intermediate_size=32"
GREY = InputSpace(size=(8, 8), channels=1, mean=(0.3,), std=(0.2,))
WIDE = InputSpace(size=(32, 24), channels=1, mean=(0.3,), std=(0.2,))
BYTES = InputSpace(size=(8, 8), channels=1, mean=(70.0,), std=(50.0,), range=(0.0, 255.0))
COLOUR = InputSpace(size=(32, 32), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
TABLE = InputSpace(size=(3,), mean=(1e5, -2.0, 0.0), std=(1e4, 1.0, 3.0), names=("a", "b", "c"))
STUDENTS = {
    "mlp": ("mlp?hidden=8", GREY, "classification", 4),
    "cnn": ("cnn?width=4", BYTES, "multilabel", 3),
    "regression": ("mlp?hidden=8", TABLE, "regression", 1),
    "timm": ("timm:test_resnet", COLOUR, "classification", 4),
    "torchvision": ("torchvision:squeezenet1_1", WIDE, "classification", 4),
    "vit": (f"hf:vit?{SMALL}&patch_size=4", BYTES, "classification", 4),
    "bert": (f"hf:bert?{SMALL}&vocab_size=200", None, "classification", 2),
    "gpt2": ("hf:gpt2?n_embd=8&n_layer=1&n_head=2&vocab_size=200", None, "multilabel", 3),
}
NEEDS = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers"}
TEXTS = ["a fine film", "bad", "good and fine, as films go " * 3]


def made(name):
    spec, space, task, outputs = STUDENTS[name]
    library = NEEDS.get(spec.partition(":")[0])
    if library:
        pytest.importorskip(library, reason=f"{library} is not installed")
    with torch_seeded(3):
        network = build(spec, space, outputs)
    classes = () if task == "regression" else tuple("abcd"[:outputs])
    return Student(network, space, task, classes, outputs=outputs, spec=spec)


def values(space, count):
    """Inputs as a user has them: not those that the exporter checks itself on."""
    drawn = torch.rand(count, *space.shape, generator=torch.Generator().manual_seed(count))
    if space.channels is None:
        return space.denormalise(6 * drawn - 3)
    return space.range[0] + (space.range[1] - space.range[0]) * drawn


def questions(student):
    """Inputs of a graph, and what the student says, in batches of 1, 3 and 17."""
    for count in (1, 3, 17):
        if student.input_space is None:
            texts = [f"{TEXTS[place % 3]} {place}" for place in range(count)]
            yield student.network.encode(texts), student.logits(texts)
        else:
            x = values(student.input_space, count)
            yield (x,), student.logits(x)


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


def shown_lines(folder):
    (code,) = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.S | re.M)
    return code


@pytest.mark.parametrize("name", STUDENTS)
def test_the_lines_of_the_card_load_the_student(name, tmp_path, monkeypatch):
    student = made(name)
    rows = [NUMBERS if student.task == "regression" else ROW]
    origin = Origin(rows, f"csv:{tmp_path}/films.csv", "kd", "Distilling", "arXiv 1", (0,))
    student.export(tmp_path / "hf", to="hf", origin=origin)
    card = (tmp_path / "hf" / "README.md").read_text()
    for figure in ("2.500", "0.750") if student.task == "regression" else ("87.5", "0.500"):
        assert figure in card
    assert "0.25" in card
    assert "610" in card
    assert str(tmp_path) not in card
    monkeypatch.chdir(tmp_path / "hf")
    named = {}
    exec(shown_lines(tmp_path / "hf"), named)
    if "student" in named:
        x = values(student.input_space, 5)
        assert torch.equal(named["student"].logits(x), student.logits(x))
        return
    model = named["model"].eval()
    assert list(model.config.id2label.values()) == list(student.classes)
    with torch.no_grad():
        if student.input_space is None:
            assert named["tokens"](TEXTS) == student.network.tokens(TEXTS)
            ids, mask = student.network.encode(TEXTS)
            said, x = model(input_ids=ids, attention_mask=mask).logits, TEXTS
        else:
            x = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
            pixels = named["processor"](list(x[:, None]), return_tensors="pt")
            # The data of this student had pixels up to 255.
            said, x = model(**pixels).logits, torch.from_numpy(x).float()
    torch.testing.assert_close(said, student.logits(x), rtol=1e-4, atol=1e-5)


def test_a_card_shows_spreads_and_whose_weights_these_are(tmp_path):
    student = made("mlp")
    rows = [{**ROW, "name": f"file:{tmp_path}/w.safetensors?network=mlp", "std": {"ece": 0.02}}]
    origin = Origin(rows, "digits", "kd", "Distilling", "arXiv 1", (5, 6))
    student.export(tmp_path / "hf", to="hf", origin=origin)
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "| file:w.safetensors?network=mlp | 87.5 | 0.500 | 0.100 ±0.020 | 610 |" in card
    assert "2 seeds; the weights here are those of seed 5" in card
    assert "Labels in order: a, b, c, d." in card
    assert "bytes (uint8) or numbers from 0 to 1" in card
    made("cnn").export(tmp_path / "cnn", to="hf", origin=origin)
    assert "numbers from 0 to 255" in (card := (tmp_path / "cnn" / "README.md").read_text())
    assert "uint8" not in card


@pytest.mark.filterwarnings("ignore:a text of")
def test_a_tokenizer_goes_with_the_student(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *["a", "fine", "film"]])}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    source = tmp_path / "mine"
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(source)
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, num_labels=2,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(source)
    network = build(f"hf:{source}?max_length=6", None, 2)
    student = Student(network, None, "classification", ("bad", "good"), spec="hf:mine?max_length=6")
    student.export(tmp_path / "graph", to="torch-export")
    student.export(tmp_path / "hf", to="hf", origin=Origin([ROW]))
    for folder in ("graph", "hf"):
        texts = decode_texts(encode_texts(TEXTS))
        read = transformers.AutoTokenizer.from_pretrained(tmp_path / folder)
        cut = read(texts, truncation=True, padding=True, return_tensors="pt")
        network._warned = False
        with pytest.warns(UserWarning, match="cut to the 6"):
            ids = network.encode(texts)[0]
        assert torch.equal(cut["input_ids"], ids)
        for file in (tmp_path / folder).iterdir():
            assert str(tmp_path).encode() not in file.read_bytes()
    # The folder is also a teacher by name.
    again = build(f"hf:{tmp_path / 'hf'}?max_length=6", None, 2)
    assert torch.equal(Student(again, None, "classification", ("bad", "good")).logits(TEXTS),
                       student.logits(TEXTS))  # fmt: skip


def test_pictures_are_converted_inside_the_graph(tmp_path):
    """A student whose weights came from elsewhere sees another size and other channels."""
    pytest.importorskip("timm", reason="timm is not installed")
    from limbeck.networks.adapted import Adapted

    native = InputSpace(size=(40, 24), channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    with torch_seeded(0):
        network = Adapted(build("cnn?width=4", native, 4), GREY, native)
    student = Student(network, GREY, "classification", tuple("abcd"))
    facts = student.export(tmp_path / "out", to="torch-export")
    assert facts["largest_difference"] <= 1e-6
    program = torch.export.load(tmp_path / "out" / "student.pt2").module()
    for inputs, expected in questions(student):
        torch.testing.assert_close(program(*inputs), expected)


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


def test_the_students_own_network_is_left_as_it_is(tmp_path):
    student = made("bert")
    before = student.network.network.config.to_dict()
    student.export(tmp_path / "hf", to="hf", origin=Origin([ROW]))
    assert student.network.network.config.to_dict() == before


def test_figures_are_measured_where_no_run_did(tmp_path):
    data = digits()
    with torch_seeded(0):
        student = Student.of(build("mlp?hidden=8", data.input_space, 10), data)
    with pytest.raises(ArgumentError, match="data=DATA"):
        student.export(tmp_path / "hf", to="hf")
    assert not (tmp_path / "hf").exists()
    student.export(tmp_path / "hf", to="hf", data=data)
    accuracy = f"{student.evaluate(data)['accuracy'] * 100:.1f}"
    card = (tmp_path / "hf" / "README.md").read_text()
    assert f"| mlp?hidden=8 | {accuracy} |" in card


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


def everything(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


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
