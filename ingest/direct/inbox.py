"""Seam: reads `events.direct.v1` in a group that all edge workers share; unreadable ones go to the dead-letter queue.

Offsets are committed only when told to: what was read and not committed comes again, to this worker or to another.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from confluent_kafka import (
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from runtime.kafka import (
    KafkaUnavailable,
    Outgoing,
    ask_topic_id,
    deliver,
    find_batch_end,
    is_too_large,
    kafka_errors_as_ours,
)
from runtime.kafka_access import KafkaAccess
from runtime.logs import get_logger
from schemas.dead_letter import DeadLetter
from schemas.links import Origin
from schemas.topics import CLEAN_SIZE_MAX, DEAD, DIRECT, DIRECT_GROUP

SESSION_MS = 6_000  # after it the partitions of a killed worker go to the others; the least brokers allow
ASK_S_MAX = 2.0
DEAD_LETTER_SEND_S_MAX = 4.0
# Bytes a batch unpacks to at most; the client reads no further. 300 times what a batch may have packed in 200 kB.
UNPACKED_SIZE_MAX = 64_000_000
BATCH_OPTIONS: dict[str, str | int | float | bool] = {
    "receive.message.max.bytes": UNPACKED_SIZE_MAX,
    "fetch.max.bytes": 8_000_000,
}
COMPLAIN_S = 60.0  # between two log lines about the same trouble
FETCH_BYTES_MAX = 8_000_000  # of one fetch; the message that reaches it is the last
QUEUE_KBYTES_MAX = 8_192  # fetched ahead, all partitions together

log = get_logger()


class DirectMessage(NamedTuple):
    """One message; `time_ms` is the broker's LogAppendTime."""

    origin: Origin
    time_ms: int
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class DirectInbox(Protocol):
    """What the edge needs of the direct topic. One thread uses it; every call returns within some seconds."""

    def fetch(self, count_max: int, wait_s: float) -> list[DirectMessage]:
        """The next messages, none when there is none within `wait_s` or Kafka is away."""

    def pause(self, wait_s: float) -> None:
        """Stay in the group for `wait_s` without reading on: what was fetched waits for room."""

    def send_dead_letters(self, dead_letters: Iterable[DeadLetter]) -> bool:
        """Write dead letters; True once all in-sync replicas have all of them."""

    def commit(self, messages: Iterable[DirectMessage]) -> None:
        """These and all before them on their partitions need not come again."""

    def consumer_lag(self) -> int:
        """Messages that are written and not fetched yet, as far as the last answers of the broker tell."""

    def close(self) -> None:
        """Leave the group, so that others take over at once."""


