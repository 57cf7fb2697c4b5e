"""BEIR folders: what is read of them, and what is said of those that do not read."""

from __future__ import annotations

import gzip
import json

import pytest

from limbeck.data.beir import read_beir
from limbeck.data.names import ROOT, resolve
from limbeck.errors import DataError, UnusualUseWarning


def lines(entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def table(rows, heads="query-id\tcorpus-id\tscore\n"):
    return heads + "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in rows)


CORPUS = [{"_id": f"d{n}", "title": f"Title {n}", "text": f"text {n}"} for n in range(6)]
ASKED = [{"_id": f"q{n}", "text": f"question {n}"} for n in range(60)]
TRAIN = [(f"q{n}", f"d{n % 6}", 1) for n in range(40)]
TEST = [("q50", "d0", 2), ("q50", "d1", 0), ("q51", "d2", 1)]
FILES = {
    "corpus.jsonl": lines(CORPUS),
    "queries.jsonl": lines(ASKED),
    "qrels/train.tsv": table(TRAIN),
    "qrels/test.tsv": table(TEST),
}


@pytest.fixture
def write(tmp_path):
    """Write the files of a folder, some of them otherwise, None for those that are absent."""

    def written(packed=False, **changed):
        content = FILES | {name.replace("__", "/") + ".tsv": t for name, t in changed.items()}
        content |= {f"{n}.jsonl": changed[n] for n in ("corpus", "queries") if n in changed}
        for name, text in content.items():
            if text is None or name in ("corpus.tsv", "queries.tsv"):
                continue
            path = tmp_path / "letters" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if packed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text.encode()))
            else:
                path.write_text(text)
        return tmp_path / "letters"

    return written


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_is_read_packed_or_not(write, packed):
    data = read_beir(write(packed=packed))
    assert (data.name, len(data.documents)) == ("letters", 6)
    assert data.documents["d1"] == "Title 1 text 1"
    assert data.test.relevant == {"q50": {"d0": 2, "d1": 0}, "q51": {"d2": 1}}
    assert data.test.queries["q50"] == "question 50"


def test_titles_can_be_left_out(write):
    assert read_beir(write(), titles=False).documents["d1"] == "text 1"
    with pytest.raises(DataError, match="titles is 1, expected true or false"):
        read_beir(write(), titles=1)


@pytest.mark.parametrize(("count", "chosen"), [(40, 10), (12, 6), (1, 0), (0, 0)])
def test_some_training_queries_are_chosen_on(write, count, chosen):
    rows = table(TRAIN[:count]) if count else None
    data = read_beir(write(qrels__train=rows))
    assert (len(data.train), len(data.validation)) == (count - chosen, chosen)
    assert not set(data.train.queries) & set(data.validation.queries)


def test_which_queries_are_chosen_on_depends_on_their_ids_alone(write):
    first = set(read_beir(write()).validation.queries)
    again = read_beir(write(qrels__train=table(TRAIN[::-1])))
    assert set(again.validation.queries) == first


@pytest.mark.parametrize("name", ["dev", "valid", "validation"])
def test_a_table_to_choose_on_is_taken_as_it_is(write, name):
    data = read_beir(write(**{f"qrels__{name}": table([("q55", "d3", 1)])}))
    assert set(data.validation.queries) == {"q55"}
    assert len(data.train) == 40


def test_what_is_empty_is_left_out_and_counted(write):
    corpus = [*CORPUS, {"_id": "d8", "text": ""}, {"_id": "d9", "title": "", "text": "  "}]
    folder = write(corpus=lines(corpus), qrels__test=table([*TEST, ("q52", "d0", 0)]))
    with pytest.warns(UnusualUseWarning, match=r"2 documents without a text and 1 queries"):
        data = read_beir(folder)
    assert len(data.documents) == 6
    assert set(data.test.queries) == {"q50", "q51"}


def test_tables_without_heads_are_read(write):
    assert len(read_beir(write(qrels__test=table(TEST, heads=""))).test) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"corpus": None}, r"has no corpus.jsonl and no corpus.jsonl.gz, found"),
        ({"queries": None}, r"has no queries.jsonl"),
        ({"qrels__test": None}, r"no qrels/test.tsv, found train.tsv in qrels"),
        ({"corpus": lines([*CORPUS, CORPUS[0]])}, r"line 7: id 'd0' comes a second time"),
        ({"queries": lines([*ASKED, ASKED[3]])}, r"line 61: id 'q3' comes a second time"),
        ({"corpus": '{"_id": "d0"}\n'}, r"line 1 is no object with _id and text"),
        ({"corpus": "text\n"}, r"line 1 is no object"),
        ({"corpus": '{"_id": "d0", "text": ["a", "b"]}\n'}, r"text of 'd0' is a list"),
        ({"corpus": '{"_id": "d0", "title": {}, "text": "a"}\n'}, r"text of 'd0' is a dict"),
        ({"queries": '{"_id": "q0", "text": 5}\n'}, r"text of 'q0' is a int, expected a text"),
        ({"corpus": "\n"}, r"holds no line"),
        ({"qrels__test": table([("q50", "dx", 1)])}, r"test table names document 'dx' for query"),
        ({"qrels__test": table([("qx", "d0", 1)])}, r"names query 'qx', which is not in"),
        ({"qrels__test": table([("q50", "d0", "high")])}, r"line 2 is .* with tabs between"),
        ({"qrels__test": "q50 d0 1\nq51 d0 1\n"}, r"line 1 is 'q50 d0 1', expected"),
        ({"qrels__test": table([*TEST, ("q51", "d2", 2)])}, r"grades document 'd2' .* once more"),
        (
            {"corpus": lines([{"_id": "d0", "text": " "}, *CORPUS[1:]])},
            r"names document 'd0' .* has no text",
        ),
        (
            {"queries": lines([*ASKED[:50], {"_id": "q50", "text": ""}, *ASKED[51:]])},
            r"names query 'q50', which has no text",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(write, changed, said):
    with pytest.raises(DataError, match=said):
        read_beir(write(**changed))


def test_a_damaged_file_is_named(write):
    folder = write(packed=True)
    file = folder / "corpus.jsonl.gz"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match=r"corpus.jsonl.gz is damaged"):
        read_beir(folder)


def test_names_of_all_kinds_find_it(write, monkeypatch):
    folder = write()
    monkeypatch.setenv(ROOT, str(folder.parent))
    found = [resolve(name) for name in (f"beir:{folder}", f"folder:{folder}", "letters")]
    assert len({one.fingerprint for one in found}) == 1
    assert resolve(found[0]) is found[0]
    assert resolve("letters?titles=false").documents["d0"] == "text 0"
    assert len(resolve("letters?labels=7", seed=2).train) == 7
    assert len(resolve("letters?samples=5").documents) == 5
    with pytest.raises(DataError, match="no option 'title'; did you mean titles"):
        resolve("letters?title=false")


def test_byte_order_marks_and_strange_digits(write):
    folder = write()
    queries = folder / "queries.jsonl"
    queries.write_bytes(b"\xef\xbb\xbf" + queries.read_bytes())
    assert len(read_beir(folder).test) == 2
    (folder / "qrels" / "test.tsv").write_text(table([*TEST, ("q52", "d0", "²")]))
    with pytest.raises(DataError, match="whole number"):
        read_beir(folder)


def test_test_queries_that_were_trained_on_are_told_of(write):
    folder = write(qrels__test=table([*TEST, ("q1", "d1", 1)]))
    with pytest.warns(UnusualUseWarning, match="1 of 3 test queries are training queries"):
        read_beir(folder)
