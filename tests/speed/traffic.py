"""Realistic events for benches: many visitors, pages and agents, some purchases, some bots, some who said no."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from schemas.event import EventBatch
from schemas.pack import encode_raw_pack
from schemas.ring import Ring
from schemas.seal import Accepted, seal_pack

VISITORS = 50_000
PAGES = 3_000
NETWORKS = 20_000
SYSTEMS = (
    "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64",
    "Linux; Android 14; Pixel 8",
    "Linux; Android 13; SM-G991B",
)  # fmt: skip
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def agents() -> list[str]:
    """A few hundred user agents, as a site sees them in an hour."""
    chrome = [
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        for system in SYSTEMS
        for version in range(96, 131)
    ]
    firefox = [
        f"Mozilla/5.0 ({system}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"
        for system in SYSTEMS[:3]
        for v in range(100, 131)
    ]
    return [*chrome, *firefox, *[BOT] * 12]


AGENTS = agents()


def columns(rng: Random, count: int, now_ms: int) -> dict[str, list[Any]]:
    """The columns of one raw pack: 70 % page views by pixel, 10 % purchases, 20 % others."""
    names = rng.choices(("page_view", "purchase", "signup", "search"), (70, 10, 5, 15), k=count)
    people = [rng.randrange(VISITORS) for _ in range(count)]
    pages = [rng.randrange(PAGES) for _ in range(count)]
    kinds = {"page_view": "page", "purchase": "purchase"}
    return {
        "event_id": [f"{rng.getrandbits(96):024x}" for _ in range(count)],
        "site": ["demo"] * count,
        "name": names,
        "kind": [kinds.get(name, "custom") for name in names],
        "source": ["pixel"] * count,
        "protocol": ["native"] * count,
        "trust": ["public"] * count,
        "received_at": [now_ms + i % 1_000 for i in range(count)],
        "ip": [f"198.{18 + p % 2}.{p % 251}.{p * 7 % NETWORKS % 253 + 1}" for p in people],
        "user_agent": [AGENTS[p % len(AGENTS)] for p in people],
        "language": [("en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr-FR,fr;q=0.9")[p % 3] for p in people],
        "url": [
            f"https://shop.example/products/{p}/item-{p * 7 % 991}.html?utm_source=mail&utm_campaign=c{p % 40}&s={p}"
            for p in pages
        ],
        "referrer": ["" if p % 3 else f"https://www.search.example/find?q={p % 500}" for p in people],
        "title": [f"Item {p} in the shop" for p in pages],
        "visitor_id": [f"v{p:015x}" for p in people],
        "session_id": [f"s{p * 31:015x}" for p in people],
        "consent": rng.choices(
            ("consent=all", "consent=measurement", "", "consent=none"), (70, 10, 15, 5), k=count
        ),
        "screen": [("1920x1080", "390x844", "1440x900")[p % 3] for p in people],
        "value_e4": [rng.randrange(10_000, 2_000_000) if name == "purchase" else 0 for name in names],
        "currency": ["EUR" if name == "purchase" else "" for name in names],
        "properties": [
            f'{{"position": {p % 20}, "list": "results"}}' if name == "search" else ""
            for p, name in zip(pages, names, strict=True)
        ],
    }


def sealed_packs(rng: Random, pack_count: int, per_pack: int, now_ms: int, ring: Ring) -> Iterator[bytes]:
    """Raw packs as an edge would have written them."""
    key = ring.newest(now_ms)
    for _ in range(pack_count):
        one = columns(rng, per_pack, now_ms)
        minutes = Counter(received // 60_000 * 60 for received in one["received_at"])
        accepted = [Accepted(minute, "demo", count) for minute, count in minutes.items()]
        body = encode_raw_pack("bench", one, per_pack)
        yield seal_pack(body, key, pack_id=os.urandom(16), nonce=os.urandom(12), accepted=accepted)


def batch(rng: Random, count: int, now_ms: int) -> EventBatch:
    """The same traffic as a batch, for measuring rules without packs."""
    made = columns(rng, count, now_ms)
    empty = {
        name: [0 if name in ("flags", "occurred_at", "sent_at") else ""] * count
        for name in EventBatch.__dataclass_fields__
        if name not in made
    }
    empty.pop("key"), empty.pop("drops")
    return EventBatch(**made, **empty)  # type: ignore[arg-type]
