"""When a minute is closed: everything Kafka took in it is in ClickHouse. Pure; silence closes minutes too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MINUTE_MS = 60_000
WAIT_MS = 2_000  # after a minute's end, until the raw end offsets are read: packs on their way have arrived
SPOOL_GONE_MS = 120_000  # an edge that vanished with packs in its spool holds minutes back this long


@dataclass(frozen=True, slots=True)
class Watermarks:
    """What one partition of the raw topic holds: messages from `low` up to, not including, `high`."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The raw topic at one moment, taken after the spools were seen empty or not."""

    taken_at_ms: int  # before the offsets were read
    topic_id: str
    ends: Mapping[int, Watermarks]  # by partition
    spool_is_empty: bool


@dataclass(frozen=True, slots=True)
class SpoolReading:
    """The last answer of an edge about its spool."""

    packs: int
    read_at_ms: int


def due_minute(now_ms: int) -> int:
    """The last minute whose end lies WAIT_MS back; seconds since 1970."""
    return (now_ms - WAIT_MS) // MINUTE_MS * 60 - 60


def closed_through(snapshot: Snapshot, loaded: Mapping[tuple[str, int], int]) -> int | None:
    """The last minute `snapshot` proves closed, seconds since 1970; None while packs are missing.

    loaded: the highest raw offset whose clean pack is in ClickHouse, by topic id and partition. Every raw pack makes
    one clean pack, so a partition is loaded when that is its last offset. One with no message left is loaded.
    """
    if not snapshot.spool_is_empty or not snapshot.ends or packs_missing(snapshot, loaded):
        return None
    return due_minute(snapshot.taken_at_ms)


def packs_missing(snapshot: Snapshot, loaded: Mapping[tuple[str, int], int]) -> int:
    """Raw packs Kafka held at the snapshot that are not in ClickHouse: the lag."""
    return sum(
        max(marks.high - 1 - max(loaded.get((snapshot.topic_id, partition), -1), marks.low - 1), 0)
        for partition, marks in snapshot.ends.items()
    )


def spool_holds(packs: int | None, last: SpoolReading | None, now_ms: int) -> bool:
    """Whether an edge holds minutes back. packs: what it says now; None: it does not answer.

    A dead edge must not hide a silence, so it holds nothing back, except for two minutes when it last spoke of packs:
    it is most likely being restarted and will send them.
    """
    if packs is not None:
        return packs > 0
    return last is not None and last.packs > 0 and now_ms - last.read_at_ms < SPOOL_GONE_MS
