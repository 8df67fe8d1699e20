"""What several targets do with their bytes: stretch them, read them as text, and send rows the way of an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.event import EVENT_FIELDS
from schemas.pack import decode_raw_pack, encode_raw_pack

STRETCHED_MAX = 30_000  # characters: near what the edge lets through


def stretch(data: bytes, length_max: int = STRETCHED_MAX) -> bytes:
    """The input behind its first byte, which from 128 on says how often: few bytes find what is slow only when it
    repeats."""
    if len(data) < 2:
        return b""
    repeats = 1 + max(0, data[0] - 127) ** 2
    return (data[1:] * repeats)[:length_max]


def text_of(data: bytes) -> str:
    """Bytes as a text the edge could have let through."""
    return data.decode("utf-8", "replace")


def take_text(data: bytes) -> str:
    """The same, stretched."""
    return text_of(stretch(data))


def check_rows(rows: Iterable[Sequence[Any]]) -> None:
    """Rows survive a pack unchanged: whatever the edge takes, streams reads."""
    found = [tuple(row) for row in rows]
    if not found:
        return
    columns = dict(zip(EVENT_FIELDS, map(list, zip(*found, strict=True)), strict=True))
    batch = decode_raw_pack(encode_raw_pack("edge", columns, len(found))).batch
    assert list(zip(*(getattr(batch, name) for name in EVENT_FIELDS), strict=True)) == found
