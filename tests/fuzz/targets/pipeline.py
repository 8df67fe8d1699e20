"""The whole way of hostile events: what the edge takes, streams keeps or counts, and no pack of it is a dead letter."""

from __future__ import annotations

from ingest.reading.body import UNREADABLE_ITEM, split_events
from ingest.reading.fields import Unacceptable
from ingest.reading.parse import Parsed, parse_event
from schemas.clean_pack import decode_clean_pack
from schemas.event import Event
from tests.fuzz.targets import events
from tests.ingest.builders import BROWSER, PUBLIC, SECRET
from tests.streams.make import NOW, decided, sealed

LENGTH_MAX = events.LENGTH_MAX
SEEDS = (
    *events.SEEDS,
    b'[{"event": "a", "consent": "all", "url": "//x.example/?page=eyJeyJ"}, {"event": "a", "id": "a@b.example"}]',
    b'{"event": "+43 660 123456", "consent": "all", "properties": {"eyJeyJey": {"user": 1e308}, "a": "a%40b.example"}}',
)
WORDS = (*events.WORDS, b"eyJ", b"a@b.example", b'"consent": "all"', b'"user_agent"')
_BROWSERS = (BROWSER, BROWSER._replace(flags=3, ip="::ffff:203.0.113.7", user_agent="bot"))


def fuzz(data: bytes) -> None:
    """The bytes of a body."""
    try:
        items = split_events(data).events[:50]
    except Unacceptable:
        return
    rows = [
        Event(*parsed.row)
        for item in items
        if item is not UNREADABLE_ITEM
        for credential in (PUBLIC, SECRET)
        for client in _BROWSERS
        if isinstance(parsed := parse_event(item, credential, client, NOW, 0, "made"), Parsed)
    ]
    if not rows:
        return
    pack = decode_clean_pack(
        decided(sealed(rows, pack_id=b"p" * 16), site='default_consent = "granted"').value
    )
    assert not pack.head.answers[0].dead, "a pack of events the edge took became a dead letter"
    assert pack.count + len(pack.drops) == len(rows), "an event is neither kept nor counted"
