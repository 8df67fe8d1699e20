"""What the rule of clean packs asks about the raw topic, answered by a LogReader."""

from __future__ import annotations

from schemas.bounds import RawEnds, RawMessage
from schemas.topics import RAW
from streams.log_reader import LogReader


class RawView:
    """A RawReader; raises what its LogReader raises when Kafka does not answer."""

    def __init__(self, log: LogReader) -> None:
        self._log = log

    def topic_id(self) -> str:
        """See RawReader."""
        return self._log.topic_id(RAW)

    def ends(self, partition: int, time_ms: int) -> RawEnds:
        """See RawReader. The end first: what comes between the two questions is of neither."""
        _, high = self._log.bounds(RAW, partition)
        return RawEnds(min(self._log.offset_at(RAW, partition, time_ms), high), high)

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        """See RawReader."""
        low, high = self._log.bounds(RAW, partition)
        for chunk in self._log.read(RAW, partition, max(offset, low), high):
            return RawMessage(chunk[0].offset, chunk[0].value)
        return None
