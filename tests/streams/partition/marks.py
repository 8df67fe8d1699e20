"""Heads of packs and marks of the clean log, as the deduplication store remembers them."""

from __future__ import annotations

from rocksdict import Cache

from schemas.clean_pack import CleanHead
from schemas.links import Origin, Position
from streams.partition.store import Mark, StoreLimits
from tests.clean_heads import head_of_one

HOUR_MS = 3_600_000
LIMITS = StoreLimits(window_ms=24 * HOUR_MS, buffer_bytes=1_000_000, cache=Cache(4_000_000))
NOW = 1_763_800_000_000
A, B = b"a" * 16, b"b" * 16


def head(*keys: bytes, pack_id: str = "ab" * 16, **more: object) -> CleanHead:
    kept = b"".join(key + b"\2" + b"f" * 8 for key in keys)
    return head_of_one(Origin("t", 0, 5), "w", None, pack_id=pack_id, kept=kept, **more)  # type: ignore[arg-type]


def mark(next_offset: int = 6) -> Mark:
    return Mark("clean", next_offset, Position("t", 5, "w"))
