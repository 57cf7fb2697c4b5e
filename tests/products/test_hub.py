"""The lines of a model card load the student, and its figures are those that were measured."""

import numpy as np
import pytest
import torch
from tests.products.students import NUMBERS, ROW, STUDENTS, TEXTS, made, shown_lines, values

from limbeck import Student
from limbeck.data import digits
from limbeck.data.texts import decode_texts, encode_texts
from limbeck.errors import ArgumentError
from limbeck.keyed import torch_seeded
from limbeck.networks.names import build
from limbeck.products.model_card import Origin


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
