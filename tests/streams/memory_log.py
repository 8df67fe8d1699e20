"""Kafka and the deduplication store as plain values: logs that are lists, a cache that is a dict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from schemas.clean_pack import CleanHead
from schemas.topics import CLEAN, DEAD, RAW
from streams.kafka.log_reader import Record
from streams.partition.store import PACK_WINDOW_MS, Mark
from streams.steps.duplicates import Known

CHUNK = 7  # small, so that chunk borders are met often


class MemoryLogs:
    """A LogReader over lists. `low` is the offset of the first message that retention left."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.low: dict[tuple[str, int], int] = defaultdict(int)
        self.ids = {RAW: "raw-1", CLEAN: "clean-1", DEAD: "dead-1"}
        self.partitions = 2
        self.now_ms = 1_000_000_000_000

    def append(
        self, topic: str, value: bytes, headers: Sequence[tuple[str, bytes | None]] = (), partition: int = 0
    ) -> Record:
        """What a broker does: the next offset, its own clock."""
        log = self.logs[topic, partition]
        log.append(Record(len(log), self.now_ms, value, tuple(headers)))
        return log[-1]

    def topic_id(self, topic: str) -> str:
        return self.ids[topic]

    def partition_count(self, topic: str) -> int:
        return self.partitions

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self.low[topic, partition], len(self.logs[topic, partition])

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        later = [one.offset for one in self.logs[topic, partition] if one.time_ms >= time_ms]
        return max(later[0], self.low[topic, partition]) if later else len(self.logs[topic, partition])

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[Record]]:
        assert start >= self.low[topic, partition], "read before what retention left"
        wanted = self.logs[topic, partition][start:end]
        for at in range(0, len(wanted), CHUNK):
            yield wanted[at : at + CHUNK]


class InMemoryStore:
    """What `DeduplicationStore` promises, without a disk."""

    def __init__(self, window_ms: int) -> None:
        self.mark: Mark | None = None
        self.window_ms = window_ms
        self.keys: dict[bytes, tuple[int, Known]] = {}
        self.packs: dict[str, int] = {}

    def look_up(self, keys: Sequence[bytes], now_ms: int) -> list[Known | None]:
        found = [self.keys.get(key) for key in keys]
        return [one[1] if one and one[0] > now_ms - self.window_ms else None for one in found]

    def has_pack(self, pack_id: str, now_ms: int) -> bool:
        return self.packs.get(pack_id, 0) > now_ms - PACK_WINDOW_MS

    def remember(self, stored: Sequence[tuple[CleanHead, int]], mark: Mark | None) -> None:
        for head, time_ms in stored:
            for one in head.kept_entries():
                self.keys[one.key] = (time_ms, Known(one.source, one.fingerprint))
            self.packs |= {one.pack_id: time_ms for one in head.answers if one.is_stored}
        self.mark = mark or self.mark
