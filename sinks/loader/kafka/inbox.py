"""Seam: the clean topic, read in a consumer group whose offsets carry checkpoints."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runtime.kafka import KafkaUnavailable, is_too_large
from runtime.kafka_access import KafkaAccess
from sinks.loader.block import Message
from sinks.loader.kafka.log_reader import (
    ASK_S_MAX,
    CAREFULLY,
    find_topic_id,
    find_unreadable_end,
    message_of,
    read_range,
)

COMMITTED_TRIES_MAX = 5  # together below the watchdog's limit of a call
HIGHS_EVERY_S = 0.5
# The group said: this member does not have the partition (any more). Everything else may work at the next try.
_REFUSALS = frozenset({
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._FENCED,
    KafkaError._STATE,
    KafkaError._NO_OFFSET,
    KafkaError.INVALID_COMMIT_OFFSET_SIZE,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
})  # fmt: skip


class InboxBroken(Exception):
    """The client is beyond repair; the process must start anew."""


class Owner(Protocol):
    """Who is told about partitions; called from inside `poll` and `close`."""

    def on_assign(self, partition: int, offset: int | None, checkpoint: str) -> int:
        """A partition is ours. offset, checkpoint: as last committed (None: never). Returns the offset to read from."""

    def pass_over(self, partition: int, start: int, end: int) -> None:
        """These offsets hold a batch that no client unpacks; what is behind it comes next."""

    def on_revoke(self, partition: int, *, still_ours: bool) -> None:
        """A partition goes to somebody else. still_ours: a last commit is still possible."""


class Inbox(Protocol):
    """What the loader needs of the clean topic."""

    @property
    def topic_id(self) -> str:
        """The id of the topic; a topic deleted and made again has another one."""

    def poll(self, wait_s: float) -> list[Message]:
        """The next messages, in order for each partition. Raises InboxBroken."""

    def commit(self, partition: int, offset: int, checkpoint: str) -> bool:
        """Write offset and checkpoint; False when the partition is not ours any more. Raises KafkaUnavailable."""

    def rewind(self, partition: int, offset: int) -> None:
        """Read on from `offset`."""

    def pause(self) -> None:
        """Bring no messages until `release`, and stay a member of the group while polled."""

    def resume(self) -> None:
        """Bring messages again."""

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset still there, and the one behind the last. Raises KafkaUnavailable."""

    def read_log(self, partition: int, start: int = 0, end: int | None = None) -> Iterator[Message]:
        """What is there now from `start` to before `end` (None: to the end), apart from the group.

        Raises KafkaUnavailable.
        """


