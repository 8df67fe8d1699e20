"""Clean packs for tests: a chain like the one streams writes, realistic columns, and the books of what it holds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schemas.clean_pack import SOURCE_CODE, CleanPack, encode_clean_pack
from schemas.drops import DropReason
from schemas.event import Drop
from schemas.identity import event_key, event_keys
from schemas.links import Origin, Position
from schemas.pack import Refusal
from schemas.seal import Accepted
from tests.clean_heads import head_of_one

RAW_TOPIC_ID = "raw-topic"
IDENTITY = b"i" * 32
NOW_MS = 1_763_800_000_000
BROWSERS = ("Chrome", "Firefox", "Safari", "Edge", "")
SYSTEMS = ("Windows", "macOS", "Android", "iOS", "Linux")


@dataclass
class Chain:
    """Writes the clean packs of one raw partition, each linked to the one before."""

    partition: int = 0
    writer: str = "writer-1"
    topic_id: str = RAW_TOPIC_ID
    offset: int = 0
    last: Position | None = None
    seed: int = 0
    now_ms: int = NOW_MS
    event_ids: list[str] = field(default_factory=list)  # of every row it stored
    dropped: Counter[str] = field(default_factory=Counter)
    accepted: int = 0

    def pack(
        self,
        rows: int = 3,
        drops: Sequence[DropReason] = (),
        *,
        repeat: bool = False,
        dead: str = "",
        site: str = "demo",
        refused: int = 0,
        columns: dict[str, list[Any]] | None = None,
        pack_id: str = "",
    ) -> bytes:
        """The next pack of the chain, as a message."""
        rng = Random(f"{self.seed}/{self.partition}/{self.offset}")
        now = self.now_ms + self.offset * 20
        pack_id = pack_id or f"{rng.getrandbits(128):032x}"
        made = build_columns(rng, rows, now, site) | (columns or {}) if rows else {}
        keys = event_keys(IDENTITY, made.get("site", []), made.get("name", []), made.get("event_id", []))
        head = head_of_one(
            origin=Origin(self.topic_id, self.partition, self.offset),
            writer=self.writer,
            link=self.last,
            pack_id=pack_id,
            edge="edge-1",
            repeat=repeat,
            dead=dead,
            accepted=accepted_of(rows + len(drops), now, site),
            kept=b"".join(key + SOURCE_CODE["pixel"] + key[:8] for key in keys),
        )
        minute = now // 60_000 * 60
        gone = [f"dropped-{self.partition}-{self.offset}-{i}" for i in range(len(drops))]
        gone_keys = event_keys(IDENTITY, [site] * len(gone), ["page_view"] * len(gone), gone)
        message = encode_clean_pack(
            CleanPack(
                head=head,
                count=rows,
                rules_version="1",
                columns=made,
                drops=[
                    Drop(key, minute, site, "page_view", "pixel", reason)
                    for key, reason in zip(gone_keys, drops, strict=True)
                ],
                refusals=[Refusal(minute, site, "unreadable", refused)] if refused else [],
            )
        )
        self.last = head.this
        self.offset += 1
        self.event_ids += made.get("event_id", [])
        self.dropped.update(str(reason) for reason in drops)
        self.accepted += rows + len(drops)
        return message


def accepted_of(count: int, now_ms: int, site: str) -> tuple[Accepted, ...]:
    """What an edge would write outside the seal for events received at one moment."""
    return (Accepted(now_ms // 60_000 * 60, site, count),) if count else ()


def build_columns(rng: Random, count: int, now_ms: int, site: str) -> dict[str, list[Any]]:
    """Columns with the variety of real traffic: unique ids, few browsers, many pages, some visitors."""
    ids = [f"{rng.getrandbits(96):024x}" for _ in range(count)]
    return {
        "event_id": ids,
        "site": [site] * count,
        "name": [rng.choice(("page_view", "page_view", "page_view", "click", "purchase")) for _ in ids],
        "kind": ["page"] * count,
        "source": ["pixel"] * count,
        "protocol": ["native"] * count,
        "trust": ["public"] * count,
        "occurred_at": [now_ms - rng.randrange(2_000) for _ in ids],
        "received_at": [now_ms] * count,
        "ip_network": [f"203.0.{rng.randrange(256)}.0/24" for _ in ids],
        "browser": [rng.choice(BROWSERS) for _ in ids],
        "os": [rng.choice(SYSTEMS) for _ in ids],
        "device": [rng.choice(("desktop", "mobile")) for _ in ids],
        "language": ["en"] * count,
        "host": ["shop.example"] * count,
        "path": [f"/products/{rng.randrange(2_000)}" for _ in ids],
        "query": [rng.choice(("", "utm_source=mail")) for _ in ids],
        "referrer_host": [rng.choice(("", "search.example")) for _ in ids],
        "channel": [rng.choice(("direct", "search")) for _ in ids],
        "visitor": [f"{rng.getrandbits(14):032x}" for _ in ids],
        "session": [f"{rng.getrandbits(14):032x}" for _ in ids],
        "basis": ["consented"] * count,
        "purposes": ["necessary,measurement"] * count,
        "bot_score": [rng.choice((0, 0, 0, 20, 90)) for _ in ids],
        "is_bot": [False] * count,
        "value_e4": [rng.choice((0, 0, 0, 199_000)) for _ in ids],
        "currency": ["EUR"] * count,
    }


def random_pack_id() -> str:
    """Hex digits as an edge draws them."""
    return os.urandom(16).hex()


def sighting_pack(
    chain: Chain, value_e4: int = 199_000, received_at: int = NOW_MS, trust: str = "secret"
) -> bytes:
    """A pack with a later copy of an event, from a backend."""
    head = head_of_one(Origin(RAW_TOPIC_ID, 0, chain.offset), "writer-1", chain.last, pack_id="ab" * 16)
    chain.last = head.this
    chain.offset += 1
    return encode_clean_pack(
        CleanPack(
            head,
            sightings={
                "sighting_key": [event_key(IDENTITY, "demo", "purchase", "order-1")],
                "sighting_event_id": ["order-1"],
                "sighting_site": ["demo"],
                "sighting_name": ["purchase"],
                "sighting_source": ["server"],
                "sighting_protocol": ["native"],
                "sighting_trust": [trust],
                "sighting_received_at": [received_at],
                "sighting_occurred_at": [NOW_MS],
                "sighting_value_e4": [value_e4],
                "sighting_currency": ["EUR"],
                "sighting_user": ["u"],
                "sighting_properties": ["{}"],
                "sighting_pack": [0],
            },
        )
    )
