"""Reads pieces of Kafka logs by offset, outside any consumer group (seam)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from runtime.kafka import ask_topic_id, kafka_errors_as_ours
from runtime.kafka_access import KafkaAccess
from schemas.topics import DEAD, STREAMS_READER

REQUEST_SECONDS_MAX = 10.0
CHUNK_MESSAGES_MAX = 64  # clean packs of 150 kB as a rule, 4 MB at the most
# What a producer compressed may be far larger than the broker's limit: 64 messages of 60 MB must not be held at once.
CHUNK_BYTES_MAX = 64_000_000
CHUNK_MESSAGES_FIRST = 8


class Record(NamedTuple):
    """One message; `time_ms` is the broker's LogAppendTime."""

    offset: int
    time_ms: int
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...] = ()


class LogReader(Protocol):
    """What the worker needs to know of a log beyond what its consumer brings.

    Each call, and each step through what `read` returns, raises KafkaUnavailable when the broker cannot answer in time.
    """

    def topic_id(self, topic: str) -> str:
        """The id of the topic that has this name now."""
        ...

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has."""
        ...

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(offset of the first message there is, offset the next one will have)."""
        ...

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """The first offset at or after this time; the end when there is none."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[Record]]:
        """The messages from `start` up to and without `end`, in chunks, in order."""
        ...


class KafkaLogReader:
    """A LogReader on a broker."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._kafka = kafka
        self._config: dict[str, str | int | float] = {
            **kafka.client(),
            "group.id": STREAMS_READER,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 8_192,
            "fetch.queue.backoff.ms": 10,  # when that is full; by itself it would wait a second
            "log_level": 0,
        }

    def topic_id(self, topic: str) -> str:
        admin = AdminClient({**self._kafka.client(), "log_level": 0})
        return ask_topic_id(admin, topic, REQUEST_SECONDS_MAX)

    @kafka_errors_as_ours()
    def partition_count(self, topic: str = DEAD) -> int:
        """How many partitions a topic has; all of ours have equally many."""
        admin = AdminClient({**self._kafka.client(), "log_level": 0})
        try:
            return len(admin.list_topics(topic, REQUEST_SECONDS_MAX).topics[topic].partitions)
        except KafkaException:
            admin.poll(0)  # says so where the login is refused
            raise

    @kafka_errors_as_ours()
    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        consumer = Consumer(self._config)
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), REQUEST_SECONDS_MAX)
            return low, high
        finally:
            consumer.close()

    @kafka_errors_as_ours()
    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        consumer = Consumer(self._config)
        try:
            [found] = consumer.offsets_for_times(
                [TopicPartition(topic, partition, time_ms)], REQUEST_SECONDS_MAX
            )
            if found.error:
                raise KafkaException(found.error)
            if found.offset not in (OFFSET_END, -1):
                return int(found.offset)
            return int(
                consumer.get_watermark_offsets(TopicPartition(topic, partition), REQUEST_SECONDS_MAX)[1]
            )
        finally:
            consumer.close()

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[Record]]:
        if start < end:
            with kafka_errors_as_ours():
                yield from self._read(topic, partition, start, end)

    def _read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[Record]]:
        consumer = Consumer(self._config)
        try:
            consumer.assign([TopicPartition(topic, partition, start)])
            count = CHUNK_MESSAGES_FIRST
            while start < end:
                wanted = min(count, end - start)  # consume() waits until it has them all
                messages = consumer.consume(wanted, REQUEST_SECONDS_MAX)
                if not messages:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                chunk = []
                for message in messages:
                    error = message.error()
                    if error is not None:
                        raise KafkaException(error)
                    offset = int(message.offset() or 0)
                    if offset < end:
                        time_ms = int(message.timestamp()[1])
                        chunk.append(Record(offset, time_ms, message.value() or b"", _headers(message)))
                    start = offset + 1
                if chunk:
                    largest = max(len(record.value) for record in chunk)
                    count = min(CHUNK_MESSAGES_MAX, max(1, CHUNK_BYTES_MAX // (largest + 1)))
                    yield chunk
        finally:
            consumer.close()


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    pairs = message.headers() or ()
    named = pairs.items() if isinstance(pairs, dict) else pairs
    return tuple((name, text.encode() if isinstance(text, str) else text) for name, text in named)
