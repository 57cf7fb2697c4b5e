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
from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher, retriever
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import (
    ArgumentError,
    DataError,
    ModelError,
    NoEffectWarning,
    NotFiniteError,
    SettingsError,
    UnusualUseWarning,
)
from limbeck.fingerprint import fingerprint
from limbeck.loops import retrieved, retrieving
from limbeck.loops.retrieved import Council, PairedScorer, VectorScorer
from limbeck.method import complete
from limbeck.methods.sparse_retriever.lessons import CroppedLesson, JudgedLesson, crop
from limbeck.products.retriever_exporting import _lines
from limbeck.products.sparse_index import SparseIndex
from limbeck.run import Run

from .words import DENSE, INPUTS, RAW, STUDENT, corpus, length_teacher, tiny


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


def test_a_teacher_of_pairs_needs_mined_candidates(data, tmp_path):
    with pytest.raises(ArgumentError, match="in_batch"):
        tiny().distill(tmp_path / "a", data=data, student=STUDENT, teacher=["bm25", length_teacher])
    made = tiny(in_batch=False, documents_per_query=3).distill(
        tmp_path / "b", data=data, student=STUDENT, teacher=["bm25", length_teacher]
    )
    assert made.documents(["sort"]).shape[0] == 1


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


def constant(queries, documents):
    return [1.0] * len(queries)


def undefined(queries, documents):
    return [float("nan")] * len(queries)


