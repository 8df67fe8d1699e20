"""Compares what edges wrote outside their seals with what arrived in ClickHouse: a silent loss has a name.

Everything else in the ledger is what streams reported. Here the raw messages speak for themselves, as long as Kafka
has them: their pack_id and their counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from schemas.avro_codec import PackError
from schemas.seal import read_envelope
from sinks.warehouse.ledger import LOOK_EVERY_S, LOOKS_MAX, PLACES_MAX, Database

MESSAGES_MAX = 2_000  # of a partition, the newest: some 100 MB


class RawPack(NamedTuple):
    """What a raw message says of itself."""

    partition: int
    offset: int
    pack_id: str
    accepted: int  # events


def read_pack(partition: int, offset: int, value: bytes) -> RawPack | None:
    """What stands outside the seal; None for a message nobody can read: it counts as dead, not as accepted."""
    try:
        envelope = read_envelope(value)
    except PackError:
        return None
    return RawPack(partition, offset, envelope.pack_id.hex(), sum(one.count for one in envelope.accepted))


def loaded_until(database: Database, topic_id: str) -> dict[int, int]:
    """Raw partition -> the highest raw offset whose clean pack is loaded."""
    rows = database.rows(LOADED, {"topic_id": topic_id})
    return {row["partition"]: row["offset"] for row in rows}


def compare_sealed(
    database: Database, topic_id: str, packs: Iterable[RawPack], sleep: Callable[[float], None]
) -> list[dict[str, Any]]:
    """Each pack that arrived otherwise than it was sealed, at each of several looks: a block takes a moment."""
    wanted = [pack for pack in packs if pack.accepted]
    found = _differences(database, topic_id, wanted)
    for _ in range(LOOKS_MAX - 1):
        if not found:
            break
        sleep(LOOK_EVERY_S)
        again = _differences(database, topic_id, wanted)
        found = [one for one in found if one in again]
    return found[:PLACES_MAX]


def _differences(database: Database, topic_id: str, packs: list[RawPack]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for partition in sorted({pack.partition for pack in packs}):
        ours = [pack for pack in packs if pack.partition == partition]
        span = {
            "topic_id": topic_id,
            "partition": str(partition),
            "first": str(min(pack.offset for pack in ours)),
            "last": str(max(pack.offset for pack in ours)),
        }
        rows = database.rows(ARRIVED, span)
        arrived = {row["pack_id"]: row for row in rows}
        # One sent twice is counted where it came first, which may lie before the part that is looked at.
        missing = [pack.pack_id for pack in ours if pack.pack_id not in arrived]
        if missing:
            arrived |= {row["pack_id"]: row for row in database.rows(BY_ID, {"ids": missing})}
        for pack in ours:
            count = arrived[pack.pack_id]["accepted"] if pack.pack_id in arrived else 0
            if count != pack.accepted:
                found.append(_named(pack._asdict(), sealed=pack.accepted, arrived=count))
        sealed = {pack.pack_id for pack in ours}
        found += [
            _named(row, sealed=0, arrived=row["accepted"])
            for row in rows
            if row["pack_id"] not in sealed and row["offset"] in {pack.offset for pack in ours}
        ]
    return found


def _named(place: dict[str, Any], *, sealed: int, arrived: int) -> dict[str, Any]:
    where = {name: place[name] for name in ("partition", "offset", "pack_id")}
    return {**where, "sealed": sealed, "arrived": arrived}


LOADED = """
SELECT origin_partition AS partition, max(progress.origin_offset) AS offset
FROM progress WHERE origin_topic_id = {topic_id:String} GROUP BY origin_partition"""

_COUNTS = """
SELECT pack_id, any(part_partition) AS partition, min(part_offset) AS offset, sum(part_count) AS accepted
FROM
(
    SELECT lower(hex(accepted.pack_id)) AS pack_id, any(origin_partition) AS part_partition,
           min(origin_offset) AS part_offset, toInt64(max(count)) AS part_count
    FROM accepted WHERE %s GROUP BY pack_id, site, minute
)
GROUP BY pack_id"""

ARRIVED = _COUNTS % (
    "origin_topic_id = {topic_id:String} AND origin_partition = {partition:UInt16} "
    "AND origin_offset BETWEEN {first:UInt64} AND {last:UInt64}"
)
BY_ID = _COUNTS % "lower(hex(accepted.pack_id)) IN {ids:Array(String)}"
