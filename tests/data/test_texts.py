"""Texts as padded bytes."""

from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.texts import decode_texts, encode_texts

SENTENCES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


@given(SENTENCES)
def test_texts_come_back(texts):
    assert decode_texts(encode_texts(texts)) == texts
