"""Events of the native API: JSON becomes rows that survive a pack, whoever sends it."""

from __future__ import annotations

from ingest.reading.body import UNREADABLE_ITEM, split_events
from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.parse import parse_event
from tests.fuzz.pieces import check_rows
from tests.ingest.builders import BROWSER, NOW_MS, PUBLIC, SECRET

LENGTH_MAX = 4_000
_FULL = (
    b'{"event": "purchase", "id": "1", "ts": 1763799990000, "sent_at": "2026-01-31T12:00:00Z", "visitor_id": 7,'
    b' "user_id": "u", "session_id": null, "url": "https://shop.example/a?b=c", "referrer": "", "title": "t",'
    b' "value": "19.90", "currency": "EUR", "consent": {"measurement": true, "gpp": "x"},'
    b' "context": {"ip": "::ffff:203.0.113.7%eth0", "user_agent": "x", "language": "de", "screen": "1x1", "gpc": 1},'
    b' "properties": {"a": [1e308, -0.0, {"b": "\\u0000"}]}, "gdpr": true, "categories": [1]}'
)
SEEDS = (
    _FULL,
    b'[{"event": ""}, {"event": "a", "ts": 1e400}, {"event": "a", "value": "N"}, {"event": "a", "value": "1e999999"}]',
    b'{"event": "a", "ts": "99999999999999999999", "id": 123456789012345678901234567890}',
    b'{"event": "a", "ts": "2026-W01-1", "value": "\xd9\xa1\xd9\xa2", "currency": "\xc5\xbf\xc5\xbf\xc5\xbf"}',
    b'{"event": "a", "properties": {"canvas": 1}, "context": {"fonts": []}}',
    b'{"event": "\\u0000", "id": "\\ud83d\\ude00", "url": "\\u0000\\u0001"}',
)
WORDS = (
    b'"event"', b'"ts"', b'"value"', b'"currency"', b'"consent"', b'"context"', b'"properties"', b'"ip"', b'"title"',
    b'"1e9999999999"', b'"sNaN"', b'"-Infinity"', b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T24:00:00Z"',
    b'"\\u0000"',
    b"9007199254740993", b"-9223372036854775808", b"18446744073709551615", b'"\xe2\x88\x92\xd9\xa3"', b'"1_000"',
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """The bytes of a body."""
    try:
        events = split_events(data).events
    except Unacceptable:
        return
    rows = []
    for item in events:
        if item is UNREADABLE_ITEM:
            continue
        for credential in (PUBLIC, SECRET):
            parsed = parse_event(item, credential, BROWSER, NOW_MS, 0, "made")
            if isinstance(parsed, Rejection):
                assert all(parsed), parsed
            else:
                rows.append(parsed.row)
    check_rows(rows)
