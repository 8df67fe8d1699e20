"""Brings the deduplication store up to the end of the clean log, before the first decision on a partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from schemas.avro_codec import PackError
from schemas.bounds import Bounds, TooEarly
from schemas.clean_pack import CleanHead, read_clean_head
from schemas.dead_letter import DeadLetter
from schemas.links import Origin, Position, Verdict, find_anchor
from schemas.topics import CLEAN, DEAD, RAW
from streams.kafka.log_reader import LogReader, Record
from streams.partition.chain import next_raw_after
from streams.partition.raw_view import RawView
from streams.partition.refusals import REFUSALS, Refused
from streams.partition.store import PACK_WINDOW_MS, DeduplicationStore, Mark

LATEST_PACKS = 1_000  # read at least so many, so that the last accepted one is among them after a quiet week
# A late writer's chain is as short as what a worker may have under way, so this many packs show the true one.
ANCHOR_PACKS = 2_000  # held at once, heads alone: 13 kB each
DEAD_LETTERS_READ = 200
PAUSE_S = 0.2  # until a pack can be judged that names a raw message Kafka does not have yet


class RecoveredLog(NamedTuple):
    """What stands at the end of the logs of one partition."""

    topic_id: str  # of the raw topic
    clean_topic_id: str
    last: Position | None
    next_raw: int
    next_clean: int
    dead_origins: frozenset[Origin]  # dead letters sent for messages that have no clean pack yet


class Watch(NamedTuple):
    """How time passes while the log is read."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


WATCH = Watch()


def recover_log(
    log: LogReader,
    partition: int,
    store: DeduplicationStore,
    *,
    window_ms: int,
    progress: Callable[[], None],
    watch: Watch = WATCH,
) -> RecoveredLog | None:
    """Read what the cache does not know yet; None when the cache does not fit the log and must be thrown away first."""
    topic_id, clean_id = log.topic_id(RAW), log.topic_id(CLEAN)
    raw_low, raw_high = log.bounds(RAW, partition)
    low, high = log.bounds(CLEAN, partition)
    judge = Judge(log, partition, progress, watch)
    last: Position | None
    mark = store.mark
    if mark and (mark.topic_id != clean_id or mark.next_offset > high or mark.next_offset < low):
        return None
    if mark:
        start, last, anchored = mark.next_offset, mark.last, True
    else:
        start = _start(log, judge, topic_id, low, high, raw_low, raw_high, window_ms)
        judge.refused.clear()  # they come again
        last, anchored = None, start == 0
    for chunk, last_of_chunk, end in accepted_heads(log, judge, start, high, last, anchored):
        last = last_of_chunk
        store.remember(chunk, Mark(clean_id, end, last))
    judge.close()
    next_raw = next_raw_after(last, topic_id, raw_low)
    for refused in judge.refused:
        REFUSALS.tell(partition, refused)
    return RecoveredLog(
        topic_id, clean_id, last, next_raw, high, _dead_origins(log, partition, topic_id, next_raw)
    )


class Judge:
    """The link rule for one partition, asked until Kafka can tell."""

    def __init__(self, log: LogReader, partition: int, progress: Callable[[], None], watch: Watch) -> None:
        self.partition = partition
        self.raw = RawView(log)
        self.bounds = Bounds(self.raw, partition, watch.clock, reads_along=True)
        self.seen_at = watch.clock()  # all that is read was there by then
        self.refused: list[Refused] = []
        self.progress = progress
        self._watch = watch

    def close(self) -> None:
        """Give the reader of the raw log back."""
        self.raw.close()

    def accepts(self, last: Position | None, read: _Head) -> bool:
        """Whether a clean pack is accepted behind the last accepted one. Raises KafkaUnavailable."""
        while True:
            try:
                verdict = self.bounds.judge(last, read.head, read.time_ms, self.seen_at)
                break
            except TooEarly:
                self.progress()
                self._watch.sleep(PAUSE_S)
        if verdict.is_refused:
            self.refused.append(Refused(read.offset, read.head.origin.offset, verdict))
        return verdict is Verdict.ACCEPTED


def _start(
    log: LogReader,
    judge: Judge,
    topic_id: str,
    low: int,
    high: int,
    raw_low: int,
    raw_high: int,
    window_ms: int,
) -> int:
    """Where to begin without a cache: a window before the first raw message that is not decided yet."""
    partition = judge.partition
    latest = max(low, high - LATEST_PACKS)
    if latest == low:
        return low
    *_, (_, last, _) = accepted_heads(log, judge, latest, high, None, False)
    next_raw = next_raw_after(last, topic_id, raw_low)
    if next_raw >= raw_high:
        newest = next(iter(log.read(CLEAN, partition, high - 1, high)))
        time_ms = newest[0].time_ms  # what comes will be later than this
    else:
        time_ms = next(iter(log.read(RAW, partition, next_raw, next_raw + 1)))[0].time_ms
    return max(low, min(latest, log.offset_at(CLEAN, partition, time_ms - max(window_ms, PACK_WINDOW_MS))))


def accepted_heads(
    log: LogReader, judge: Judge, start: int, end: int, last: Position | None, anchored: bool
) -> Iterator[tuple[list[tuple[CleanHead, int]], Position | None, int]]:
    """(accepted heads with their times, last accepted position, offset behind them) chunk by chunk."""
    chunks: Iterator[_Chunk] = map(_read_heads, log.read(CLEAN, judge.partition, start, end))
    if not anchored:
        first: list[_Chunk] = []
        for chunk in chunks:
            first.append(chunk)
            judge.progress()
            if sum(len(one.heads) for one in first) >= ANCHOR_PACKS:
                break
        links = [read.head.as_link for one in first for read in one.heads]
        last = find_anchor(links, judge.bounds.raw_log()) if links else None
        chunks = chain(first, chunks)
    for chunk in chunks:
        accepted = []
        for read in chunk.heads:
            if judge.accepts(last, read):
                accepted.append((read.head, read.time_ms))
                last = read.head.this
        judge.progress()
        yield accepted, last, chunk.end


class _Head(NamedTuple):
    head: CleanHead
    time_ms: int  # LogAppendTime
    offset: int


class _Chunk(NamedTuple):
    heads: list[_Head]
    end: int  # the offset behind it


def _read_heads(records: Sequence[Record]) -> _Chunk:
    heads = []
    for record in records:
        try:
            heads.append(_Head(read_clean_head(record.value), record.time_ms, record.offset))
        except PackError:
            continue  # bytes somebody else put there; the loader makes a dead letter of them
    return _Chunk(heads, records[-1].offset + 1)


def _dead_origins(log: LogReader, partition: int, topic_id: str, next_raw: int) -> frozenset[Origin]:
    low, high = log.bounds(DEAD, partition)
    origins = set()
    for chunk in log.read(DEAD, partition, max(low, high - DEAD_LETTERS_READ), high):
        for record in chunk:
            try:
                dead_letter = DeadLetter.from_message(record.value, record.headers)
            except ValueError:
                continue
            origin = dead_letter.origin
            if dead_letter.topic == RAW and origin.topic_id == topic_id and origin.offset >= next_raw:
                origins.add(origin)
    return frozenset(origins)
