"""The deduplication store: a cache of one partition's clean log in RocksDB; it may be removed at any time (seam)."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson
from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
)

from runtime.logs import get_logger
from schemas.clean_pack import KEPT_SIZE, CleanHead
from schemas.identity import KEY_BYTES
from schemas.links import Position
from schemas.topics import RAW_RETENTION_MS
from streams.fault import where
from streams.steps.duplicates import Known

HOUR_S = 3_600
PACK_WINDOW_MS = RAW_RETENTION_MS  # a pack may come again out of a spool for half of this
TIME_BYTES = 8
_MARK = b"mark"  # event keys have 16 bytes, pack ids 17 with their prefix, so nothing else has 4
_PACK = b"p"


class Mark(NamedTuple):
    """How far the cache has read the clean log."""

    topic_id: str
    next_offset: int
    last: Position | None  # the last accepted pack before it


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds of time and memory."""

    window_ms: int
    buffer_bytes: int  # RocksDB holds at most two such buffers a partition
    cache: Cache  # shared by all partitions: blocks, indexes and bloom filters

    @classmethod
    def of(cls, window_ms: int, buffer_bytes: int, cache_bytes: int) -> StoreLimits:
        """With a cache of its own."""
        return cls(window_ms, buffer_bytes, Cache(cache_bytes))

    @property
    def ttl_s(self) -> int:
        """After this time RocksDB may forget an entry: the longer of the two windows and an hour for clocks."""
        return max(self.window_ms, PACK_WINDOW_MS) // 1000 + HOUR_S


class DeduplicationStore:
    """What the accepted packs of one partition stored.

    One writer a folder: a lease (flock) says whose it is. A worker that finds every folder taken, because a frozen
    one still holds it, begins an empty folder of its own and reads the clean log again.
    """

    def __init__(self, folder: Path, lease: int, db: Rdict, limits: StoreLimits) -> None:
        self.folder = folder
        self._lease = lease
        self._db = db
        self._limits = limits

    @classmethod
    def open(cls, root: Path, limits: StoreLimits) -> DeduplicationStore:
        """Take the folder under `root` that has read furthest, or a new one; folders nobody holds are removed."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = [store for path in sorted(root.glob("*.lease")) if (store := cls._take(path, limits))]
        found.sort(key=lambda store: store.mark.next_offset if store.mark else -1)
        best = found.pop() if found else None
        for other in found:
            other.destroy()
        return best or cls._begin(root, limits)

    @classmethod
    def _begin(cls, root: Path, limits: StoreLimits) -> DeduplicationStore:
        path = root / f"{secrets.token_hex(8)}.lease"
        store = cls._take(path, limits)
        if store is None:
            raise OSError(f"{path}: cannot be opened")
        return store

    @classmethod
    def _take(cls, path: Path, limits: StoreLimits) -> DeduplicationStore | None:
        lease = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lease)
            return None
        folder = path.with_suffix("")
        try:
            return cls(folder, lease, _open(folder, limits), limits)
        except (
            Exception
        ) as error:  # rocksdict raises Exception itself; a cache that cannot be opened is worth nothing
            get_logger().warning("cache_thrown_away", error=where(error))
            shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
            os.close(lease)
            return None

    @property
    def mark(self) -> Mark | None:
        """How far this cache has read; None when it is empty or unreadable."""
        value = self._db.get(_MARK)
        if value is None:
            return None
        topic_id, next_offset, last = orjson.loads(value)
        return Mark(topic_id, next_offset, Position(*last) if last else None)

    def look_up(self, keys: Sequence[bytes], now_ms: int) -> list[Known | None]:
        """What is stored of each key; `now_ms` by the broker's clock."""
        values: list[bytes | None] = self._db.get(list(keys)) or []
        if not any(values):
            return [None] * len(keys)
        oldest = now_ms - self._limits.window_ms
        return [
            Known(value[TIME_BYTES], value[TIME_BYTES + 1 :])
            if value is not None and int.from_bytes(value[:TIME_BYTES]) > oldest
            else None
            for value in values
        ]

    def has_pack(self, pack_id: str, now_ms: int) -> bool:
        """True when an accepted pack with this id (hex digits) was decided within its window."""
        value = self._db.get(_PACK + bytes.fromhex(pack_id))
        return value is not None and int.from_bytes(value[:TIME_BYTES]) > now_ms - PACK_WINDOW_MS

    def remember(self, stored: Sequence[tuple[CleanHead, int]], mark: Mark | None) -> None:
        """Write what accepted packs stored, each with its LogAppendTime (ms), and how far that goes, in one batch.

        mark: None for packs of another partition, which say nothing of how far this one's log is read.
        """
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for head, time_ms in stored:
            time = time_ms.to_bytes(TIME_BYTES)
            kept = head.kept
            for at in range(0, len(kept), KEPT_SIZE):
                end = at + KEY_BYTES
                put(kept[at:end], time + kept[end : at + KEPT_SIZE])
            for answer in head.answers:
                if answer.is_stored:
                    put(_PACK + bytes.fromhex(answer.pack_id), time)
        if mark is not None:
            put(_MARK, orjson.dumps((mark.topic_id, mark.next_offset, mark.last and tuple(mark.last))))
        self._db.write(batch)

    def close(self) -> None:
        """Give the folder back."""
        self._db.close()
        os.close(self._lease)

    def destroy(self) -> None:
        """Throw the cache away."""
        self._db.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".lease").unlink(missing_ok=True)
        os.close(self._lease)


def _open(folder: Path, limits: StoreLimits) -> Rdict:
    """Bloom filters and indexes live inside the bounded cache; keys are random, so nothing is compressed.

    They are cut into pieces: a filter in one piece is larger than a shard of the cache and would be read from disk for
    every key (2 million keys: 4-16 µs a look-up, in pieces 1.4).
    """
    table = BlockBasedOptions()
    table.set_block_cache(limits.cache)
    table.set_bloom_filter(12, False)  # 1.5 bytes a key, three false hits in a thousand
    table.set_cache_index_and_filter_blocks(True)
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(16_384)
    table.set_pin_top_level_index_and_filter(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.none())
    options.set_compaction_style(DBCompactionStyle.universal())  # random keys: half the rewriting of levels
    options.set_write_buffer_size(limits.buffer_bytes)
    options.set_max_write_buffer_number(2)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(1_000_000)
    options.set_stats_dump_period_sec(0)
    # Named, because for an unnamed family rocksdict takes what it wrote down at the first start: no cache, no filters.
    families = {"default": options}
    db = Rdict(str(folder), options, column_families=families, access_type=AccessType.with_ttl(limits.ttl_s))
    # A file is rewritten after this time even when nothing else touches it, and what is past its time is left out.
    db.set_options({"periodic_compaction_seconds": str(max(1, limits.ttl_s // 4))})
    return db
