"""Seam: the Kafka producer of raw packs. A pack is reported as delivered only when all in-sync replicas have it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runtime.kafka_access import KafkaAccess
from runtime.logs import get_logger
from schemas.topics import RAW, RAW_SIZE_MAX

OnDelivery = Callable[
    [bool], None
]  # True: all in-sync replicas have the pack; False: it may or may not arrive
# Packs the producer holds; beyond it a send fails at once and the pack goes to the spool.
QUEUE_KBYTES_MAX = 131_072
FATAL_S = 0.5  # between two producers that are broken for good
GIVE_UP_MS = 10_000  # after it the producer drops a pack; by then it has long been in the spool

log = get_logger()


class Outbox(Protocol):
    """What the edge needs of Kafka. One thread owns it; `poll` alone may be called from another."""

    def send(self, partition: int, message: bytes, on_delivery: OnDelivery) -> None:
        """Hand over a pack; `on_delivery` is called exactly once, from `settle` or from `send` itself."""

    def poll(self, timeout_s: float) -> bool:
        """Wait for reports at most so long; True when there are some to settle."""

    def settle(self) -> None:
        """Call `on_delivery` for all that was reported so far; never waits."""

    def fetch_partition_count(self, timeout_s: float) -> int | None:
        """How many partitions the topic has, None when Kafka does not say in time; waits."""


class KafkaOutbox:
    """The producer: idempotent, acks=all, no waiting and no compression of its own (packs are both already).

    One that turned fatal is replaced by a new one at the next `settle`; what it still held counts as not delivered.
    """

    def __init__(self, kafka: KafkaAccess, topic: str = RAW) -> None:
        self._kafka = kafka
        self._topic = topic
        self._waiting: dict[int, OnDelivery] = {}
        self._reports: deque[tuple[int, bool]] = deque()  # filled by `poll`, emptied by `settle`
        self._next = 0
        self._fatal = ""
        self._producer = self._build()

    def send(self, partition: int, message: bytes, on_delivery: OnDelivery) -> None:
        """See `Outbox.send`. A full queue or a broken producer is reported as not delivered at once."""
        self._next += 1
        number = self._next
        self._waiting[number] = on_delivery
        try:
            self._producer.produce(
                self._topic, message, partition=partition, on_delivery=partial(self._delivered, number)
            )
        except (BufferError, KafkaException):
            self._report(number, False)

    def poll(self, timeout_s: float) -> bool:
        """See `Outbox.poll`."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal one is raised here, not told to `_heard`
            self._fatal = error.args[0].name()
            time.sleep(FATAL_S)  # `settle` makes another, which may fare no better
        return bool(self._reports or self._fatal)

    def settle(self) -> None:
        """See `Outbox.settle`."""
        while self._reports:
            self._report(*self._reports.popleft())
        if self._fatal:
            self._replace()

    def fetch_partition_count(self, timeout_s: float) -> int | None:
        """See `Outbox.fetch_partition_count`."""
        try:
            found = self._producer.list_topics(self._topic, timeout=timeout_s).topics.get(self._topic)
        except KafkaException:
            return None
        return len(found.partitions) or None if found is not None and found.error is None else None

    @property
    def under_way(self) -> int:
        """Packs handed over and not reported yet."""
        return len(self._waiting)

    def _build(self) -> Producer:
        return Producer(
            {
                **self._kafka.client(),
                "client.id": "fairpixel-ingest",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "compression.type": "none",
                "message.max.bytes": RAW_SIZE_MAX,
                "message.timeout.ms": GIVE_UP_MS,
                "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
                "socket.nagle.disable": True,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
                "error_cb": self._heard,
            }
        )

    def _heard(self, error: KafkaError) -> None:
        self._kafka.report(error)
        if error.fatal():
            self._fatal = error.name()

    def _delivered(self, number: int, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.fatal():
            self._fatal = error.name()
        self._reports.append((number, error is None))

    def _report(self, number: int, kept: bool) -> None:
        on_delivery = self._waiting.pop(number, None)
        if on_delivery is not None:
            on_delivery(kept)

    def _replace(self) -> None:
        log.error("producer_replaced", reason=self._fatal, packs_unsettled=len(self._waiting))
        self._fatal = ""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self._producer = self._build()
        for number in list(self._waiting):
            self._report(number, False)
