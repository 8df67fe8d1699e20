"""Seam: where the next batch begins behind one that this client does not unpack, as it would be too large."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.kafka_access import KafkaAccess

ANSWER_S_MAX = 10.0
# Bytes a batch unpacks to at most; the client reads no further. 300 times what a batch may have packed in 200 kB.
UNPACKED_SIZE_MAX = 64_000_000
BATCH_OPTIONS: dict[str, str | int | float | bool] = {
    "receive.message.max.bytes": UNPACKED_SIZE_MAX,
    "fetch.max.bytes": 8_000_000,
}


def is_too_large(message: Message) -> bool:
    """Whether an error of the client says that it did not unpack a batch."""
    error = message.error()
    return error is not None and error.code() == KafkaError._BAD_COMPRESSION


def find_batch_end(kafka: KafkaAccess, group: str, topic: str, partition: int, at: int) -> int:
    """The first offset behind the batch that holds `at`. Raises KafkaException.

    Brokers give whole batches, whichever of their offsets is asked for: some 10 to 20 questions halve what is left.
    """
    consumer = Consumer(
        {**kafka.client(), **BATCH_OPTIONS, "group.id": group, "enable.auto.commit": False, "log_level": 0}
    )
    try:
        inside, behind = at, consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S_MAX)[1]
        while behind - inside > 1:
            middle = (inside + behind) // 2
            consumer.assign([TopicPartition(topic, partition, middle)])
            message = consumer.poll(ANSWER_S_MAX)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            if is_too_large(message) and int(message.offset() or 0) <= at:
                inside = middle
            else:
                behind = middle
        return behind
    finally:
        consumer.close()
