"""What teaches a sparse retriever: who may, what of whom is asked, and in which batches."""

import numpy as np
import pytest
import torch
from scipy import sparse

from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher, retriever
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import (
    ArgumentError,
    ModelError,
    NoEffectWarning,
    NotFiniteError,
    UnusualUseWarning,
)
from limbeck.loops import retrieved, retrieving
from limbeck.loops.retrieved import Council, PairedScorer, VectorScorer
from limbeck.method import complete
from limbeck.methods.sparse_retriever.lessons import CroppedLesson, JudgedLesson, crop
from limbeck.run import Run

from .words import DENSE, INPUTS, RAW, STUDENT, corpus, length_teacher, tiny


@pytest.fixture(scope="module")
def data():
    return corpus()


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


def test_a_teacher_of_pairs_needs_mined_candidates(data, tmp_path):
    with pytest.raises(ArgumentError, match="in_batch"):
        tiny().distill(tmp_path / "a", data=data, student=STUDENT, teacher=["bm25", length_teacher])
    made = tiny(in_batch=False, documents_per_query=3).distill(
        tmp_path / "b", data=data, student=STUDENT, teacher=["bm25", length_teacher]
    )
    assert made.documents(["sort"]).shape[0] == 1


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
