"""What is the sparse retriever's own; the contract is in tests/contract."""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import limbeck
from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher
from limbeck.bridges.sentence_transformers.tabled import tabled
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
from limbeck.loops import retrieved, retrieving
from limbeck.loops.retrieved import Council, PairedScorer, VectorScorer
from limbeck.method import complete
from limbeck.methods.sparse_retriever.lessons import CroppedLesson, JudgedLesson, crop
from limbeck.methods.sparse_retriever.sparse_retriever import SparseRetriever
from limbeck.products.retriever_exporting import _lines
from limbeck.products.sparse_index import SparseIndex
from limbeck.run import Run

NOUNS = ("array", "matrix", "file", "plot", "axis", "row", "column", "label")
VERBS = ("sort", "solve", "read", "draw", "sum", "join", "split", "count")


def corpus(train=24):
    documents = {
        f"d{place}": f"{VERBS[place % 8]} every {NOUNS[place // 8]} of the given input by number"
        for place in range(64)
    }
    asked = {f"q{place}": f"{VERBS[place % 8]} {NOUNS[place // 8]}" for place in range(64)}
    right = {f"q{place}": {f"d{place}": 1} for place in range(64)}
    names = list(asked)

    def judged(part):
        return Judged({one: asked[one] for one in part}, {one: right[one] for one in part})

    return RetrievalData(
        documents, judged(names[:train]), judged(names[40:44]), judged(names[44:]), name="words"
    )


def tiny(**settings):
    given = {
        "steps": 8, "batch_size": 4, "mined": 6, "sparsity_warmup": 4, "optim": {"lr": 1e-3},
        "teaching": {"steps": 8, "batch_size": 4},
    }  # fmt: skip
    return SparseRetriever(**{**given, **settings})


STUDENT = "bert?layers=1&width=16&vocabulary=150&length=16"
DENSE = "dense?layers=1&width=16&vocabulary=150&length=16"
RAW = {"in_batch": False, "normalise": "none"}
INPUTS = {"student": STUDENT, "teacher": ["bm25", DENSE]}


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


def length_teacher(queries, documents):
    return [
        float(len(set(a.split()) & set(b.split()))) for a, b in zip(queries, documents, strict=True)
    ]


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
    from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher

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
    from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher

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
    method.distill(tmp_path, data=data, student=f"{STUDENT}&pretraining=2", teacher=["bm25"])


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
    retrieving.taught_retrievers(Run(tmp_path), [DENSE], given, settings)
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


@pytest.fixture
def table(data, tmp_path):
    """Scores that say the opposite of nothing: the own document 2, its neighbour 1."""
    names = list(data.documents)
    path = tmp_path / "asked.tsv"
    lines = ["query-id\tcorpus-id\tscore"]
    for query, right in data.train.relevant.items():
        own = next(iter(right))
        lines += [f"{query}\t{own}\t2", f"{query}\t{names[names.index(own) - 1]}\t1"]
        lines += [f"{query}\t{names[(names.index(own) + 5) % 64]}\t-3"]
    path.write_text("\n".join(lines))
    return path


def test_scores_that_came_as_data_teach(data, table, tmp_path):
    method = tiny()
    inputs = {**INPUTS, "teacher": ["bm25", f"scores:{table}"], "data": data}
    made, baselines, ready = complete(method, Run(tmp_path / "run"), inputs)
    told = ready["teacher"][1]
    assert told.name == "asked"
    rows, _ = made.compared(Run(tmp_path / "run"), "sparse-retriever", baselines, ready)
    # It was asked of training queries alone, and the table is of test queries.
    assert "asked" not in [row["name"] for row in rows]
    query, right = next(iter(data.train.relevant.items()))
    vectors = told.queries([data.train.queries[query], "never asked"])
    scores = (vectors @ told.documents(list(data.documents.values())).T).toarray()
    assert scores[0].max() == scores[0, list(data.documents).index(next(iter(right)))] == 5.0
    assert not scores[1].any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query-id\tcorpus-id\n", "no column score"),
        ("query-id\tcorpus-id\tscore\n", "holds no scores"),
        ("query-id\tcorpus-id\tscore\nq0\tnowhere\t1\n", "'nowhere'"),
        ("query-id\tcorpus-id\tscore\nq99\td0\t1\n", "'q99'"),
        ("query-id\tcorpus-id\tscore\nq0\td0\tinf\n", "inf"),
    ],
)
def test_tables_of_scores_that_do_not_fit_are_refused(data, tmp_path, text, said):
    path = tmp_path / "asked.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        tabled(path, data)


def test_tables_of_scores_are_read_in_every_form(data, table, tmp_path):
    frame = pd.read_csv(table, sep="\t")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.tsv.gz", index=False, sep="\t")
    words = {tabled(one, data).fingerprint for one in [table, *tmp_path.glob("a.*")]}
    assert len(words) == 1


def test_a_retriever_is_a_teacher_too(product, data, tmp_path):
    made, _, ready = complete(
        tiny(each_teacher=True), Run(tmp_path / "run"), {**INPUTS, "teacher": product, "data": data}
    )
    assert ready["teacher"][0].fingerprint
    assert made.summary()


def test_students_of_each_teacher_stand_beside(data, tmp_path):
    method = tiny(each_teacher=True)
    _, baselines, _ = complete(method, Run(tmp_path / "run"), {**INPUTS, "data": data})
    assert list(baselines) == [
        "student alone", "without idf", "of bm25 alone", "of dense alone",
    ]  # fmt: skip


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


def test_a_table_of_scores_cannot_teach_crops(data, table, tmp_path):
    inputs = {**INPUTS, "teacher": f"scores:{table}", "data": data}
    with pytest.raises(ArgumentError, match="asked cannot be asked about crops"):
        tiny(pretraining_steps=2).distill(tmp_path / "run", **inputs)
