"""Builders: events, rules and packs as the steps meet them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from runtime.config import parse_config
from schemas.event import EVENT_FIELDS, Event, EventBatch
from schemas.links import Origin, Position
from schemas.pack import encode_raw_pack
from schemas.ring import Key, Ring
from schemas.seal import Accepted, seal_pack
from streams.columns.batch import CleanBatch
from streams.decide import Decided, Place, decide, open_with
from streams.pipeline import build_pipeline, clean
from streams.rules import Rules, build_rules
from streams.steps.duplicates import Known

NOW = 1_763_800_000_000
MINUTE = 60_000
SECRET = b"s" * 32
KEY = Key(0, b"k" * 8, b"x" * 32)
RING = Ring.of({KEY.file_name: KEY.secret})
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


def page_view(**said: Any) -> Event:
    """A consented page view from a pixel, unless told otherwise."""
    usual: dict[str, Any] = {
        "event_id": "e1", "site": "demo", "name": "page_view", "kind": "page", "source": "pixel", "protocol": "native",
        "trust": "public", "received_at": NOW, "ip": "203.0.113.77", "user_agent": CHROME, "language": "de-DE,de;q=0.9",
        "url": "https://shop.example/shoes?utm_source=news&sid=abc", "referrer": "https://www.google.com/search?q=shoes",
        "visitor_id": "visitor-1", "session_id": "session-1", "consent": "consent=all",
    }  # fmt: skip
    return Event(**{**usual, **said})


def purchase(**said: Any) -> Event:
    """A purchase a backend reports with its secret key."""
    usual: dict[str, Any] = {
        "event_id": "order-1", "site": "demo", "name": "purchase", "kind": "purchase", "source": "server",
        "protocol": "native", "trust": "secret", "occurred_at": NOW - 5_000, "received_at": NOW, "user_id": "user-1",
        "value_e4": 199_000, "currency": "EUR", "consent": "consent=all", "properties": '{"order":"A1"}',
    }  # fmt: skip
    return Event(**{**usual, **said})


def rules(site: str = "") -> Rules:
    """Rules of a platform with the site demo; `site` holds lines of its table."""
    return build_rules(parse_config(f"[sites.demo]\n{site}\n"), SECRET)


def nothing_stored(keys: Sequence[bytes]) -> list[Known | None]:
    """A deduplication store that is empty."""
    return [None] * len(keys)


def batch_of(*events: Event) -> CleanBatch:
    """Events as a batch before the first step."""
    return CleanBatch.of(EventBatch.from_events(events))


def cleaned(*events: Event, site: str = "", look_up: Any = nothing_stored) -> CleanBatch:
    """Run the whole pipeline."""
    return clean(batch_of(*events), build_pipeline(rules(site), look_up))


def sealed(
    events: Iterable[Event],
    *,
    key: Key = KEY,
    pack_id: bytes | None = None,
    accepted: Iterable[Accepted] | None = None,
) -> bytes:
    """A raw pack as it lies in Kafka."""
    batch = EventBatch.from_events(events)
    columns = {name: getattr(batch, name) for name in EVENT_FIELDS}
    counts = [Accepted(NOW // MINUTE * 60, "demo", len(batch))] if accepted is None else accepted
    return seal_pack(
        encode_raw_pack("edge-1", columns, len(batch)),
        key,
        pack_id=pack_id or os.urandom(16),
        nonce=os.urandom(12),
        accepted=counts,
    )


def decided(*values: bytes, site: str = "", link: Position | None = None, **more: Any) -> Decided:
    """Decide raw messages from offset 7 of partition 0 on, as one."""
    usual: dict[str, Any] = {
        "open_pack": open_with(RING), "rules": rules(site), "look_up": nothing_stored, "has_pack": lambda _: False,
    }  # fmt: skip
    return decide(values, Place(Origin("topic", 0, 7), "writer", link), **{**usual, **more})
