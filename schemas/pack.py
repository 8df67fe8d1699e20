"""Raw packs: many events in one message, as columns; encode on the edge, decode in streams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.avro_codec import PackError, decode, encode, load_schema
from schemas.drops import DeadReason
from schemas.event import EVENT_FIELDS, EventBatch

RAW_PACK = load_schema("raw_pack.v1")
RAW_PACK_VERSIONS = {RAW_PACK.header: RAW_PACK}
_DEFAULTS: dict[str, Any] = {
    one["name"]: "" if one["type"]["items"] == "string" else 0
    for one in RAW_PACK.declared["fields"]
    if one["name"] in EVENT_FIELDS
}


@dataclass(frozen=True, slots=True)
class PackLimits:
    """When a pack is full, and how long it waits for more."""

    event_count_max: int = 500
    size_bytes_max: int = 900_000  # before compression; a message may have 1,000,000
    age_ms_max: int = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """How many requests or events the edge refused in one minute (seconds since 1970); counted beside `accepted`."""

    minute: int
    site: str  # "" when nobody knows
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class RawPack:
    """What lies inside the seal."""

    edge: str
    batch: EventBatch
    refusals: tuple[Refusal, ...] = ()


def encode_raw_pack(
    edge: str, columns: dict[str, list[Any]], count: int, refusals: Iterable[Refusal] = ()
) -> bytes:
    """Encode a pack from columns named as in `Event`; a column that is missing, or all defaults, is written empty."""
    refused = list(refusals)
    record: dict[str, Any] = {
        "edge": edge,
        "count": count,
        "refusal_minute": [one.minute for one in refused],
        "refusal_site": [one.site for one in refused],
        "refusal_reason": [one.reason for one in refused],
        "refusal_count": [one.count for one in refused],
    }
    for name in EVENT_FIELDS:
        column = columns.get(name, ())
        record[name] = column if any(column) else ()
    return encode(RAW_PACK, record)


def decode_raw_pack(body: bytes) -> RawPack:
    """Decode an opened pack of any version. Raises PackError."""
    record = decode(body, RAW_PACK_VERSIONS, RAW_PACK)
    count = record["count"]
    columns: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        column = record[name] or [default] * count
        if len(column) != count:
            raise PackError(DeadReason.UNEVEN_COLUMNS, name)
        columns[name] = column
    refusals = (
        record["refusal_minute"],
        record["refusal_site"],
        record["refusal_reason"],
        record["refusal_count"],
    )
    if len({len(column) for column in refusals}) != 1:
        raise PackError(DeadReason.UNEVEN_COLUMNS, "refusals")
    return RawPack(record["edge"], EventBatch(**columns), tuple(map(Refusal, *refusals)))
