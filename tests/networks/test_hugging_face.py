"""Classifiers of transformers: made from a configuration, loaded from a folder, saved, rebuilt."""

import dataclasses
import json

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from limbeck.data import InputSpace, from_arrays  # noqa: E402
from limbeck.data.batch import Batch  # noqa: E402
from limbeck.data.data import assemble  # noqa: E402
from limbeck.data.texts import TextSplit, encode_texts  # noqa: E402
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning  # noqa: E402
from limbeck.loops import Optim  # noqa: E402
from limbeck.loops.teach import Teaching, taught  # noqa: E402
from limbeck.methods.kd.kd import KD  # noqa: E402
from limbeck.networks.adapted import Adapted  # noqa: E402
from limbeck.networks.hugging_face import hashed_words  # noqa: E402
from limbeck.networks.making import weights_of  # noqa: E402
from limbeck.networks.names import build  # noqa: E402
from limbeck.outputs import of  # noqa: E402
from limbeck.products import Student  # noqa: E402
from limbeck.run import Run  # noqa: E402

SMALL = "hidden_size=16&num_hidden_layers=1&num_attention_heads=2&intermediate_size=32"
TEXT = f"hf:bert?{SMALL}&vocab_size=200"
GOOD, BAD = ("a fine film", "truly good", "good and fine"), ("a dull film", "bad", "dull and bad")


def texts(count=20, classes=("bad", "good")):
    rows = [(GOOD if place % 2 else BAD)[place // 2 % 3] for place in range(count)]
    y = np.arange(count) % 2
    return assemble(TextSplit(rows, y), TextSplit(rows, y), classes=classes, name="reviews")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text classifier of two classes on disk, with a vocabulary of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    place = tmp_path_factory.mktemp("review-bert")
    words = sorted({word for row in GOOD + BAD for word in row.split()})
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]"
    )
    tokenizer.save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, num_labels=2,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(place)
    return place


def said(network, rows):
    with torch.no_grad():
        return of(network.eval(), Batch({"text": encode_texts(rows)})).logits


def test_padding_changes_nothing():
    torch.manual_seed(0)
    network = build(TEXT, None, 2)
    alone, beside = said(network, GOOD[:1]), said(network, [GOOD[0], "a long one " * 9])
    torch.testing.assert_close(beside[:1], alone, rtol=1e-5, atol=1e-6)


def test_words_have_the_same_number_wherever_they_stand():
    first, second = hashed_words(500, 1)(["Good film!", "film"])
    assert first[0] == second[0] == 0
    assert first[2] == second[1]
    assert 1 not in first
    with pytest.raises(ArgumentError, match="expected more than"):
        hashed_words(3, 0)


def test_a_folder_is_loaded_with_its_tokenizer(folder):
    network = build(f"hf:{folder}", None, 2)
    assert weights_of(network) == "brought"
    theirs = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(list(GOOD), padding=True)
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.tensor(tokens["input_ids"]),
            attention_mask=torch.tensor(tokens["attention_mask"]),
        ).logits
    torch.testing.assert_close(said(network, GOOD), expected)


def test_other_classes_get_a_new_head_that_must_be_trained(folder, tmp_path):
    data = texts(30)
    three = dataclasses.replace(data, classes=("a", "b", "c"))
    assert weights_of(build(f"hf:{folder}", None, 3)) == "fresh head"
    with pytest.raises(ArgumentError, match="--teacher-steps"):
        taught(Run(tmp_path / "none"), f"hf:{folder}", three, Teaching(steps=0))
    short = Teaching(steps=3, batch_size=8)
    made = taught(Run(tmp_path / "some"), f"hf:{folder}", three, short)
    assert (tmp_path / "some" / "stages").is_dir()
    assert made.members[0].name == f"hf:{folder}"
    # Weights that know the classes are taken as they are.
    kept = taught(Run(tmp_path / "same"), f"hf:{folder}", data, short)
    assert not (tmp_path / "same").exists()
    torch.testing.assert_close(
        said(kept.members[0].modules[0], GOOD), said(build(f"hf:{folder}", None, 2), GOOD)
    )


