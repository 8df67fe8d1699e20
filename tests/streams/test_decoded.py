"""Texts as they read without escapes, and where each character stood."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.columns.decoded import decode_escapes

texts = st.text(max_size=30).filter(lambda text: "\n" not in text)


def read(text: str) -> str:
    found = decode_escapes(text)
    return text if found is None else "".join(map(chr, found.codes.tolist()))


@pytest.mark.parametrize(
    ("text", "as_read"),
    [
        ("a%40b", "a@b"), ("j%C3%B6rg", "jörg"), ("j%F6rg", "jörg"), ("%C0%AE", "."), ("%252540", "@"),
        ("%%34%30", "@"),
        ("%u0040\\u0040\\x40\\\\x40", "@@@@"), ("&#64;&#x40;&commat;&amp;#64;", "@@@@"), ("%0A", " "), ("100%", "100%"),
        ("%F0%9F%98%80", "😀"), ("%2525252540", "%40"),
    ],
)  # fmt: skip
def test_escapes_are_taken_off(text: str, as_read: str) -> None:
    assert read(text) == as_read


@given(
    st.lists(st.one_of(texts, texts.map(quote), st.sampled_from(["%", "%4", "%C3", "&", "\\"])), max_size=8)
)
def test_a_short_text_reads_as_the_beginning_of_a_long_one(pieces: list[str]) -> None:
    text = "".join(pieces)
    short, long = decode_escapes(text), decode_escapes(text + " " * 2_000)
    assert (short is None) == (long is None)
    if short is not None and long is not None:
        count = len(short.codes)
        assert short.codes.tolist() == long.codes[:count].tolist()
        assert short.places[:count].tolist() == long.places[:count].tolist()
        assert short.places[-1] == len(text)


@given(texts, st.integers(1, 4))
def test_what_was_encoded_up_to_four_times_reads_as_it_was(text: str, layers: int) -> None:
    encoded = text
    for _ in range(layers):
        encoded = quote(encoded)
    plain = text
    while (again := unquote(plain)) != plain:
        plain = again
    if not set(text) & set("%\\&\r"):
        assert read(encoded) == text
