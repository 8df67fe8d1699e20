"""How many raw packs wait, asked of Kafka with a client of its own (seam)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from runtime.kafka import KafkaUnavailable, kafka_errors_as_ours
from runtime.kafka_access import KafkaAccess
from schemas.topics import CLEAN, RAW, STREAMS_GROUP

ANSWER_SECONDS_MAX = 3.0


class KafkaConsumerLag:
    """A `ConsumerLag` on a broker. Each call raises KafkaUnavailable when the broker cannot answer in time."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._admin = AdminClient({**kafka.client(), "log_level": 0})
        self._consumer = Consumer(
            {
                **kafka.client(),
                "group.id": STREAMS_GROUP,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )

    def behind(self, positions: Mapping[int, int]) -> int:
        """Raw packs that wait from these offsets (partition -> offset) to the end."""
        with kafka_errors_as_ours():
            ends = self._ends(RAW, list(positions))
            return sum(max(0, ends[partition] - offset) for partition, offset in positions.items())

    def clean_end(self) -> int:
        """Grows with every clean pack anybody writes."""
        with kafka_errors_as_ours():
            partitions = self._consumer.list_topics(CLEAN, ANSWER_SECONDS_MAX).topics[CLEAN].partitions
            return sum(self._ends(CLEAN, list(partitions)).values())

    def behind_group(self) -> int:
        """Raw packs behind the group's committed offsets."""
        with kafka_errors_as_ours():
            topics = self._consumer.list_topics(RAW, ANSWER_SECONDS_MAX).topics
            partitions = [TopicPartition(RAW, p) for p in topics[RAW].partitions]
            consumer_lag = 0
            for committed in self._consumer.committed(partitions, ANSWER_SECONDS_MAX):
                low, high = self._bounds(RAW, committed.partition)
                consumer_lag += high - max(committed.offset, low)
            return consumer_lag

    def _ends(self, topic: str, partitions: list[int]) -> dict[int, int]:
        """The offsets behind the last messages: one request for all, where the first offsets cost one more each."""
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(topic, partition): latest for partition in partitions}
        asked = self._admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS_MAX)
        try:
            return {
                one.partition: int(end.result(2 * ANSWER_SECONDS_MAX).offset) for one, end in asked.items()
            }
        except TimeoutError:
            raise KafkaUnavailable("_TIMED_OUT", "no answer in time") from None

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_SECONDS_MAX)
        return low, high
