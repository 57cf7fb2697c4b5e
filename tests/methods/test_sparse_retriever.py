"""What is the sparse retriever's own; the contract is in tests/contract."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

import limbeck
from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import (
    ArgumentError,
    DataError,
    ModelError,
    SettingsError,
)
from limbeck.fingerprint import fingerprint
from limbeck.method import complete
from limbeck.methods.sparse_retriever.lessons import JudgedLesson
from limbeck.products.retriever_exporting import _lines
from limbeck.products.sparse_index import SparseIndex
from limbeck.run import Run

from .words import INPUTS, STUDENT, corpus, tiny


@pytest.fixture(scope="module")
def data():
    return corpus()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("sparse") / "run")
    made, baselines, ready = complete(tiny(), run, {**INPUTS, "data": data})
    rows, _ = made.compared(run, "sparse-retriever", baselines, ready)
    return run, made, rows


@pytest.fixture(scope="module")
def product(finished):
    return finished[1]


def test_the_table_has_product_baselines_and_teachers(finished):
    rows = {row["name"]: row for row in finished[2]}
    assert {name: row["role"] for name, row in rows.items()} == {
        "sparse-retriever": "product", "student alone": "baseline", "without idf": "reference",
        "ensemble": "ensemble", "bm25": "teacher", "dense": "teacher",
    }  # fmt: skip
    for row in rows.values():
        assert set(row["quality"]) >= {"ndcg_at_10", "mrr_at_10", "recall_at_100"}
    cost = rows["sparse-retriever"]["cost"]
    assert {"parameters", "index_bytes", "document_dimensions", "flops", "latency_ms"} <= set(cost)
    assert rows["bm25"]["quality"]["ndcg_at_10"] > 0.9


def test_it_finds_documents(product, data):
    product.index(data.documents)
    best = product.search("sort array", k=3)
    assert len(best) == 1
    assert len(best[0]) <= 3
    scores = list(best[0].values())
    assert scores == sorted(scores, reverse=True)
    one = next(iter(best[0]))
    vectors = product.queries(["sort array"]) @ product.documents([data.documents[one]]).T
    assert scores[0] == pytest.approx(float(vectors.toarray()[0, 0]), rel=1e-4)
    assert product.search(["日本", ""]) == [{}, {}]
    figures = product.evaluate(data)
    assert set(figures) == {
        "ndcg_at_10", "mrr_at_10", "recall_at_100", "validation_ndcg_at_10",
    }  # fmt: skip
    swapped = dataclasses.replace(data, validation=data.test, test=data.validation)
    assert product.evaluate(swapped)["validation_ndcg_at_10"] == figures["ndcg_at_10"]
    lone = dataclasses.replace(data, validation=Judged())
    assert "validation_ndcg_at_10" not in product.evaluate(lone)


def test_what_is_asked_wrongly_is_told(product):
    again = limbeck.products.SparseRetriever(product.encoder)
    with pytest.raises(ArgumentError, match="index"):
        again.search("sort")
    with pytest.raises(ArgumentError, match="expected a list"):
        product.documents("sort")
    with pytest.raises(ArgumentError, match="no documents"):
        again.index({})
    with pytest.raises(ModelError, match="finds documents"):
        product.predict()
    with pytest.raises(ModelError, match="corpus with queries"):
        product.measure(limbeck.data.names.resolve("digits"))


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({"a": "sort", "b": ""}, "holds '' for 'b'"),
        ({"a": None}, "holds None for 'a'"),
        (["a text"], "documents is a list, expected texts by id"),
        (corpus(), "documents is a RetrievalData.* give its documents"),
    ],
)
def test_what_is_no_corpus_is_told(product, documents, said):
    with pytest.raises(ArgumentError, match=said):
        type(product)(product.encoder).index(documents)


def test_data_by_name_are_found(product, tmp_path):
    name = "docstrings?packages=numpy&samples=120"
    told = product.export(tmp_path / "csr", to="csr", data=name)
    assert "documents.npz" in told["files"]
    found = limbeck.data.names.resolve(name)
    assert product.evaluate(name) == product.evaluate(found)
    with pytest.raises(ModelError, match="corpus with queries"):
        product.export(tmp_path / "no", to="csr", data="digits")
    with pytest.raises(DataError, match="no data set"):
        product.evaluate("docstringz")


def test_documents_are_encoded_where_it_is_asked_for(product, data, monkeypatch):
    seen = []
    monkeypatch.setattr(product.encoder, "to", lambda device: seen.append(str(device)))
    fresh = type(product)(product.encoder)
    fresh.index(data.documents, device="cuda")
    assert seen == ["cuda", "cpu"]


@pytest.mark.parametrize("given", [3, ["a", None], [2]])
def test_what_is_no_text_is_told(product, data, given):
    product.index(data.documents)
    with pytest.raises(ArgumentError, match="expected texts"):
        product.search(given)


def test_it_survives_saving(product, tmp_path, data):
    product.save(tmp_path / "one")
    again = limbeck.load(tmp_path / "one")
    texts = list(data.documents.values())
    assert (again.documents(texts) != product.documents(texts)).nnz == 0
    assert (again.queries(texts) != product.queries(texts)).nnz == 0
    assert "BertForMaskedLM" in again.summary()
    again.save(tmp_path / "two")
    for path in sorted((tmp_path / "one").rglob("*")):
        if path.is_file():
            copy = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert copy.read_bytes() == path.read_bytes(), path.name
    with pytest.raises(ArgumentError, match="network"):
        limbeck.load(tmp_path / "one", network=torch.nn.Linear(1, 1))


def test_a_pruning_retriever_survives_saving(data, tmp_path):
    made = tiny(prune=0.3, activation="double_log1p", pooling="sum").distill(
        tmp_path / "run", data=data, student=STUDENT, teacher="bm25"
    )
    again = limbeck.load(tmp_path / "run")
    texts = list(data.documents.values())[:5]
    assert again.pooling == made.pooling
    assert (again.documents(texts) != made.documents(texts)).nnz == 0
    with pytest.raises(ModelError, match="prune"):
        made.export(tmp_path / "st", to="sentence-transformers")


def test_exports(product, data, tmp_path):
    told = product.export(tmp_path / "os", to="opensearch", data=data)
    assert {"documents.jsonl", "idf.json", "mapping.json", "README.md", "tokenizer.json"} <= set(
        told["files"]
    )
    lines = [json.loads(one) for one in (tmp_path / "os" / "documents.jsonl").open()]
    table = json.loads((tmp_path / "os" / "idf.json").read_text())
    product.index(data.documents)
    found = product.search("solve matrix", k=64)[0]
    tokens = product.tokenizer.tokenize("solve matrix")
    for line in lines:
        score = sum(table.get(one, 0) * line["tokens"].get(one, 0) for one in set(tokens))
        assert score == pytest.approx(found.get(line["id"], 0.0), rel=1e-3, abs=1e-4)
    product.export(tmp_path / "csr", to="csr", data=data)
    kept = sparse.load_npz(tmp_path / "csr" / "documents.npz")
    assert (kept != product.searchable(list(data.documents.values()))).nnz == 0
    with pytest.raises(ArgumentError, match="corpus"):
        product.export(tmp_path / "none", to="csr")
    with pytest.raises(ArgumentError, match="sentence-transformers"):
        product.export(tmp_path / "none", to="sentence-transformer")


def test_weights_that_round_to_nothing_are_left_out(data):
    vectors = sparse.csr_matrix(np.array([[0.0, 2.0, 1e-7]]))
    one = SimpleNamespace(documents={"a": "text"})
    assert next(_lines(one, vectors, ["x", "y", "z"]))["tokens"] == {"y": 2.0}


def test_onnx_says_the_same(product, tmp_path):
    pytest.importorskip("onnxscript")
    told = product.export(tmp_path / "onnx", to="onnx")
    assert told["largest_difference"] < 1e-4


def test_sentence_transformers_alone_finds_the_same(product, data, tmp_path):
    product.export(tmp_path / "st", to="sentence-transformers")
    texts = list(data.documents.values())[:6]
    code = (
        "import sys, json; sys.modules['limbeck'] = None\n"
        "from sentence_transformers import SparseEncoder\n"
        f"one = SparseEncoder({str(tmp_path / 'st')!r}, device='cpu')\n"
        f"documents = one.encode_document({texts!r})\n"
        "found = one.similarity(one.encode_query(['sort array']), documents)\n"
        "print(json.dumps(found.tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own = (product.queries(["sort array"]) @ product.documents(texts).T).toarray()
    np.testing.assert_allclose(json.loads(done.stdout), own, rtol=1e-4)


def test_without_training_queries_it_learns_from_crops(tmp_path):
    data = corpus(train=0)
    made = tiny(pretraining_steps=7).distill(
        tmp_path / "run", data=data, student=STUDENT, teacher="bm25"
    )
    rows = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"student-pretraining"' in rows
    assert made.index(data.documents).bytes > 0


def test_learned_weights_of_query_tokens_move_and_stay_above_zero(data, tmp_path):
    made = tiny(idf_lr=0.01).distill(tmp_path / "a", data=data, student=STUDENT, teacher="bm25")
    kept = tiny().distill(tmp_path / "b", data=data, student=STUDENT, teacher="bm25")
    assert (made.weights >= 0).all()
    assert not torch.equal(made.weights, kept.weights)
    assert made.weights[made.tokenizer.all_special_ids].sum() == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"documents_per_query": 1, "in_batch": False}, "nothing to rank"),
        ({"documents_per_query": 1, "batch_size": 1}, "one document"),
        ({"documents_per_query": 9, "mined": 6}, "mined is 6"),
    ],
)
def test_settings_that_rank_nothing_are_refused(settings, said):
    with pytest.raises(SettingsError, match=said):
        tiny(**settings)


def test_another_corpus_of_the_same_ids_is_read_anew(product, data):
    """And what the user indexed stays."""
    product.index({"mine": "a text of mine"})
    texts = list(data.documents.values())
    shifted = dict(zip(data.documents, texts[1:] + texts[:1], strict=True))
    other = RetrievalData(shifted, data.train, data.validation, data.test)
    first, second = product.evaluate(data), product.evaluate(other)
    assert first != second
    assert product.evaluate(data) == first
    assert product.cost(other)["index_bytes"] > 0
    assert list(product.search("text of mine", 1)[0]) == ["mine"]


def test_masked_and_cropped_pretraining_are_stages_of_their_own(data, tmp_path):
    method = tiny(pretraining_steps=2, steps=2)
    made = method.distill(
        tmp_path / "run", data=data, student=f"{STUDENT}&pretraining=2", teacher=["bm25"]
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    stages = list(dict.fromkeys(json.loads(line)["stage"] for line in lines))
    assert stages == ["student-masked", "student-pretraining", "student"]
    plain = tiny(steps=2).distill(tmp_path / "b", data=data, student=STUDENT, teacher=["bm25"])
    assert made.fingerprint != plain.fingerprint


def test_names_of_tokens_are_changed_for_search_engines_alone(product, data, tmp_path):
    product.export(tmp_path / "csr", to="csr", data=data)
    product.export(tmp_path / "opensearch", to="opensearch", data=data)
    known = set(product.tokenizer.get_vocab())
    found = json.loads((tmp_path / "csr" / "idf.json").read_text())
    assert set(found) <= known
    found = json.loads((tmp_path / "opensearch" / "idf.json").read_text())
    assert not any("." in name for name in found)


@pytest.mark.parametrize(
    ("student", "said"),
    [("bert?width=200", "width is 200"), ("bert?length=2", "length is 2")],
)
def test_a_fresh_student_that_cannot_be_made_is_told(data, tmp_path, student, said):
    with pytest.raises(ArgumentError, match=said):
        tiny().distill(tmp_path, data=data, student=student, teacher=["bm25"])


def test_a_retriever_is_a_teacher_too(product, data, tmp_path):
    inputs = {**INPUTS, "teacher": product, "data": data}
    run = Run(tmp_path / "run")
    ready = tiny().assemble(run, inputs)
    (told,) = ready["teacher"]
    assert told.fingerprint == fingerprint(product)
    assert not hasattr(product, "name")
    texts = list(data.documents.values())
    lesson = JudgedLesson(run, data, [told], size=2, depth=6, normalise="none", scale=1.0)
    said = lesson.council(torch.tensor([3]), torch.tensor([5, 9]))
    queries = product.queries([lesson.queries[3]])
    own = (queries @ product.documents([texts[5], texts[9]]).T).toarray()
    np.testing.assert_allclose(said.numpy(), own, rtol=1e-5)
    pruning = {**product.pooling, "prune": 0.5}
    network, _ = product._bridge.documents_of(product.encoder)
    pruned = product._bridge.assembled(network, product.weights, VocabularyPooling(**pruning))
    assert type(product)(pruned).fingerprint != product.fingerprint


def test_an_index_that_was_saved_is_looked_into_again(product, data, tmp_path):
    product.index(data.documents).save(tmp_path / "index.safetensors")
    found = product.search("sort array")
    product.save(tmp_path / "product")
    again = type(product).load(tmp_path / "product")
    again.attach(SparseIndex.load(tmp_path / "index.safetensors"))
    assert again.search("sort array") == found
    with pytest.raises(ArgumentError, match="made by no retriever"):
        again.attach(SparseIndex(sparse.csr_matrix([[1.0]]), ["a"]))


def test_special_tokens_are_not_indexed(product, data):
    kept = product.searchable(list(data.documents.values()))
    assert not kept[:, product.tokenizer.all_special_ids].nnz


def test_what_the_ensemble_costs_is_what_its_teachers_do(finished):
    rows = {row["name"]: row["cost"] for row in finished[2]}
    for name in ("index_bytes", "latency_ms", "parameters"):
        total = sum(rows[one].get(name, 0) for one in ("bm25", "dense"))
        assert rows["ensemble"][name] == pytest.approx(total)


def test_the_card_says_what_was_recorded_seed_by_seed():
    root = Path(__file__).parents[2]
    card = (root / "src/limbeck/methods/sparse_retriever/README.md").read_text()
    entries = json.loads((root / "results" / "sparse-retriever.json").read_text())["claims"]
    figures = {entry["claim"]: entry["figures"] for entry in entries}
    pairs = zip(figures[3]["ndcg bm25 0.05"], figures[3]["ndcg of dense alone"], strict=True)
    numbers = ("none", "one", "two", "three", "four", "five")
    for what, behind in {
        "idf being": sum(one < 0 for one in figures[2]["ahead"]),
        "the former being": sum(ours < theirs for ours, theirs in pairs),
    }.items():
        assert f"{what} behind in {numbers[behind]} of five seeds" in " ".join(card.split())
