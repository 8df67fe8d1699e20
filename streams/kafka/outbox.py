"""Sends clean packs and dead letters, idempotently and in order (seam: confluent-kafka's producer)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError, Message, Producer

from runtime.kafka import kafka_errors_as_ours
from runtime.kafka_access import KafkaAccess
from schemas.dead_letter import Headers
from schemas.topics import CLEAN_SIZE_MAX

DELIVERY_MS_MAX = 120_000  # a broker that is away for a minute costs time, not the worker


class Delivered(NamedTuple):
    """Where a message came to lie; `time_ms` is the broker's LogAppendTime."""

    offset: int
    time_ms: int


class DeliveryError(Exception):
    """The broker did not take a message; the text is librdkafka's name of the error."""


OnDelivery = Callable[[Delivered | DeliveryError], None]


class Outbox(Protocol):
    """Sends to a partition of a topic and reports each delivery, in order, on some thread."""

    def send(
        self, topic: str, partition: int, value: bytes, headers: Headers | None, on_delivery: OnDelivery
    ) -> None:
        """Hand over one message. Raises KafkaUnavailable when the client takes none any more."""
        ...


class KafkaOutbox:
    """An Outbox on a broker."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._producer = Producer(
            {
                **kafka.client(),
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,  # small packs share a request; the loader takes them every 400 ms
                "delivery.timeout.ms": DELIVERY_MS_MAX,
                "request.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 1_000,
                "message.max.bytes": CLEAN_SIZE_MAX + 10_000,
                "queue.buffering.max.kbytes": 131_072,  # partition processors bound what is in flight long before
                "log_level": 0,
            }
        )
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._poller.start()

    def send(
        self, topic: str, partition: int, value: bytes, headers: Headers | None, on_delivery: OnDelivery
    ) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                on_delivery(DeliveryError(error.name()))
            else:
                on_delivery(Delivered(int(message.offset() or 0), int(message.timestamp()[1])))

        with kafka_errors_as_ours():
            self._producer.produce(
                topic,
                value,
                partition=partition,
                headers=list(headers) if headers else None,
                on_delivery=report,
            )

    def close(self, seconds_max: float) -> None:
        """Wait for what is under way, then stop."""
        self._producer.flush(seconds_max)
        self._stopping.set()
        self._poller.join(seconds_max)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)
