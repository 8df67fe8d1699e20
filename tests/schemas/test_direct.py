"""Messages of the direct topic: Avro and JSON say the same, and what is neither is a dead letter nobody can read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_codec import PackError
from schemas.dead_letter import DeadLetter
from schemas.direct import (
    DIRECT_EVENT,
    ORIGIN_HEADER,
    decode_direct_event,
    direct_id,
    encode_direct_event,
    encode_origin,
    open_dead_letter,
    read_origin,
    seal_dead_letter,
)
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.ring import Key, Ring

HERE = Origin("AbCdEfGhIjKlMnOpQrStUw", 1, 42)
KEY = Key(1_763_000_000_000, b"\x01" * 8, b"\x02" * 32)
RING = Ring.of({KEY.file_name: KEY.secret})


def test_a_record_and_an_object_say_the_same() -> None:
    record = {"site": "demo", "event": "purchase", "id": "o-1", "ts": 1_763_000_000_000,
              "value": 19.9, "currency": "EUR", "ip": "203.0.113.7", "user_agent": "App/1",
              "properties": '{"plan":"gold"}'}  # fmt: skip
    said = {"site": "demo", "event": "purchase", "id": "o-1", "ts": 1_763_000_000_000, "value": 19.9,
            "currency": "EUR", "context": {"ip": "203.0.113.7", "user_agent": "App/1"},
            "properties": {"plan": "gold"}}  # fmt: skip
    assert decode_direct_event(encode_direct_event(record)) == said
    assert decode_direct_event(json.dumps(said).encode()) == said


def test_nothing_said_stands_for_nothing_and_a_zero_for_itself() -> None:
    least = {"site": "demo", "event": "page_view"}
    assert decode_direct_event(encode_direct_event(least)) == least
    assert decode_direct_event(encode_direct_event({**least, "value": 0.0})) == {**least, "value": 0.0}


def test_the_first_version_is_read_for_ever() -> None:
    """The fingerprint names the schema; whoever changes direct_event.v1 breaks every producer that is out there."""
    assert DIRECT_EVENT.header.hex() == "c30177bdc0f85e3aff7b"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", DeadReason.NOT_AN_EVENT),
        (b"\x00garbage", DeadReason.NOT_AN_EVENT),
        (b"[]", DeadReason.NOT_AN_EVENT),
        (b'{"site": "demo", "event": "' + b"e" * 200_000 + b'"}', DeadReason.NOT_AN_EVENT),
        (b'"text"', DeadReason.NOT_AN_EVENT),
        (b'{"event": NaN}', DeadReason.NOT_AN_EVENT),
        (b"\xc3\x01" + bytes(8), DeadReason.UNKNOWN_SCHEMA),
        (b"\xc3\x01", DeadReason.NOT_A_PACK),
        (encode_direct_event({"site": "demo", "event": "e"})[:-3], DeadReason.UNREADABLE),
        (encode_direct_event({"site": "demo", "event": "e"}) + b"x", DeadReason.UNREADABLE),
        (encode_direct_event({"site": "demo", "event": "e", "properties": "{"}), DeadReason.NOT_AN_EVENT),
    ],
)
def test_what_is_neither_has_a_reason(value: bytes, reason: DeadReason) -> None:
    with pytest.raises(PackError) as refused:
        decode_direct_event(value)
    assert refused.value.reason is reason


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_an_object_or_have_a_reason(value: bytes, marked: bool) -> None:
    try:
        found: Any = decode_direct_event(DIRECT_EVENT.header + value if marked else value)
    except PackError as error:
        found = error.reason
    assert isinstance(found, (dict, DeadReason))


def test_a_replayed_message_keeps_the_place_it_lay_at_first() -> None:
    assert direct_id(HERE) == "AbCdEfGhIjKlMnOpQrStUw.1.42"
    later = Origin(HERE.topic_id, 0, 99)
    assert read_origin([("x", b"y"), (ORIGIN_HEADER, encode_origin(HERE))], later) == HERE
    for damaged in (b"", b"a.b.c", b"a.1", b"a.1.-2", b"\xff"):
        assert read_origin([(ORIGIN_HEADER, damaged)], later) == later


def test_a_dead_letter_is_readable_with_the_ring_alone() -> None:
    dead_letter = seal_dead_letter(
        DeadReason.NOT_AN_EVENT, HERE, b'{"user_id": "jane@shop.example"}', KEY, bytes(16), bytes(12)
    )
    assert b"jane" not in dead_letter.value
    assert DeadLetter.from_message(dead_letter.value, dead_letter.headers()) == dead_letter
    assert open_dead_letter(dead_letter, RING) == b'{"user_id": "jane@shop.example"}'
    with pytest.raises(PackError, match="no_key"):
        open_dead_letter(dead_letter, Ring.of({}))
