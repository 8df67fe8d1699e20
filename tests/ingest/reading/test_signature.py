"""Signed bodies: only the right key, the right body and the right time give trust."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.signature import (
    EXPIRED,
    NO_SECRET,
    UNREADABLE,
    WINDOW_S,
    WRONG,
    check_signature,
    generated_id,
    sign,
)

KEY = "sk-of-a-test"
NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000


def refused(value: bytes, body: bytes = b"{}", key: str = KEY) -> Rejection:
    with pytest.raises(Unacceptable) as problem:
        check_signature(value, key, body, NOW_MS)
    return problem.value.rejection


def test_the_documented_recipe_is_taken() -> None:
    digest = hmac.new(KEY.encode(), b"%d." % NOW_S + b'{"a":1}', hashlib.sha256).hexdigest()
    header = f"t={NOW_S},v1={digest}".encode()
    assert header.decode() == sign(KEY, NOW_S, b'{"a":1}')
    assert check_signature(header, KEY, b'{"a":1}', NOW_MS) == digest
    several = f" t={NOW_S}, v0=old, v1={'0' * 64} , v1={digest.upper()}".encode()
    assert check_signature(several, KEY, b'{"a":1}', NOW_MS) == digest


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_another_body_key_or_time_never_fits(body: bytes, other: bytes, key: str) -> None:
    value = sign(KEY, NOW_S, body).encode()
    if other != body:
        assert refused(value, other) == WRONG
    if key != KEY:
        assert refused(value, body, key) == WRONG
    assert refused(value.replace(b"t=%d" % NOW_S, b"t=%d" % (NOW_S + 1)), body) == WRONG


@pytest.mark.parametrize(
    ("age_s", "taken"),
    [(0, True), (WINDOW_S, True), (-WINDOW_S, True), (WINDOW_S + 1, False), (-WINDOW_S - 1, False)],
)
def test_five_minutes_either_way_and_no_more(age_s: int, taken: bool) -> None:
    value = sign(KEY, NOW_S - age_s, b"{}").encode()
    if taken:
        assert check_signature(value, KEY, b"{}", NOW_MS)
    else:
        assert refused(value) == EXPIRED


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"nonsense",
        b"t=1",
        b"v1=aa",
        b"t=x,v1=aa",
        b"t=-1,v1=aa",
        b"t=1" + b"0" * 20 + b",v1=a",
        b"\xff,t=1,v1=a",
        b"t=1,v1=" + b"a" * 2_000,
    ],
)
def test_what_is_no_signature_is_said_so(value: bytes) -> None:
    assert refused(value) == UNREADABLE


def test_a_site_without_a_secret_key_cannot_be_signed_for() -> None:
    assert refused(sign("", NOW_S, b"{}").encode(), key="") == NO_SECRET


def test_ids_of_a_signed_body_come_again_with_it_and_differ_within_it() -> None:
    ids = [generated_id("ab" * 32, index) for index in range(100)]
    assert ids == [generated_id("ab" * 32, index) for index in range(100)]
    assert len({*ids, generated_id("cd" * 32, 0)}) == 101
