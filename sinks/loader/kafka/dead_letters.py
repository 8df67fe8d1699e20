"""Seam: the topic of dead letters; each is written once, also by a loader that repeats a block."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from runtime.kafka import KafkaUnavailable, Outgoing, deliver
from runtime.kafka_access import KafkaAccess
from schemas.dead_letter import DeadLetter
from schemas.links import Origin
from schemas.topics import DEAD, SINKS_READER
from sinks.loader.kafka.log_reader import ASK_S_MAX

SEND_S_MAX = 20.0


class DeadLetters(Protocol):
    """What the loader needs to put an unreadable message aside. Both raise KafkaUnavailable."""

    def send(self, dead_letter: DeadLetter) -> None:
        """Write a letter; it is on the topic when this returns."""

    def has(self, origin: Origin, since_ms: int) -> bool:
        """Whether a letter for this message was written since `since_ms` (ms since 1970)."""


class KafkaDeadLetters:
    """Dead letters on Kafka; each has a producer of its own, for there is hardly ever one."""

    def __init__(self, kafka: KafkaAccess, topic: str = DEAD) -> None:
        self._kafka = kafka
        self._topic = topic

    def send(self, dead_letter: DeadLetter) -> None:
        producer = Producer({
            **self._kafka.client(),
            "enable.idempotence": True,
            "compression.type": "none",  # the letter as it came; 4 MB is the largest
            "message.max.bytes": 4_200_000,
            "message.timeout.ms": int(SEND_S_MAX * 1_000),
            "log_level": 0,
        })  # fmt: skip
        outgoing = Outgoing(
            self._topic, dead_letter.value, tuple(dead_letter.headers()), dead_letter.origin.partition
        )
        try:
            deliver(producer, [outgoing], SEND_S_MAX + 1)
        except KafkaUnavailable as error:
            raise KafkaUnavailable(error.name, f"a dead letter cannot be sent: {error.name}") from None

    def has(self, origin: Origin, since_ms: int) -> bool:
        consumer = Consumer({
            **self._kafka.client(),
            "group.id": SINKS_READER,  # required by the client; nothing is ever committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 4_200_000,
            "log_level": 0,
        })  # fmt: skip
        try:
            start = consumer.offsets_for_times(
                [TopicPartition(self._topic, origin.partition, since_ms)], timeout=ASK_S_MAX
            )
            if start[0].offset < 0:
                return False  # nothing so new on the topic
            consumer.assign(start)
            while True:
                one = consumer.poll(ASK_S_MAX)
                error = one.error() if one is not None else None
                if one is None:
                    raise KafkaUnavailable("no answer", "no answer while looking for a dead letter")
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return False
                    raise KafkaUnavailable(error.name())
                headers: Any = one.headers() or []
                with suppress(ValueError):  # not a dead letter of ours
                    if DeadLetter.from_message(b"", headers).origin == origin:
                        return True
        except KafkaException as raised:
            raise KafkaUnavailable(raised.args[0].name()) from None
        finally:
            consumer.close()
