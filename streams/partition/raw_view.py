"""What the rule of clean packs asks about the raw topic, answered by a LogReader."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from schemas.bounds import RawEnds, RawMessage
from schemas.topics import RAW
from streams.kafka.log_reader import LogReader, Record

CHUNKS_PASSED_MAX = 4  # read over on the way to a later message; what is farther is looked up


class RawView:
    """A RawReader for one pass over a log, by one thread; raises what its LogReader raises when Kafka does not answer.

    Packs are asked about in the order of their raw messages, so these are read in one go as well, where each question
    about times makes two clients with connections of their own.
    """

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._partition = -1
        self._start = 0  # `_messages` are all there are from here to the last of them
        self._messages: list[RawMessage] = []
        self._chunks: Iterator[Sequence[Record]] = iter(())

    def topic_id(self) -> str:
        """See RawReader."""
        return self._log.topic_id(RAW)

    def ends(self, partition: int, time_ms: int, offset: int | None = None) -> RawEnds:
        """See RawReader. The end first: what comes between the two questions is of neither."""
        _, high = self._log.bounds(RAW, partition)
        return RawEnds(min(self._log.offset_at(RAW, partition, time_ms), high), high)

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        """See RawReader."""
        if partition == self._partition and offset >= self._start:
            for _ in range(CHUNKS_PASSED_MAX):
                if self._messages and offset <= self._messages[-1].offset:
                    return self._known(offset)
                if not self._read_on():
                    break
        self._begin(partition, offset)
        return self._known(offset) if self._read_on() else None

    def close(self) -> None:
        """Stop reading."""
        self._partition, self._messages, self._chunks = -1, [], iter(())

    def _known(self, offset: int) -> RawMessage:
        return self._messages[bisect_left(self._messages, offset, key=lambda one: one.offset)]

    def _begin(self, partition: int, offset: int) -> None:
        self.close()
        low, high = self._log.bounds(RAW, partition)
        self._partition, self._start = partition, offset
        self._chunks = self._log.read(RAW, partition, max(offset, low), high)

    def _read_on(self) -> bool:
        """The next chunk; False at the end of what was there when reading began."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        if self._messages:
            self._start = self._messages[-1].offset + 1
        self._messages = [RawMessage.of(one.offset, one.time_ms, one.value) for one in chunk]
        return True
