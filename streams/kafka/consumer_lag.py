"""How many raw packs wait, asked of Kafka with a client of its own (seam)."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from runtime.kafka import kafka_errors_as_ours
from runtime.kafka_access import KafkaAccess
from schemas.topics import CLEAN, RAW, STREAMS_GROUP

ANSWER_SECONDS_MAX = 3.0


class KafkaConsumerLag:
    """A `ConsumerLag` on a broker. Each call raises KafkaUnavailable when the broker cannot answer in time."""

    def __init__(self, kafka: KafkaAccess) -> None:
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
            return sum(max(0, self._bounds(RAW, p)[1] - offset) for p, offset in positions.items())

    def clean_end(self) -> int:
        """Grows with every clean pack anybody writes."""
        with kafka_errors_as_ours():
            partitions = self._consumer.list_topics(CLEAN, ANSWER_SECONDS_MAX).topics[CLEAN].partitions
            return sum(self._bounds(CLEAN, p)[1] for p in partitions)

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

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_SECONDS_MAX)
        return low, high
