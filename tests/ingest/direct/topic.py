"""The direct topic as a team with a producer writes it, and the dead letters that come of it."""

from __future__ import annotations

import json

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD, DIRECT, PARTITIONS_DEFAULT


def write(bootstrap: str, *messages: bytes, partition: int = 0) -> None:
    """Messages as a producer of some team writes them, acknowledged when this returns."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for message in messages:
        producer.produce(DIRECT, message, partition=partition)
    assert producer.flush(20) == 0


def as_json(**fields: object) -> bytes:
    return json.dumps({"site": "demo", **fields}).encode()


def dead_letters(bootstrap: str) -> list[DeadLetter]:
    """Every dead letter of the direct topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "a-test", "log_level": 0})
    found = []
    try:
        for partition in range(PARTITIONS_DEFAULT):
            low, high = consumer.get_watermark_offsets(TopicPartition(DEAD, partition), 10)
            consumer.assign([TopicPartition(DEAD, partition, low)])
            for _ in range(high - low):
                message = consumer.poll(10)
                assert message is not None
                dead_letter = DeadLetter.from_message(message.value() or b"", message.headers() or [])
                found += [dead_letter] if dead_letter.topic == DIRECT else []
    finally:
        consumer.close()
    return found