class Vectors:
    """A teacher whose vectors are of these sizes, whatever the texts are."""

    def __init__(self, asked, found):
        self.asked, self.found = asked, found
        self.name, self.fingerprint = "vectors", f"{asked} {found}"

    def queries(self, texts):
        return np.ones((len(texts), self.asked), np.float32)

    def documents(self, texts):
        return np.ones((len(texts) - self.found // 9, self.found), np.float32)


class Hashed:
    """A teacher of words by their letters, that was given no name of its own to be called by."""

    name = "hashed"

    def queries(self, texts):
        found = np.zeros((len(texts), 16), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                found[row, sum(map(ord, word)) % 16] += 1
        return found

    documents = queries


@pytest.mark.parametrize("teacher", [["bm25", constant], [Vectors(3, 3)]])
def test_a_teacher_without_an_opinion_is_told_of(data, tmp_path, teacher):
    with pytest.warns(NoEffectWarning, match="same score") as told:
        tiny(steps=2, in_batch=False, documents_per_query=3).distill(
            tmp_path / "run", data=data, student=STUDENT, teacher=teacher
        )
    assert not any("bm25" in str(one.message) for one in told)


@pytest.mark.parametrize(
    ("teacher", "settings", "error", "said"),
    [
        (
            ["bm25", undefined],
            {"in_batch": False, "normalise": "none"},
            NotFiniteError,
            "undefined gave scores",
        ),
        ([Vectors(3, 4)], {}, ArgumentError, "width 3 for queries and of 4"),
        ([Vectors(9, 9)], {}, ArgumentError, r"expected \(64, D\)"),
        (
            ["bm25", lambda a, b: ["x"]],
            {"in_batch": False, "normalise": "none"},
            ArgumentError,
            "no numbers",
        ),
        (["bm25"], {"documents_per_query": 90, "mined": 200}, ArgumentError, "set documents_per"),
        (["bm25?k1=abc"], {}, ArgumentError, "expected a number from 0 to 100"),
        (["bm25?b=2"], {}, ArgumentError, "expected a number from 0 to 1"),
        (["bm25?stopwords=eng"], {}, ArgumentError, "did you mean en"),
        ([3], {}, ArgumentError, "teacher 0 is of the type int"),
    ],
)
def test_what_teachers_cannot_say_is_refused(data, tmp_path, teacher, settings, error, said):
    with pytest.raises(error, match=said):
        tiny(steps=2, **settings).distill(
            tmp_path / "run", data=data, student=STUDENT, teacher=teacher
        )


def test_lessons_take_an_own_document_and_some_that_seem_right(data, tmp_path):
    teacher = LexicalTeacher(list(data.documents.values()))
    lesson = JudgedLesson(Run(tmp_path), data, [teacher], size=3, depth=8)
    texts = list(data.documents.values())
    for step in range(7):
        for row in lesson.examples("student", 4)(step):
            query, own, *others = row["label"]
            assert own in lesson.right[query]
            assert not set(others) & set(lesson.right[query])
            assert set(others) <= set(lesson.wrong[query].tolist())
            assert [row[f"document_{slot}"] for slot in range(3)] == [
                texts[one] for one in (own, *others)
            ]
    assert lesson.examples("student", 4)(3) == lesson.examples("student", 4)(3)
    seen = {row["label"][0] for step in range(6) for row in lesson.examples("student", 4)(step)}
    assert seen == set(range(24))


def test_crops_are_asked_of_teachers_as_they_come(data, tmp_path):
    teacher = LexicalTeacher(list(data.documents.values()))
    lesson = CroppedLesson(Run(tmp_path), data, [teacher], size=2)
    rows = lesson.examples("crops", 4)(0)
    labels = torch.tensor([row["label"] for row in rows])
    assert all(row["query"] in " ".join(row["document_0"].split()) for row in rows)
    said = lesson.council(labels[:, 0], labels[:, 1:].flatten())
    assert said.shape == (4, 8)
    assert crop("a b", 0.5, 0.5) == "a b"


def test_scores_of_a_group_are_those_of_the_batch():
    rng = np.random.default_rng(0)
    queries, documents = rng.random((5, 3), np.float32), rng.random((9, 3), np.float32)
    asked = np.array([[1, 2], [8, 0]])
    for kind in (np.asarray, sparse.csr_matrix):
        one = VectorScorer(kind(queries).__getitem__, kind(documents))
        own, every = one.own(np.array([4, 2]), asked), one.every(np.array([4, 2]), asked.ravel())
        np.testing.assert_allclose(own[0], every[0, :2], rtol=1e-5)
        np.testing.assert_allclose(own[1], every[1, 2:], rtol=1e-5)
    pairs = PairedScorer("pairs", np.array([[3, 1], [0, 8]]), np.array([[0.3, 0.1], [0.0, 0.8]]))
    assert pairs.own(np.array([1]), np.array([[8, 0]])).tolist() == [[0.8, 0.0]]
    with pytest.raises(ArgumentError, match="not asked"):
        pairs.own(np.array([0]), np.array([[8]]))
    with pytest.raises(ArgumentError, match="in_batch"):
        Council([pairs])(torch.tensor([0]), torch.tensor([1, 2]))


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


def test_no_query_is_its_own_negative_where_a_dense_teacher_learns(data, tmp_path, monkeypatch):
    """Queries with many answers would otherwise come several times in a batch."""
    many = {one: dict.fromkeys(list(data.documents)[:20], 1) for one in data.train.queries}
    train = Judged(data.train.queries, many)
    given = RetrievalData(data.documents, train, data.validation, data.test)
    seen = []
    learn = retrieving.train_hosted

    def watched(run, stage, model, loss, examples, *rest, **options):
        seen.extend([one["query"] for one in examples(step)] for step in range(5))
        return learn(run, stage, model, loss, examples, *rest, **options)

    monkeypatch.setattr(retrieving, "train_hosted", watched)
    settings = retrieving.RetrieverTeaching(steps=2, batch_size=16)
    retrieving.taught_retrievers(Run(tmp_path), [DENSE], {}, given, settings)
    assert all(len(set(batch)) == len(batch) == 16 for batch in seen)


def test_a_query_that_nearly_all_documents_answer_takes_nothing_from_others(data, tmp_path):
    queries = list(data.train.queries)
    answers = {one: dict(data.train.relevant[one]) for one in queries}
    answers[queries[0]] = dict.fromkeys(data.documents, 1)
    answers[queries[1]] = dict.fromkeys(list(data.documents)[:-3], 1)
    given = RetrievalData(
        data.documents, Judged(data.train.queries, answers), data.validation, data.test
    )
    teacher = LexicalTeacher(list(given.documents.values()))
    with pytest.warns(UnusualUseWarning, match="1 training queries of data are left out"):
        lesson = JudgedLesson(Run(tmp_path), given, [teacher], size=3, depth=10)
    assert lesson.answered == list(range(1, len(queries)))
    assert lesson.wrong.shape[1] == 10
    for row in lesson.answered:
        assert not set(lesson.wrong[row]) & set(lesson.right[row])


def test_scores_of_which_only_the_order_is_left_are_warned_of():
    with pytest.warns(UnusualUseWarning, match="of two scores one becomes the least"):
        tiny(in_batch=False)


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


def test_students_of_each_teacher_stand_beside(data, tmp_path):
    inputs = {**INPUTS, "teacher": ["bm25", Hashed(), length_teacher], "data": data}
    method = tiny(each_teacher=True, in_batch=False, documents_per_query=3)
    made, baselines, _ = complete(method, Run(tmp_path / "run"), inputs)
    # One that reads pairs has no candidates of its own.
    assert list(baselines) == [
        "student alone", "without idf", "of bm25 alone", "of hashed alone",
    ]  # fmt: skip
    words = {one.fingerprint for one in (made, *baselines.values())}
    assert len(words) == 5


def test_a_reader_of_pairs_is_refused_before_anything_is_trained(data, tmp_path):
    run = Run(tmp_path / "run")
    inputs = {**INPUTS, "teacher": [DENSE, lambda queries, texts: [0.0] * len(texts)]}
    with pytest.raises(ArgumentError, match="in_batch to false"):
        tiny().distill(run, **inputs, data=data)
    assert not list((run.dir / "stages").glob("teacher*"))


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


def test_pairs_that_were_read_stay_read(data, tmp_path, monkeypatch):
    monkeypatch.setattr(retrieved, "PART", 10)
    asked = []

    class Reader:
        name = fingerprint = "reader"

        def pairs(self, queries, documents):
            asked.append(queries[0])
            if len(asked) == 15:
                raise KeyboardInterrupt
            return np.array([float(len(text)) for text in documents])

    inputs = {"student": STUDENT, "teacher": ["bm25", Reader()], "data": data}
    with pytest.raises(KeyboardInterrupt):
        tiny(**RAW).distill(tmp_path / "run", **inputs)
    tiny(**RAW).distill(tmp_path / "run", **inputs)
    # The first ten of 24 were stored; those of the part that broke are asked anew.
    assert len(asked) == 15 + 14


def test_what_the_ensemble_costs_is_what_its_teachers_do(finished):
    rows = {row["name"]: row["cost"] for row in finished[2]}
    for name in ("index_bytes", "latency_ms", "parameters"):
        total = sum(rows[one].get(name, 0) for one in ("bm25", "dense"))
        assert rows["ensemble"][name] == pytest.approx(total)


def test_a_student_that_does_not_load_costs_no_teacher(data, tmp_path):
    (tmp_path / "student").mkdir()
    run = Run(tmp_path / "run")
    with pytest.raises(ModelError, match="does not load as a masked language model"):
        tiny().distill(run, **{**INPUTS, "student": f"hf:{tmp_path / 'student'}"}, data=data)
    assert not list((run.dir / "stages").glob("teacher*"))


def test_crops_tell_of_teachers_that_have_no_say(data, tmp_path):
    teachers = [LexicalTeacher(list(data.documents.values())), retriever(length_teacher, "length")]
    with pytest.warns(NoEffectWarning, match="length has no say in what is learned from crops"):
        CroppedLesson(Run(tmp_path), data, teachers, size=2)


def test_crops_tell_of_teachers_that_find_all_alike(data, tmp_path):
    lesson = CroppedLesson(Run(tmp_path), data, [retriever(Vectors(3, 3), "flat")], size=2)
    with pytest.warns(NoEffectWarning, match="flat gives all documents the same score"):
        lesson.examples("crops", 4)(0)
    lesson.examples("crops", 4)(1)


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