class KafkaInbox:
    """A DirectInbox on a broker."""

    def __init__(self, kafka: KafkaAccess, group: str = DIRECT_GROUP) -> None:
        self._kafka = kafka
        self._group = group
        self._admin = AdminClient({**kafka.client(), "log_level": 0})
        self._producer: Producer | None = None  # made for the first dead letter
        self._consumer = self._subscribe()
        self._topic_id = ""
        self._held: list[Message] = []
        # Partition, offset, time of batches too large to be unpacked.
        self._skipped: list[tuple[int, int, int]] = []
        self._commits: dict[int, int] = {}  # partition -> next offset, for the last word at the end
        self._paused = False
        self._complained_at = 0.0
        self._consumer_lag = 0
        self._consumer_lag_at = 0.0

    def fetch(self, count_max: int, wait_s: float) -> list[DirectMessage]:
        """See DirectInbox."""
        self._resume()
        held = self._held  # whatever is raised on the way, what was read is not forgotten
        wait = 0.0 if held else wait_s
        size = sum(map(len, held))
        while len(held) < count_max and size < FETCH_BYTES_MAX:
            message = self._poll(wait)
            if message is None:
                break
            held.append(message)
            size += len(message)
            wait = 0.0
        if (held or self._skipped) and not self._topic_id and not self._ask_topic_id():
            time.sleep(wait_s)
            return []  # without the topic's id they have no lasting name
        self._look_at_consumer_lag()
        read = [self._read(message) for message in held]
        read += [
            DirectMessage(Origin(self._topic_id, *place), now_ms, b"") for *place, now_ms in self._skipped
        ]
        self._held, self._skipped = [], []
        return read

    def pause(self, wait_s: float) -> None:
        """See DirectInbox. Partitions that arrive meanwhile are not paused yet: their first message is kept."""
        assigned = self._consumer.assignment()
        if assigned:
            self._consumer.pause(assigned)
            self._paused = True
        message = self._poll(wait_s)
        if message is not None:
            self._held.append(message)

    def send_dead_letters(self, dead_letters: Iterable[DeadLetter]) -> bool:
        """See DirectInbox."""
        producer = self._producer = self._producer or self._build_producer()
        outgoing = (
            Outgoing(DEAD, one.value, tuple(one.headers())) for one in map(DeadLetter.shortened, dead_letters)
        )
        try:
            deliver(producer, outgoing, DEAD_LETTER_SEND_S_MAX)
        except KafkaUnavailable as error:
            producer.purge(blocking=False)
            producer.flush(1.0)
            self._producer = None
            self._complain("dead_letter_not_delivered", error.name)
            return False
        return True

    def commit(self, messages: Iterable[DirectMessage]) -> None:
        """See DirectInbox. A commit that fails leaves repeats behind, never a loss."""
        ends: dict[int, int] = {}
        for message in messages:
            ends[message.origin.partition] = max(
                ends.get(message.origin.partition, 0), message.origin.offset + 1
            )
        self._commits |= ends
        try:
            self._consumer.commit(offsets=_positions(ends), asynchronous=True)
        except KafkaException as error:
            self._complain("direct_not_committed", error.args[0].name())

    def consumer_lag(self) -> int:
        """See DirectInbox."""
        return self._consumer_lag

    def close(self) -> None:
        """See DirectInbox."""
        try:
            assigned = {one.partition for one in self._consumer.assignment()}
            ends = {partition: end for partition, end in self._commits.items() if partition in assigned}
            if ends:  # at most what was committed already, this time with the broker's word
                self._consumer.commit(offsets=_positions(ends), asynchronous=False)
        except KafkaException:
            pass
        self._consumer.close()

    def _subscribe(self) -> Consumer:
        consumer = Consumer(
            {
                **self._kafka.client(),
                **BATCH_OPTIONS,
                "group.id": self._group,
                "client.id": "fairpixel-ingest-direct",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 4,
                "queued.max.messages.kbytes": QUEUE_KBYTES_MAX,
                "fetch.wait.max.ms": 500,
                "fetch.queue.backoff.ms": 10,
                "topic.metadata.refresh.interval.ms": 30_000,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
            }
        )
        consumer.subscribe([DIRECT], on_assign=self._assigned)
        return consumer

    def _build_producer(self) -> Producer:
        return Producer(
            {
                **self._kafka.client(),
                "client.id": "fairpixel-ingest-direct",
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": int(DEAD_LETTER_SEND_S_MAX * 1000),
                "message.max.bytes": CLEAN_SIZE_MAX + 10_000,
                "log_level": 0,
            }
        )

    def _assigned(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._topic_id = ""  # the topic may have been made anew: ask again
        self._commits = {}
        self._paused = True  # resume() resumes what is assigned now

    def _resume(self) -> None:
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    def _poll(self, wait_s: float) -> Message | None:
        message = self._consumer.poll(wait_s)
        if message is None:
            return None
        error = message.error()
        if error is None:
            return message
        if is_too_large(message):
            self._skip(message)
            return None
        self._complain("direct_not_read", error.name())
        if error.fatal():
            self._consumer.close()
            self._consumer = self._subscribe()
        return None

    def _skip(self, message: Message) -> None:
        """Go on behind a batch that is not unpacked; an empty message in its last place stands for all of it."""
        partition, at = int(message.partition() or 0), int(message.offset() or 0)
        try:
            end = find_batch_end(self._kafka, self._group, DIRECT, partition, at, BATCH_OPTIONS)
            with kafka_errors_as_ours():
                self._consumer.seek(TopicPartition(DIRECT, partition, end))
        except KafkaUnavailable as error:
            self._complain("direct_not_skipped", error.name)
            return
        self._skipped.append((partition, end - 1, int(time.time() * 1000)))
        self._complain("direct_batch_too_large", f"partition {partition}, offsets {at} to {end - 1}")

    def _ask_topic_id(self) -> bool:
        try:
            self._topic_id = ask_topic_id(self._admin, DIRECT, ASK_S_MAX)
        except KafkaUnavailable as error:
            self._complain("direct_topic_not_described", error.name)
        return bool(self._topic_id)

    def _read(self, message: Message) -> DirectMessage:
        origin = Origin(self._topic_id, int(message.partition() or 0), int(message.offset() or 0))
        found = message.headers() or []
        pairs = found.items() if isinstance(found, dict) else found
        headers = tuple((name, value) for name, value in pairs if isinstance(value, bytes))
        return DirectMessage(origin, int(message.timestamp()[1]), message.value() or b"", headers)

    def _look_at_consumer_lag(self) -> None:
        if time.monotonic() - self._consumer_lag_at < 1.0:
            return
        self._consumer_lag_at = time.monotonic()
        consumer_lag = 0
        for one in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(one, cached=True)
            done = max(one.offset, self._commits.get(one.partition, 0))
            if high > 0 and done > 0:  # before the first message nobody knows
                consumer_lag += max(0, high - done)
        self._consumer_lag = consumer_lag

    def _complain(self, what: str, reason: str) -> None:
        if time.monotonic() - self._complained_at >= COMPLAIN_S:
            self._complained_at = time.monotonic()
            log.warning(what, reason=reason)


def _positions(ends: dict[int, int]) -> list[TopicPartition]:
    return [TopicPartition(DIRECT, partition, end) for partition, end in ends.items()]
