"""Seam: what the rule of clean packs asks about the raw topic; the loader reads none of its events."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess
from schemas.bounds import RawEnds, RawMessage
from schemas.topics import RAW, SINKS_READER
from sinks.loader.kafka.log_reader import ASK_S_MAX, find_topic_id


class KafkaRaw:
    """A RawReader on a broker, for one thread; every call raises KafkaUnavailable when Kafka does not answer."""

    def __init__(self, kafka: KafkaAccess, topic: str = RAW) -> None:
        self._kafka = kafka
        self._topic = topic
        self._kept: Consumer | None = None

    def topic_id(self) -> str:
        """See RawReader. Asked once in the life of a topic."""
        return find_topic_id(self._kafka, self._topic)

    def ends(self, partition: int, time_ms: int, offset: int | None = None) -> RawEnds:
        """See RawReader. One request where `offset` spares the end; else the end first: what comes between the two
        questions is of neither."""
        try:
            if offset is not None:
                then = self._first_since(partition, time_ms)
                if then is not None and then > offset:
                    return RawEnds(then, None)
            _, high = self._bounds(partition)
            then = self._first_since(partition, time_ms)
        except KafkaException as raised:
            raise self._away(raised) from None
        return RawEnds(high if then is None else min(then, high), high)

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        """See RawReader. Asked about packs in doubt only."""
        try:
            low, high = self._bounds(partition)
            if offset >= high:
                return None
            client = self._client()
            client.assign([TopicPartition(self._topic, partition, max(offset, low))])
            try:
                one = client.poll(ASK_S_MAX)
            finally:
                client.unassign()
        except KafkaException as raised:
            raise self._away(raised) from None
        if one is None:
            raise KafkaUnavailable("no answer", "no answer while reading the raw log")
        error = one.error()
        if error is None:
            return RawMessage.of(int(one.offset() or 0), int(one.timestamp()[1]), one.value() or b"")
        if error.code() == KafkaError._PARTITION_EOF:
            return None
        raise KafkaUnavailable(error.name())

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset still there, and the one behind the last."""
        try:
            return self._bounds(partition)
        except KafkaException as raised:
            raise self._away(raised) from None

    def close(self) -> None:
        """Give the connections back."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _first_since(self, partition: int, time_ms: int) -> int | None:
        """The first message of this time or later; None when there is none yet."""
        asked = [TopicPartition(self._topic, partition, time_ms)]
        [found] = self._client().offsets_for_times(asked, timeout=ASK_S_MAX)
        if found.error is not None:
            raise KafkaUnavailable(found.error.name())
        return int(found.offset) if found.offset >= 0 else None

    def _bounds(self, partition: int) -> tuple[int, int]:
        low, high = self._client().get_watermark_offsets(
            TopicPartition(self._topic, partition), timeout=ASK_S_MAX
        )
        return low, high

    def _client(self) -> Consumer:
        if self._kept is None:
            self._kept = Consumer({
                **self._kafka.client(),
                "group.id": SINKS_READER,  # required by the client; nothing is ever committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 1_024,  # one message is read
                "log_level": 0,
            })  # fmt: skip
        return self._kept

    def _away(self, raised: KafkaException) -> KafkaUnavailable:
        self.close()  # the next question begins with a fresh client
        return KafkaUnavailable(raised.args[0].name())
