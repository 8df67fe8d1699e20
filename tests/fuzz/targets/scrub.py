"""Texts are scrubbed in bounded time, whatever they repeat; what is left is valid and is not scrubbed further."""

from __future__ import annotations

import re

import orjson

from streams.steps.anonymous import coarse_browser, coarse_language, coarse_properties
from streams.steps.scrub import (
    is_only_name,
    names_person,
    scrub_all,
    scrub_all_properties,
    scrub_properties,
    scrub_text,
    those_naming_persons,
)
from tests.fuzz.pieces import take_text

LENGTH_MAX = 2_000
SEEDS = (
    b"\xffeyJ", b"\0mail ann@shop.example, call +43 660 1234567 or (0)12 345 678", b"\xc04111 1111 1111 1111 ",
    b"\xc0a@a.", b"\xc0a%40", b"\xc0sk_", b"\xc00123456789abcdef", b"\xc0aA1_", b"\xc0+1 ", b"\xc000 ",
    b"\xc0user_ip_",
    b'\0{"user_id": "x", "a": {"phone": [4111111111111111, 1e308, true, null, "eyJhbGciOiJIUzI1NiJ9.e30.x"]}}',
    b'\0{"a\\u0040b.example": "\\ud83d\\ude00 ann%40shop.example"}', b"\xa0(1", b"\xa00-1-1-", b"\xe0.a-b.c",
    b"\xc0" + "\u0661\u0662".encode(),
)  # fmt: skip
WORDS = (
    b"eyJ", b"@", b"%40", b"+43 ", b"00", b"4111", b"3782", b"sk_", b"ghp_", b"AKIA", b"xoxb-", b"(0", b") ", b"-",
    b".",
    b"deadbeef", b"user", b"_ip_", b"\\u", b"\xd9\xa3",
)  # fmt: skip


# Of any length, as the steps' own has no need to be short: this one meets short texts alone.
_MAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", re.ASCII)
_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{4}|.)")  # of JSON: \u0000@a.example is no address
_CHECKED_MAX = 300  # characters


def fuzz(data: bytes) -> None:
    """A text, stretched; also as properties, and among others as a pack has them."""
    text = take_text(data)
    scrubbed = scrub_text(text)
    names_person(text[:200])
    is_only_name(text)
    coarse_language(text)
    coarse_browser(text)
    properties = [text, orjson.dumps({text: [text]}).decode()]
    alone = [scrub_properties(one) for one in properties]
    for kept in alone:
        assert not kept or isinstance(orjson.loads(kept), dict)
        coarse = coarse_properties(kept)
        assert not coarse or isinstance(orjson.loads(coarse), dict)
    if len(text) > _CHECKED_MAX:
        return
    assert not _MAIL.search(scrubbed), "a mail address is left"
    for kept in alone:
        assert not _MAIL.search(_ESCAPE.sub(" ", kept)), "a mail address is left in properties"
    neighbours = ["4111 1111", text, "+43 660", text[1:], "@x.example", text]
    assert scrub_all(neighbours) == [scrub_text(one) for one in neighbours], "a neighbour changes a text"
    assert [one or "" for one in scrub_all_properties(["{}", *properties])] == ["{}", *alone]
    assert those_naming_persons(neighbours) == {one for one in neighbours if names_person(one)}
