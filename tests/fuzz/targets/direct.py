"""Messages of the direct topic: Avro or JSON becomes an event whose row survives a pack, or a PackError."""

from __future__ import annotations

from ingest.reading.fields import Rejection
from ingest.reading.parse import parse_event
from schemas.avro_codec import PackError
from schemas.direct import DIRECT_EVENT, decode_direct_event, encode_direct_event, read_origin
from schemas.links import Origin
from tests.fuzz.avro import HOSTILE_NUMBERS
from tests.fuzz.pieces import check_rows
from tests.ingest.builders import BROWSER, NOW_MS, SECRET

LENGTH_MAX = 4_000
_EVENT = {
    "event": "purchase",
    "site": "demo",
    "id": "1",
    "value": "19.90",
    "properties": '{"a": 1}',
    "ts": NOW_MS,
}
SEEDS = (
    encode_direct_event(_EVENT), encode_direct_event({"event": "a", "site": ""}), b'{"event": "a", "site": "demo"}',
    b"topic.1.2",
    b"[]", b'{"event": "a", "properties": {"a": 1e999}}',
)  # fmt: skip
WORDS = (DIRECT_EVENT.header, *HOSTILE_NUMBERS, b'"event"', b'"site"', b'"properties"')


def fuzz(data: bytes) -> None:
    """The value of a message; also as the value of its header of origin."""
    here = Origin("topic", 0, 1)
    origin = read_origin([("fairpixel-origin", data)], here)
    assert origin == here or origin.offset >= 0
    try:
        item = decode_direct_event(data)
    except PackError:
        return
    parsed = parse_event(item, SECRET, BROWSER, NOW_MS, 0, "made")
    if not isinstance(parsed, Rejection):
        check_rows([parsed.row])
