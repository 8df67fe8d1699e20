"""An event on its way into a pack: a plain tuple of the values of `Event`, in the order of its fields.

A tuple costs 0.1 µs where the frozen dataclass costs 2.5: the hot endpoints build one an event, and packs turn them
into columns at once. `Event(*row)` is the same event for people.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Literal, TypeAlias

from ingest.reading.fields import Unacceptable
from schemas.event import EVENT_FIELDS, PROPERTIES_SIZE_MAX

Row: TypeAlias = tuple[
    str, str, str, str, str, str, str,  # event_id, site, name, kind, source, protocol, trust
    int, int, int,  # occurred_at, sent_at, received_at
    str, str, str, str, str, str,  # ip, user_agent, language, url, referrer, title
    str, str, str, str, int,  # visitor_id, user_id, session_id, consent, flags
    str, str, str,  # screen, viewport, timezone
    int, str, str,  # value_e4, currency, properties
]  # fmt: skip

EVENT_ID: Literal[0] = 0
SITE: Literal[1] = 1
NAME: Literal[2] = 2
RECEIVED_AT: Literal[9] = 9
_FIXED_BYTES = 500  # at most: lengths, separators, times, site, screen, viewport, timezone, short words
_texts = itemgetter(*map(EVENT_FIELDS.index, (
    "event_id", "name", "ip", "user_agent", "language", "url", "referrer", "title",
    "visitor_id", "user_id", "session_id", "consent", "properties",
)))  # fmt: skip


def row_size_max(row: Row) -> int:
    """An upper bound of the row's bytes in a pack before compression; 0.25 µs."""
    text = "".join(_texts(row))
    return _FIXED_BYTES + (len(text) if text.isascii() else len(text.encode()))


def check_properties_size(encoded: bytes, field: str) -> str:
    """The properties as text. Raises Unacceptable where they are too large for an event."""
    if len(encoded) > PROPERTIES_SIZE_MAX:
        raise Unacceptable(
            "oversize",
            "The event is too large.",
            f"{field}: expected at most {PROPERTIES_SIZE_MAX:,} bytes of JSON in all",
        )
    return encoded.decode()
