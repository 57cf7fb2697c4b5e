"""Docstrings as retrieval data."""

from __future__ import annotations

import time

import pytest

from limbeck.data.docstrings import docstrings
from limbeck.data.names import resolve
from limbeck.errors import DataError

SOURCE = '''"""Of the module."""
def told(
    first, text="""a default"""
):
    """Say what is told to those who ask.

    It takes more than a handful of words to make an answer of this.
    """

class Told:
    """Say what is told to others who ask.

    It takes more than another handful of words to make an answer of this.
    """
    def inner(self):
        """Of a method that is not at the top level.

        It takes more than a further handful of words to make an answer.
        """

class Bare:
    def inner(self):
        """Of a method in a class without words.

        It takes more than one further handful of words to make an answer.
        """

def _hidden():
    """Say what is told to nobody at all.

    It takes more than this last handful of words to make an answer of it.
    """

def short():
    """Say what is told to those who hurry."""

def again():
    """Say what is told to those who ask.

    It takes more than a handful of quite other words to make an answer.
    """
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package under a name of its own."""
    root = tmp_path / "spoken"
    (root / "tests").mkdir(parents=True)
    (root / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "words.py").write_text(SOURCE)
    for name in ("tests/test_words.py", "tests/__init__.py"):
        (root / name).write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return "spoken"


def test_sources_are_read_and_not_imported(package, monkeypatch):
    monkeypatch.setattr("limbeck.data.docstrings.TEST_SHARE", 1.0)
    data = docstrings(packages=package)
    # A function whose default is a long string is the price of not parsing all of a module.
    assert set(data.documents) == {"spoken.words.Told", "spoken.words.again"}
    assert data.test.queries["spoken.words.Told"] == "Say what is told to others who ask."
    assert data.documents["spoken.words.Told"].startswith("It takes more than another")


def test_a_question_has_one_answer():
    data = docstrings(packages="numpy")
    queries = {**data.train.queries, **data.validation.queries, **data.test.queries}
    assert len(set(queries.values())) == len(set(data.documents.values())) == len(data.documents)
    shares = [len(getattr(data, name)) / len(queries) for name in ("train", "validation", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.05)
    assert data.fingerprint == docstrings(packages="numpy").fingerprint


def test_a_small_set_takes_no_time():
    begun = time.process_time()
    data = resolve("docstrings?packages=numpy&samples=300")
    assert time.process_time() - begun < 1.5
    assert len(data.documents) == 300
    assert min(len(data.train), 8 * len(data.validation), 8 * len(data.test)) > 100


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("docstrings?packages=numpyy", "no installed package 'numpyy'"),
        ("docstrings?packages=numpy+", "no installed package ''"),
        ("docstrings?packages=typing", "no installed package 'typing'"),
        ("docstrings?packages=json", "too few docstrings"),
        ("docstrings?package=numpy", "did you mean packages"),
    ],
)
def test_what_is_wrong_is_named(name, said):
    with pytest.raises(DataError, match=said):
        resolve(name)


def test_a_name_that_no_file_defines_is_told():
    with pytest.raises(DataError, match="__main__"):
        docstrings(packages="__main__")
