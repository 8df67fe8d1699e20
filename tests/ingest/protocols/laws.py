"""What holds for every compatible protocol, whatever it is sent, and builders for made-up bodies."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from ingest.protocols.protocol import Reading
from ingest.reading.body import inflate
from ingest.reading.fields import Unacceptable
from schemas.event import EVENT_FIELDS
from tests.ingest.builders import assert_survives_a_pack
from tests.ingest.protocols.recorded import NOW_MS

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "1",
            "-1",
            "19.9",
            "1e400",
            "NaN",
            "1763799999000",
            "9" * 70,
            "EUR",
            "{",
            "[]",
            "null",
            "\x00",
            "é" * 300,
        ]
    ),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def as_json(value: Any) -> bytes:
    """JSON as Python writes it: NaN, Infinity and lone surrogates included."""
    return json.dumps(value).encode()


def is_inflated(body: bytes) -> bool:
    """Whether the endpoint would hand the body on as it is: one that looks compressed never gets to a protocol."""
    try:
        return inflate(body, "") == body
    except Unacceptable:
        return False


BODIES = st.one_of(st.binary(max_size=60).filter(is_inflated), VALUES.map(as_json))


def check_reading(reading: Reading, item_count: int | None = None) -> None:
    """A reading that says everything: each item is a row that a pack takes, or a refusal that people understand."""
    assert 200 <= reading.answer.status < 500
    for credential, row in reading.rows:
        assert_survives_a_pack(row)
        named = dict(zip(EVENT_FIELDS, row, strict=True))
        assert named["event_id"]
        assert named["name"]
        assert (named["site"], named["trust"]) == (credential.site, credential.trust)
        assert named["received_at"] == NOW_MS
    for _, why in reading.refusals:
        assert why.code
        assert why.message.endswith(".")
        assert why.detail
    if item_count is None:
        assert reading.rows or reading.refusals
    else:
        assert len(reading.rows) + len(reading.refusals) == item_count