class KafkaInbox:
    """The clean topic on Kafka. One thread polls and commits; `high` and `bounds` may be asked from others."""

    def __init__(self, kafka: KafkaAccess, group: str, topic: str, *, careful: bool = False) -> None:
        """careful: little at a time, as CAREFULLY says. Raises KafkaUnavailable when the topic's id is not found."""
        self._kafka = kafka
        self._topic = topic
        self._careful = careful
        self._topic_id = find_topic_id(kafka, topic)
        self._owner: Owner | None = None
        self._ours: set[int] = set()
        self._paused = False
        self._highs: dict[int, int] = {}
        self._highs_at = 0.0
        self.passed_over = (
            -1,
            -1,
            -1,
        )  # partition, and a batch that cannot be read: first offset, and behind it
        self._given: list[int] | None = None  # by the group, and not begun yet
        self._consumer = Consumer({
            **kafka.client(),
            "group.id": group,
            "client.id": f"sinks-{uuid.uuid4().hex[:8]}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 1_500,
            "max.poll.interval.ms": 120_000,  # the longest call between two polls is an insert of 30 s
            "fetch.message.max.bytes": 4_200_000,
            # What is there comes at once: streams has gathered it. A quiet topic is asked about twice a second.
            "fetch.min.bytes": 1,
            "fetch.wait.max.ms": 500,
            "queued.max.messages.kbytes": 65_536,  # what arrives while a block is inserted; 32 MB cost a fifth
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 30_000,
            "isolation.level": "read_committed",
            "log_level": 2,  # our own lines say when Kafka is away; the client would say it 20 times a second
            **(CAREFULLY if careful else {}),
        })  # fmt: skip

    @property
    def topic_id(self) -> str:
        return self._topic_id

    def subscribe(self, owner: Owner) -> None:
        """Join the group; `owner` hears of partitions inside `poll`."""
        self._owner = owner
        self._consumer.subscribe(
            [self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
        )

    def poll(self, wait_s: float) -> list[Message]:
        first = self._consumer.poll(
            wait_s
        )  # returns with the first message, where consume waits for all or the time
        messages = []
        for one in [first, *self._consumer.consume(1_000, 0)] if first is not None else []:
            error = one.error()
            if error is None:
                messages.append(message_of(one))
            elif error.fatal():
                raise InboxBroken(error.name())
            elif is_too_large(one):
                self._pass_over(int(one.partition() or 0), int(one.offset() or 0))
        if self._given is not None:
            self._begin(self._given)
        if self._highs_at + HIGHS_EVERY_S < time.monotonic():
            self._highs_at = time.monotonic()
            self._keep_highs()
        return messages

    def _pass_over(self, partition: int, offset: int) -> None:
        """Read on behind a batch that unpacks to more than the client takes at once, 100 MB: it can never be read."""
        if partition not in self._ours:
            return
        try:
            end = find_unreadable_end(self._kafka, self._topic, partition, offset)
            self._consumer.seek(TopicPartition(self._topic, partition, end))
        except (KafkaException, KafkaUnavailable):
            return  # the client says it again
        if self.passed_over != (partition, offset, end):
            self.passed_over = (partition, offset, end)
            assert self._owner is not None
            self._owner.pass_over(partition, offset, end)

    def commit(self, partition: int, offset: int, checkpoint: str) -> bool:
        if partition not in self._ours:
            return False
        try:
            done = self._consumer.commit(
                offsets=[TopicPartition(self._topic, partition, offset, metadata=checkpoint)],
                asynchronous=False,
            )
        except KafkaException as raised:
            return self._refused(raised.args[0])
        return all(one.error is None or self._refused(one.error) for one in done)

    def rewind(self, partition: int, offset: int) -> None:
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset))
        except KafkaException as raised:
            raise InboxBroken(raised.args[0].name()) from None

    def pause(self) -> None:
        self._paused = True
        self._consumer.pause(self._partitions())

    def resume(self) -> None:
        self._paused = False
        self._consumer.resume(self._partitions())

    def bounds(self, partition: int) -> tuple[int, int]:
        try:
            return self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=ASK_S_MAX
            )
        except KafkaException as raised:
            raise KafkaUnavailable(raised.args[0].name(), str(raised.args[0])) from None
        except RuntimeError as raised:  # the client is closed
            raise KafkaUnavailable(str(raised.args[0])) from None

    def high(self, partition: int) -> int:
        """The offset behind the last message, as last heard of; -1: unknown."""
        return self._highs.get(partition, -1)

    def read_log(self, partition: int, start: int = 0, end: int | None = None) -> Iterator[Message]:
        low, high = self.bounds(partition)
        high = high if end is None else min(end, high)
        yield from read_range(
            self._kafka, self._topic, partition, max(start, low), high, careful=self._careful
        )

    def close(self) -> None:
        """Leave the group; the owner is told of its partitions first."""
        self._consumer.close()

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in self._ours]

    def _keep_highs(self) -> None:
        """Remember what the last fetches said: the client's own memory blocks when another thread asks it."""
        for partition in self._ours:
            found = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            if found and found[1] >= 0:
                self._highs[partition] = found[1]

    def _refused(self, error: KafkaError) -> bool:
        if error.code() in _REFUSALS:
            return False
        raise KafkaUnavailable(error.name())

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is read yet: the way back may take long and may fail, and a callback must do neither.
        consumer.assign([])
        self._given = [one.partition for one in partitions]

    def _begin(self, given: list[int]) -> None:
        assert self._owner is not None
        self._given = None
        starts = []
        for one in _committed(self._consumer, self._topic, given):
            known = one.offset if one.offset >= 0 else None
            starts.append(
                TopicPartition(
                    self._topic,
                    one.partition,
                    self._owner.on_assign(one.partition, known, one.metadata or ""),
                )
            )
        self._ours = set(given)
        self._consumer.assign(starts)
        if starts:  # a pause outlives the loss of a partition, so one that comes back is released by name
            (self._consumer.pause if self._paused else self._consumer.resume)(starts)

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._let_go(partitions, still_ours=True)
        consumer.unassign()

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._let_go(partitions, still_ours=False)
        consumer.unassign()

    def _let_go(self, partitions: list[TopicPartition], *, still_ours: bool) -> None:
        assert self._owner is not None
        self._given = None
        for one in partitions:
            self._owner.on_revoke(one.partition, still_ours=still_ours)
            self._ours.discard(one.partition)


def _committed(consumer: Consumer, topic: str, partitions: list[int]) -> list[TopicPartition]:
    """What the group knows, asked until Kafka answers: without it no partition may be read. Raises InboxBroken."""
    for _ in range(COMMITTED_TRIES_MAX if partitions else 0):
        try:
            return list(
                consumer.committed([TopicPartition(topic, one) for one in partitions], timeout=ASK_S_MAX)
            )
        except KafkaException as raised:
            problem = raised.args[0].name()
    if partitions:
        raise InboxBroken(f"committed offsets: {problem}")
    return []