def test_texts_are_learnt_and_the_student_needs_no_folder_of_the_teacher(folder, tmp_path):
    data = texts(40)
    method = KD(
        steps=40,
        batch_size=16,
        optim=Optim("adamw", lr=3e-3),
        teaching=Teaching(steps=60, batch_size=16, optim=Optim("adamw", lr=3e-3)),
    )
    student = method.distill(tmp_path / "run", teacher=TEXT, student=f"hf:{folder}", data=data)
    assert student.predict(["a good film", "bad"]).tolist() == [1, 0]
    assert student.predict("fine and good").tolist() == [1]
    assert student.evaluate(data)["accuracy"] == 1.0
    product = tmp_path / "run" / "product"
    assert {"config.json", "tokenizer.json", "network.safetensors"} <= {
        file.name for file in product.iterdir()
    }
    for file in product.glob("*.json"):
        assert str(folder.parent) not in file.read_text()
    moved = tmp_path / "elsewhere"
    product.rename(moved)
    again = Student.load(moved)
    assert torch.equal(again.logits(list(GOOD)), student.logits(list(GOOD)))


def test_long_texts_are_cut_with_one_warning():
    network = build(f"{TEXT}&max_length=4", None, 2)
    with pytest.warns(UnusualUseWarning, match="8 tokens is cut to the 4"):
        cut = said(network, ["one two three four five six seven"])
    torch.testing.assert_close(cut, said(network, ["one two three and so on"]))


def test_a_cut_keeps_the_closing_mark_and_texts_fit_their_positions(folder):
    network = build(f"hf:{folder}?max_length=2", None, 2)
    with pytest.warns(UnusualUseWarning, match="cut to the 2"):
        said(network, ["a fine film"])
    small = f"{SMALL}&vocab_size=50&max_position_embeddings=16"
    roberta = build(f"hf:roberta?{small}", None, 2)
    assert roberta.length == 14
    with pytest.warns(UnusualUseWarning, match="cut to the 14"):
        assert said(roberta, ["word " * 40]).shape == (1, 2)


def test_a_text_student_takes_arrays_of_texts_and_names_what_is_none(folder):
    student = Student(build(f"hf:{folder}", None, 2), None, "classification", ("bad", "good"))
    expected = student.logits(["good", "bad"])
    assert torch.equal(student.logits(np.array(["good", "bad"])), expected)
    with pytest.raises(ArgumentError, match="item 1 of x is None"):
        student.logits(["good", None])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:bert?to_dict=3", "has no option 'to_dict'"),
        ("hf:bert?hiden_size=3", "did you mean hidden_size"),
        (f"{TEXT}&max_length=1000", "expected 2 to 512"),
        ("hf:bert?hidden_size=7", "cannot be made"),
    ],
)
def test_wrong_options_are_named(name, message):
    with pytest.raises((ArgumentError, ModelError), match=message):
        build(name, None, 2)


def test_weights_that_cannot_be_fetched_name_the_other_way(tmp_path, monkeypatch):
    # The variable of that name is read once, at the import.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="file:"):
        build("hf:nobody/has-this-one", None, 2)
    with pytest.raises(ArgumentError, match="pictures or texts"):
        build(TEXT, InputSpace(size=(4,)), 2)


def test_pictures_are_brought_into_the_space_that_the_folder_declares(tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=16, patch_size=8, num_channels=3, num_labels=4,
    )  # fmt: skip
    place = tmp_path / "vit"
    transformers.ViTForImageClassification(config).save_pretrained(place)
    declared = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 16, "width": 16},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.2, 0.3],
    }
    (place / "preprocessor_config.json").write_text(json.dumps(declared))
    space = InputSpace(size=(8, 8), channels=1, mean=(0.1,), std=(0.3,))
    network = build(f"hf:{place}", space, 4)
    assert isinstance(network, Adapted)
    assert network.target == InputSpace((16, 16), 3, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3))
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        first = network.eval()(space.normalise(x))
    student = Student(network, space, "classification", ("a", "b", "c", "d"), spec="hf:vit")
    student.save(tmp_path / "product")
    again = Student.load(tmp_path / "product")
    assert torch.equal(again.logits(x), student.logits(x))
    torch.testing.assert_close(first, again.logits(x))


def test_a_kind_of_picture_model_takes_the_size_of_the_data():
    data = from_arrays(np.zeros((20, 1, 12, 12), np.uint8), np.arange(20) % 2)
    network = build(f"hf:vit?{SMALL}&patch_size=4", data.input_space, 2)
    assert network(torch.zeros(3, 1, 12, 12)).shape == (3, 2)
