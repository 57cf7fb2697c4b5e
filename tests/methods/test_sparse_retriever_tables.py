"""Scores that came as data: what is read of them, what they teach and where they end."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from limbeck.bridges.sentence_transformers.retrievers import retriever
from limbeck.bridges.sentence_transformers.tabled import TabledScores, tabled
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import ArgumentError, DataError, UnusualUseWarning
from limbeck.method import complete
from limbeck.methods.sparse_retriever.lessons import JudgedLesson
from limbeck.run import Run

from .words import INPUTS, RAW, STUDENT, corpus, length_teacher, tiny


@pytest.fixture(scope="module")
def data():
    return corpus()


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
    without = tiny().distill(tmp_path / "b", data=data, student=STUDENT, teacher="bm25")
    assert without.fingerprint != made.fingerprint


@pytest.mark.parametrize("beside", [[], [length_teacher]])
def test_where_scores_alone_teach_bm25_ranks_for_the_table(data, table, tmp_path, beside):
    """They are of training queries: nobody among the teachers ranks the corpus for the others."""
    inputs = {**INPUTS, "teacher": [f"scores:{table}", *beside], "data": data}
    run = Run(tmp_path / "run")
    made, baselines, ready = complete(tiny(steps=2, **RAW), run, inputs)
    rows, _ = made.compared(run, "sparse-retriever", baselines, ready)
    roles = {row["name"]: row["role"] for row in rows}
    assert roles["bm25"] == "reference"
    assert "ensemble" not in roles
    assert ("length_teacher" in roles) == bool(beside)


def test_lists_end_where_the_scores_do(data, table, tmp_path):
    told = tabled(table, data)
    lesson = JudgedLesson(Run(tmp_path), data, [told], size=3, depth=20)
    names = list(data.documents)
    for row, right in enumerate(lesson.right):
        assert [names[one] for one in lesson.wrong[row]] == [
            names[right[0] - 1], names[(right[0] + 5) % 64],
        ]  # fmt: skip
    for example in lesson.examples("student", 8)(0):
        query, own, *others = example["label"]
        assert [own, set(others)] == [lesson.right[query][0], set(lesson.wrong[query])]
    with pytest.raises(ArgumentError, match=r"query 'q0' of words has 2 documents"):
        JudgedLesson(Run(tmp_path), data, [told], size=4, depth=20)


def test_scores_of_right_documents_alone_leave_nothing_to_compare(data, tmp_path):
    """One document a query is enough where those of the batch are ranked, and no query is lost."""
    unanswered = {one: found for one, found in data.train.relevant.items() if one != "q3"}
    some = dataclasses.replace(data, train=Judged(data.train.queries, unanswered))
    told = TabledScores(
        {one: dict.fromkeys(found, 1.0) for one, found in unanswered.items()}, some, "told"
    )
    lesson = JudgedLesson(Run(tmp_path), some, [told], size=1, depth=20)
    assert [len(one["label"]) for one in lesson.examples("student", 4)(0)] == [2] * 4
    with pytest.raises(ArgumentError, match="set documents_per_query to 1 or less"):
        JudgedLesson(Run(tmp_path), some, [told], size=2, depth=20)


def test_queries_without_scores_are_left_out_and_counted(data, table, tmp_path):
    lines = [line for line in table.read_text().splitlines() if not line.startswith("q1\t")]
    table.write_text("\n".join(lines))
    told = tabled(table, data)
    with pytest.warns(UnusualUseWarning, match="1 of 24 training queries of words are left out"):
        lesson = JudgedLesson(Run(tmp_path), data, [told], size=2, depth=20)
    assert 1 not in lesson.answered
    assert told.knows(["sort array", "sort nothing"]).tolist() == [True, False]
    few = TabledScores({"q50": {"d50": 1.0, "d3": 0.0}}, data, "few")
    with pytest.raises(DataError, match="few has scores of no training query"):
        JudgedLesson(Run(tmp_path), data, [few], size=2, depth=20)


def test_a_table_of_all_test_queries_has_a_row_without_a_cost(data, tmp_path):
    scores = {one: {f"d{place}": float(place == int(one[1:])) for place in range(64)}
              for one in [*data.train.queries, *data.test.queries]}  # fmt: skip
    path = tmp_path / "all.csv"
    rows = [(one, name, said) for one, found in scores.items() for name, said in found.items()]
    pd.DataFrame(rows, columns=["query-id", "corpus-id", "score"]).to_csv(path, index=False)
    run = Run(tmp_path / "run")
    inputs = {**INPUTS, "teacher": [f"scores:{path}"], "data": data}
    made, _, ready = complete(tiny(steps=1), run, inputs)
    rows, _ = made.compared(run, "sparse-retriever", {}, ready)
    row = next(one for one in rows if one["name"] == "all")
    assert row["quality"]["ndcg_at_10"] == 1
    assert row["cost"] == {}


def test_a_table_of_scores_cannot_teach_crops(data, table, tmp_path):
    """Nor is it asked: neither where it teaches alone, nor in a student of its own."""
    inputs = {**INPUTS, "teacher": f"scores:{table}", "data": data}
    with pytest.raises(ArgumentError, match="asked cannot be asked about crops"):
        tiny(pretraining_steps=2).distill(tmp_path / "run", **inputs)
    method = tiny(pretraining_steps=2, steps=2, each_teacher=True)
    given = {**INPUTS, "teacher": ["bm25", f"scores:{table}"], "data": data}
    with pytest.warns(UserWarning, match="asked has no say in what is learned from crops"):
        _, baselines, _ = complete(method, Run(tmp_path / "each"), given)
    assert list(baselines) == ["student alone", "without idf", "of bm25 alone"]


def test_documents_of_one_text_keep_their_own_scores(data):
    documents = {**data.documents, "d1": data.documents["d0"]}
    twice = RetrievalData(documents, data.train, data.validation, data.test)
    told = TabledScores({"q0": {"d0": 3.0, "d1": 1.0, "d2": 0.0}}, twice, "told")
    found = told.queries([data.train.queries["q0"]]) @ told.documents([*documents.values()]).T
    assert found.toarray()[0, :3].tolist() == [3.0, 1.0, 0.0]
    queries = {**data.train.queries, "q1": data.train.queries["q0"]}
    same = dataclasses.replace(data, train=Judged(queries, data.train.relevant))
    with pytest.raises(DataError, match="two queries of one text, 'sort array'"):
        TabledScores({"q0": {"d0": 1.0}, "q1": {"d0": 1.0}}, same, "told")
    with pytest.raises(DataError, match="asked about other documents"):
        told.documents(["a text"])


def test_ids_that_read_like_nothing_are_ids(tmp_path):
    answers = Judged({"NA": "what swims"}, {"NA": {"null": 1}})
    few = RetrievalData({"null": "a fish", "007": "a bird"}, answers, Judged(), Judged(
        {"t": "what flies"}, {"t": {"007": 1}}))  # fmt: skip
    path = tmp_path / "asked.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nNA\tnull\t2.5\nNA\t007\t1\n")
    told = tabled(path, few)
    assert told.scored("what swims").tolist() == [0, 1]
    again = retriever(told, "again")
    assert (again.name, told.name) == ("again", "asked")
    np.testing.assert_array_equal(again.knows(["what swims", "else"]), [True, False])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query-id\tcorpus-id\n", "no column score"),
        ("query-id\tcorpus-id\tscore\n", "holds no scores"),
        ("query-id\tcorpus-id\tscore\nq0\tnowhere\t1\n", "'nowhere'"),
        ("query-id\tcorpus-id\tscore\nq99\td0\t1\n", "'q99'"),
        ("query-id\tcorpus-id\tscore\nq0\td0\tinf\n", "inf"),
        ("query-id\tcorpus-id\tscore\nq0\td0\thigh\n", "has the score 'high' of document 'd0'"),
        ("query-id\tcorpus-id\tscore\nq0\td0\t\n", "has the score ''"),
        ("query-id\tcorpus-id\tscore\nq0\td0\t1\nq0\td0\t2\n", "'d0' for query 'q0' once more"),
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
