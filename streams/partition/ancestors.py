"""What a partition takes over from those its keys lay on before the topics grew.

Topics grow to a multiple of their partitions, so a key stays where it was or goes to a new partition, and then it lay
on a known one before: of four partitions, what is on 3 was on 1 when there were two. Such a one is an ancestor. A new
partition decides nothing before its ancestors have decided all that was written before it was opened, and then takes
over what they stored. The clean logs tell all of it, so a lost deduplication store is no matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from schemas.clean_pack import CleanHead
from schemas.topics import CLEAN, RAW
from streams.kafka.log_reader import LogReader
from streams.partition.chain import next_raw_after
from streams.partition.recovery import LATEST_PACKS, WATCH, Judge, Watch, accepted_heads
from streams.partition.store import DeduplicationStore

# Of the brokers' clocks, where leaders of two partitions differ.
CLOCKS_MS_MAX = 60_000


class Undecided(Exception):
    """An ancestor has messages from before this partition was opened which are not decided yet."""


def ancestors_of(partition: int, partition_count: int) -> list[int]:
    """The partitions that keys of this one may have lain on, whatever the steps by which the topics grew.

    Some of them may never have been one: what they stored is never asked for here.
    """
    divisors = (one for one in range(1, partition_count) if partition_count % one == 0)
    return sorted({partition % one for one in divisors} - {partition})


class Ancestors:
    """The ancestors of one partition, from its assignment on."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._raw_ends: dict[int, int] = {}  # of each ancestor, when it was looked at first

    def hand_over(
        self,
        log: LogReader,
        store: DeduplicationStore,
        *,
        window_ms: int,
        progress: Callable[[], None],
        watch: Watch = WATCH,
    ) -> None:
        """Put what the ancestors stored within the window into a deduplication store that has read nothing yet.

        Raises Undecided, KafkaUnavailable.
        """
        low, high = log.bounds(CLEAN, self._partition)
        if store.mark is not None or low > 0:  # a log whose beginning has expired is older than any window
            return
        born_ms = _time_of(log, CLEAN, self._partition, low) if low < high else None
        for ancestor in ancestors_of(self._partition, log.partition_count(CLEAN)):
            with closing(Judge(log, ancestor, progress, watch)) as judge:
                if born_ms is None:
                    self._require_decided(log, judge)
                for heads in self._stored(log, judge, born_ms, window_ms):
                    store.remember(heads, None)

    def _require_decided(self, log: LogReader, judge: Judge) -> None:
        raw_low, raw_high = log.bounds(RAW, judge.partition)
        wanted = self._raw_ends.setdefault(judge.partition, raw_high)
        low, high = log.bounds(CLEAN, judge.partition)
        start = max(low, high - LATEST_PACKS)
        reached = [last for _, last, _ in accepted_heads(log, judge, start, high, None, start == 0)]
        if next_raw_after(reached[-1] if reached else None, log.topic_id(RAW), raw_low) < wanted:
            raise Undecided

    def _stored(
        self, log: LogReader, judge: Judge, born_ms: int | None, window_ms: int
    ) -> Iterator[list[tuple[CleanHead, int]]]:
        """What an ancestor stored within a window before this partition's first message, up to its first decision."""
        ancestor = judge.partition
        low, high = log.bounds(CLEAN, ancestor)
        if low == high:
            return
        raw_low, raw_high = log.bounds(RAW, self._partition)
        if born_ms is not None:
            first_ms, end = born_ms, log.offset_at(CLEAN, ancestor, born_ms + CLOCKS_MS_MAX)
        elif raw_low < raw_high:
            first_ms, end = _time_of(log, RAW, self._partition, raw_low), high
        else:  # what comes will be later than all there is
            first_ms, end = _time_of(log, CLEAN, ancestor, high - 1), high
        start = max(low, log.offset_at(CLEAN, ancestor, first_ms - window_ms))
        for heads, _, _ in accepted_heads(log, judge, start, end, None, start == 0):
            yield heads


def _time_of(log: LogReader, topic: str, partition: int, offset: int) -> int:
    return next(iter(log.read(topic, partition, offset, offset + 1)))[0].time_ms
