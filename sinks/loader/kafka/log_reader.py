"""Reads pieces of Kafka logs by offset, outside any consumer group (seam)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.kafka import KafkaUnavailable, ask_topic_id, find_batch_end, is_too_large
from runtime.kafka_access import KafkaAccess
from schemas.topics import SINKS_READER
from sinks.loader.block import Message

ASK_S_MAX = 10.0

# The client unpacks all that one answer of the broker holds before it looks at any limit: 4.2 MB of batches that a
# neighbour compressed are up to 40 GB (1,000 messages of 3.9 MB of one letter: 400 kB, 6 GB were not enough). An answer
# holds one batch whatever these say, so with them it is one, or a few small ones.
CAREFULLY: dict[str, str | int | float | bool] = {
    "fetch.message.max.bytes": 2_000,
    "fetch.min.bytes": 1,
    "queued.max.messages.kbytes": 8_192,
}


def find_topic_id(kafka: KafkaAccess, topic: str) -> str:
    """The id Kafka gave the topic. Raises KafkaUnavailable."""
    try:
        return ask_topic_id(AdminClient({**kafka.client(), "log_level": 0}), topic, ASK_S_MAX)
    except KafkaUnavailable as error:
        raise KafkaUnavailable(error.name, f"the topic {topic} cannot be found: {error}") from None


def read_range(
    kafka: KafkaAccess, topic: str, partition: int, low: int, high: int, *, careful: bool = False
) -> Iterator[Message]:
    """The messages of a partition from `low` to before `high`, apart from any group. Raises KafkaUnavailable."""
    if low >= high:
        return
    consumer = Consumer({
        **kafka.client(),
        "group.id": SINKS_READER,  # required by the client; nothing is ever committed
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 4_200_000,
        "queued.max.messages.kbytes": 32_768,
        "log_level": 2,  # our own lines say when Kafka is away; the client would say it 20 times a second
        **(CAREFULLY if careful else {}),
    })  # fmt: skip
    try:
        consumer.assign([TopicPartition(topic, partition, low)])
        at = low
        while at < high:
            one = consumer.poll(ASK_S_MAX)
            error = one.error() if one is not None else None
            if one is None:
                raise KafkaUnavailable("no answer", "no answer while reading the log")
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return
                if is_too_large(one):
                    at = find_unreadable_end(kafka, topic, partition, int(one.offset() or 0))
                    consumer.assign([TopicPartition(topic, partition, at)])
                    continue
                raise KafkaUnavailable(error.name())
            message = message_of(one)
            at = message.offset + 1
            if message.offset < high:
                yield message
    finally:
        consumer.close()


def find_unreadable_end(kafka: KafkaAccess, topic: str, partition: int, at: int) -> int:
    """The first offset behind the batch that begins at `at` and cannot be unpacked. Raises KafkaUnavailable."""
    return find_batch_end(kafka, SINKS_READER, topic, partition, at, {**CAREFULLY, "log_level": 2})


def message_of(one: Any) -> Message:
    """What the loader needs of a message of the client."""
    return Message(one.partition(), one.offset(), one.value() or b"", one.timestamp()[1])
