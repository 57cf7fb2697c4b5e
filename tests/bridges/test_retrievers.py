"""Retrievers of sentence-transformers and others as teachers: which kind, and which content."""

import dataclasses
import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from limbeck.bridges.sentence_transformers.encoders import masked_lm, write_masked_lm
from limbeck.bridges.sentence_transformers.loading import _kind, loaded
from limbeck.bridges.sentence_transformers.retrievers import (
    CrossTeacher,
    LexicalTeacher,
    retriever,
)
from limbeck.bridges.sentence_transformers.word_pieces import tokenizer_of, word_pieces
from limbeck.errors import ArgumentError, DataError, ModelError
from limbeck.testing.retrieval import bi_encoder

TEXTS = [f"{deed} the {thing}" for deed in ("sort", "read", "draw") for thing in ("array", "file")]


@pytest.fixture
def cross(tmp_path):
    """The folder of a cross-encoder that knows nothing."""
    import transformers

    tokenizer = tokenizer_of(word_pieces(TEXTS, 120), 16)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=32, max_position_embeddings=16, num_labels=1,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "cross")
    tokenizer.save_pretrained(tmp_path / "cross")
    return tmp_path / "cross"


def test_a_cross_encoder_is_known_by_its_files(cross):
    told = loaded(str(cross), "cross")
    assert isinstance(told, CrossTeacher)
    said = told.pairs(["sort", "read"], TEXTS[:2])
    assert said.shape == (2,)
    assert said.dtype == np.float32
    own = told.model.predict([("sort", TEXTS[0])], activation_fn=torch.nn.Identity())
    assert said[0] == pytest.approx(float(own[0]), rel=1e-5)
    facts = json.loads((cross / "config.json").read_text())
    facts["id2label"] = {"0": "no", "1": "yes"}
    (cross / "config.json").write_text(json.dumps(facts))
    (cross / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="does not load"):
        loaded(str(cross), "cross")


class Hub:
    """What a hub has, by repository and file."""

    def __init__(self, folder, **files):
        self.folder, self.files = folder, files

    def __call__(self, place, name):
        found = self.files.get(name.removesuffix(".json"))
        if place == "far/away":
            raise LocalEntryNotFoundError("no connection")
        if found is None:
            raise EntryNotFoundError(name)
        path = self.folder / name
        path.write_text(json.dumps(found))
        return str(path)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config_sentence_transformers": {"model_type": "SparseEncoder"}}, "SparseEncoder"),
        ({"config_sentence_transformers": {"model_type": "CrossEncoder"}}, "CrossEncoder"),
        ({"config": {"architectures": ["BertForSequenceClassification"]}}, "CrossEncoder"),
        ({"config": {"architectures": ["BertModel"]}}, "SentenceTransformer"),
        ({}, "SentenceTransformer"),
    ],
)
def test_kinds_are_told_by_the_files_of_a_hub(tmp_path, monkeypatch, files, kind):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Hub(tmp_path, **files))
    assert _kind("owner/name").__name__ == kind


def test_a_hub_that_is_not_reached_tells_no_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Hub(tmp_path))
    with pytest.raises(ModelError, match=r"hf:far/away does not load .*no connection"):
        loaded("far/away", "away")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_facts_that_are_damaged_are_told(cross, text):
    (cross / "config.json").write_text(text)
    with pytest.raises(ModelError, match="config.json is damaged"):
        loaded(str(cross), "cross")


class Plain:
    """Vectors of lengths, without a name and a fingerprint."""

    encoder = "of no importance"

    def __init__(self, scale):
        self.scale = scale

    def queries(self, texts):
        return np.array([[self.scale * len(text)] for text in texts], np.float32)

    documents = queries


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A reader of pairs that nothing can be written on."""

    name: str = "frozen"

    def pairs(self, queries, documents):
        return np.array([len(text) for text in documents], np.float32)


def test_objects_teach_as_they_are():
    one, other = Plain(1), Plain(2)
    told = retriever(one, "plain")
    assert (told.name, told.documents(["abc"]).tolist()) == ("plain", [[3.0]])
    assert told.fingerprint == retriever(Plain(1), "x").fingerprint
    assert told.fingerprint != retriever(other, "plain").fingerprint
    assert vars(one) == {"scale": 1}
    pairs = retriever(Frozen(), "pairs")
    assert pairs.pairs(["a"], ["bc"]).tolist() == [2.0]
    assert told.knows(["anything"]).all()
    with pytest.raises(ArgumentError, match="a Plain holds what cannot .* attribute named finger"):
        retriever(Plain(iter(())), "plain")


def test_what_is_put_in_front_of_texts_is_content():
    plain = retriever(bi_encoder(TEXTS), "dense")
    prompted, short = bi_encoder(TEXTS), bi_encoder(TEXTS)
    prompted.prompts = {"query": "query: "}
    short.max_seq_length = 8
    words = {retriever(one, "dense").fingerprint for one in (prompted, short)}
    assert len(words | {plain.fingerprint}) == 3
    assert retriever(bi_encoder(TEXTS), "other").fingerprint == plain.fingerprint


def test_a_corpus_without_words_has_no_bm25():
    with pytest.raises(DataError, match="finds no word in the 2 documents"):
        LexicalTeacher(["a", "the of"])


def test_a_package_brings_a_model(tmp_path, monkeypatch):
    from limbeck.loops.model_places import place_of

    bi_encoder(TEXTS).save_pretrained(str(tmp_path / "site" / "tiny_encoder" / "model"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    place = place_of("package", "tiny-encoder")
    assert Path(place) == tmp_path / "site" / "tiny_encoder" / "model"
    assert loaded(place, "tiny").documents(TEXTS).shape == (6, 8)
    write_masked_lm(
        tmp_path / "site" / "tiny_words" / "lm", word_pieces(TEXTS, 120), layers=1, width=8,
        length=16,
    )  # fmt: skip
    assert masked_lm(place_of("package", "tiny_words"), length=12).tokenizer.model_max_length == 12
